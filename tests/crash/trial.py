"""Tries faults on one database and judges what came of them."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash import oracle
from tests.crash.cases import Case, all_cases
from tests.crash.randomly import disturb_randomly
from tests.crash.service import CrashStack
from tests.crash.subjects import MAKERS, Subject, follow_ups
from tests.doubles.postgres import Cluster, find_programs
from tests.doubles.processes import wait_until

SETTLE_SECONDS = 180.0
# With the broker down or hanging a webhook still answers in under a second.
ANSWER_SECONDS = 1.0
CLEAR_SECONDS = 60.0


@dataclass
class Result:
    """What came of one fault; `slowest_answer` is of the deliveries answered with 202, in seconds."""

    name: str
    seconds: float
    slowest_answer: float = 0.0
    violations: list[str] = field(default_factory=list)


def try_database(database: str, options: dict[str, object]) -> list[Result]:
    """Try the chosen cases on one database and return what came of each."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    with _cluster(database) as cluster, tempfile.TemporaryDirectory(prefix="booty-crash-") as folder:
        stack = CrashStack(Path(folder), cluster)
        try:
            with stack:
                stack.start()
                if options["random"]:
                    return [_randomly(stack, database, float(str(options["random"])), int(str(options["seed"])))]
                cases = [
                    case
                    for case in all_cases(postgres=cluster is not None)
                    if str(options["only"]) in case.name and (case.short or not options["short"])
                ]
                # The lane that CI runs may share its machine, so it goes by no clock.
                return [_try(stack, database, case, timed=not options["short"]) for case in cases]
        finally:
            shutil.rmtree(stack.runs_folder, ignore_errors=True)


@contextmanager
def _cluster(database: str) -> Iterator[Cluster | None]:
    programs = find_programs()
    if database == "sqlite" or programs is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="booty-postgres-") as folder:
        os.chmod(folder, 0o755)
        cluster = Cluster(programs, Path(folder))
        cluster.start()
        try:
            yield cluster
        finally:
            with contextlib.suppress(Exception):
                cluster.stop()


def _try(stack: CrashStack, database: str, case: Case, *, timed: bool) -> Result:
    begun = time.monotonic()
    before = oracle.Seen.now(stack)
    subjects: list[Subject] = []
    result = Result(case.name, 0.0)
    try:
        with case.disturb(stack):
            subjects += [MAKERS[name](stack) for name in case.subjects]
    except TimeoutError as error:
        result.violations.append(f"the fault did not happen: {error}")
    stack.disarm()
    _settle_and_judge(stack, subjects, result, before, ends_may_differ=case.own_error)
    if timed and case.name.startswith("broker") and result.slowest_answer >= ANSWER_SECONDS:
        result.violations.append(f"a delivery was answered after {result.slowest_answer:.2f} s only")
    result.seconds = time.monotonic() - begun
    print(f"{database:<9} {'ok  ' if not result.violations else 'FAIL'} {case.name} ({result.seconds:.1f} s)", flush=True)
    for text in result.violations:
        print(f"{'':15}{text}", flush=True)
    return result


def _settle_and_judge(
    stack: CrashStack, subjects: list[Subject], result: Result, before: oracle.Seen, *, ends_may_differ: bool
) -> None:
    ended = _wait_until_settled(stack, subjects)
    subjects += follow_ups(stack, subjects)
    if not (ended and _wait_until_settled(stack, subjects)):
        result.violations.append(f"not everything had ended, and nothing happened any more for {SETTLE_SECONDS:g} s")
    result.violations += oracle.violations(stack, subjects, before, ends_may_differ=ends_may_differ)
    result.violations += oracle.lost_deliveries(stack)
    try:
        wait_until(lambda: not oracle.leftovers(stack), "what runs left to be cleared", CLEAR_SECONDS)
    except TimeoutError:
        result.violations += [f"left on the machine: {left}" for left in oracle.leftovers(stack)]
    accepted = [hook.duration for hook in stack.github.deliveries[before.deliveries :] if hook.status == 202]
    result.slowest_answer = max(accepted, default=0.0)


def _wait_until_settled(stack: CrashStack, subjects: list[Subject]) -> bool:
    """Wait as long as anything goes on; False when it stopped before everything had ended."""
    seen, deadline = -1, 0.0
    while not _settled(stack, subjects):
        happened = oracle.progress(stack)
        if happened != seen:
            seen, deadline = happened, time.monotonic() + SETTLE_SECONDS
        elif time.monotonic() > deadline:
            return False
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: _settled(stack, subjects), "everything to end", 1.0)
    return True


def _settled(stack: CrashStack, subjects: list[Subject]) -> bool:
    try:
        return oracle.settled(stack, subjects)
    except Exception:  # noqa: BLE001  (the database itself may be the one that is away)
        return False


def _randomly(stack: CrashStack, database: str, seconds: float, seed: int) -> Result:
    begun = time.monotonic()
    before = oracle.Seen.now(stack)
    result = Result(f"random, seed {seed}, {seconds:g} s", 0.0)
    subjects = disturb_randomly(stack, random.Random(f"{seed}-{database}"), seconds)
    _settle_and_judge(stack, subjects, result, before, ends_may_differ=True)
    result.seconds = time.monotonic() - begun
    print(f"{database:<9} {len(subjects)} runs, {len(result.violations)} violations in {result.seconds:.0f} s", flush=True)
    for text in result.violations:
        print(f"{database:<9} {text}", flush=True)
    if result.violations:
        logs = Path(tempfile.gettempdir()) / f"booty-crash-{database}-{seed}.log"
        logs.write_text(stack.everything_logged(), encoding="utf-8")
        print(f"{database:<9} what every process logged: {logs}", flush=True)
    return result
