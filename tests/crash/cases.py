"""The faults that are tried one by one: each point of Booty's own, and each way in which its surroundings fail."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.crash.service import GRACE_SECONDS, LEASE_SECONDS, CrashStack
from tests.doubles.processes import wait_until

PASSING_SECONDS = 3.0
REACH_SECONDS = 120.0


@dataclass(frozen=True)
class Case:
    """A fault and the subjects that meet it.

    `disturb` is entered before the subjects are sent and left when the fault is over. `own_error`: the fault is an
    error inside Booty, so a run may end as errored instead.
    """

    name: str
    subjects: tuple[str, ...]
    disturb: Callable[[CrashStack], contextlib.AbstractContextManager[None]]
    own_error: bool = False
    short: bool = False


# Which subjects get to a point, and what can happen there: k kill, b kill worker and horse, p kill the worker alone,
# e exit with code 0, s stop for two leases, r raise. Capitals are in the short lane too.
JOBS, PULLS = ("good_job", "idle_job"), ("good_pull", "red_pull")
ERRORS = ("locked_job", "locked_pull")
POINTS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("web.before_insert", ("good_pull", "idle_job"), "kr"),
    ("web.after_commit", ("good_pull", "idle_job"), "Kr"),
    ("dispatch.before_broker", ("good_pull", "idle_job"), "kr"),
    ("dispatch.after_broker", ("good_pull", "idle_job"), "kr"),
    ("web.after_enqueue", ("good_pull", "idle_job"), "kr"),
    ("worker.after_pop", ("good_pull", "idle_job"), "Kr"),
    ("worker.after_prepare", ("good_pull", "idle_job"), "kr"),
    ("horse.before_prepare", ("good_pull", "idle_job"), "kBr"),
    ("run.start", ("good_pull", "idle_job"), "kb"),
    ("run.after_claim", ("good_pull", "idle_job"), "KBpesr"),
    ("git.fetch", ("good_job", "good_pull"), "kbr"),
    ("command.start", ("good_job", "good_pull"), "kbr"),
    ("command.end", ("good_job", "good_pull"), "kbr"),
    ("run.middle", ("good_job", "good_pull"), "kBpeSR"),
    ("git.push", ("good_job",), "kbsr"),
    ("run.end_of_work", ("good_job", "red_pull"), "kbesr"),
    ("save.in_transaction", ("good_pull", "locked_job"), "kbr"),
    ("save.before_commit", ("good_pull", "locked_job"), "kBsr"),
    ("save.after_commit", ("good_pull", "locked_job"), "kbsr"),
    ("failure.before_note", ERRORS, "kbr"),
    ("capture.before", ERRORS, "kBsr"),
    ("capture.before_send", ERRORS, "kbr"),
    ("capture.after_send", ERRORS, "KBsr"),
    ("capture.after", ERRORS, "kb"),
    ("check.update", PULLS, "kbsr"),
    ("notice.claimed.status_comment", JOBS, "kbsr"),
    ("notice.before_post.status_comment", JOBS, "kbsr"),
    ("notice.after_post.status_comment", JOBS, "kbsr"),
    ("notice.marked.status_comment", JOBS, "kb"),
    ("notice.claimed.outcome_comment", ("idle_job", "locked_job"), "kbsr"),
    ("notice.before_post.outcome_comment", ("idle_job", "locked_job"), "kbSr"),
    ("notice.after_post.outcome_comment", ("idle_job", "locked_job"), "KBsr"),
    ("notice.marked.outcome_comment", ("idle_job", "locked_job"), "kb"),
    ("notice.claimed.check", ("good_pull", "locked_pull"), "kbsr"),
    ("notice.before_post.check", ("good_pull", "locked_pull"), "kbsr"),
    ("notice.after_post.check", ("good_pull", "locked_pull"), "kBsr"),
    ("notice.marked.check", ("good_pull", "locked_pull"), "kb"),
    ("notice.claimed.comment", ("red_pull", "locked_pull"), "kbsr"),
    ("notice.before_post.comment", ("red_pull", "locked_pull"), "kbsr"),
    ("notice.after_post.comment", ("red_pull", "locked_pull"), "kbsr"),
    ("notice.marked.comment", ("red_pull", "locked_pull"), "kb"),
    ("run.before_reraise", ERRORS, "kB"),
    ("rq.before_success", ("good_pull", "idle_job"), "kbr"),
    ("rq.before_failure", ERRORS, "kb"),
)
ACTIONS = {"k": "kill", "b": "kill_both", "p": "kill_parent", "e": "exit", "s": "stop", "r": "raise"}


def point_cases() -> Iterator[Case]:
    for point, subjects, letters in POINTS:
        for letter in letters:
            action = ACTIONS[letter.lower()]
            yield Case(
                f"{point}: {action}",
                subjects,
                _stopped(point) if action == "stop" else _armed({point: action}),
                own_error=action == "raise",
                short=letter.isupper(),
            )
    # Points of the reconciler and of the Sentry notice are reached only after something else went wrong.
    for action in ("kill", "raise"):
        lost = {"run.after_claim": "kill_both"}
        yield Case(
            f"reconciler.before_dispatching: {action}",
            ("good_pull", "idle_job"),
            _armed({"reconciler.before_dispatching": action, **lost}),
            short=action == "kill",
        )
        dead = {"capture.before": "kill_both"}
        yield Case(
            f"reconciler.after_expiring: {action}",
            ERRORS,
            _armed({"reconciler.after_expiring": action, **dead}),
            own_error=True,
            short=action == "kill",
        )
    for moment in ("claimed", "before_post", "after_post", "marked"):
        for action in ("kill", "stop", "raise"):
            if (moment, action) in (("marked", "raise"), ("marked", "stop")):
                continue
            point = f"notice.{moment}.sentry_event"
            yield Case(
                f"{point}: {action}", ERRORS, _sentry_away_then(point, action), short=(moment, action) == ("after_post", "kill")
            )


@contextmanager
def _reached(stack: CrashStack, points: dict[str, str]) -> Iterator[None]:
    for point, action in points.items():
        stack.arm(point, action)
    yield
    wait_until(lambda: all(stack.fired(point) for point in points), f"{', '.join(points)} to be reached", REACH_SECONDS)


def _armed(points: dict[str, str]) -> Callable[[CrashStack], contextlib.AbstractContextManager[None]]:
    return lambda stack: _reached(stack, points)


def _stopped(point: str) -> Callable[[CrashStack], contextlib.AbstractContextManager[None]]:
    """Stop the process that gets to a point for two leases, then let it go on."""

    @contextmanager
    def disturb(stack: CrashStack) -> Iterator[None]:
        with _reached(stack, {point: "stop"}):
            yield
        threading.Event().wait(2 * LEASE_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.kill(stack.fired(point) or 0, signal.SIGCONT)

    return disturb


def _sentry_away_then(point: str, action: str) -> Callable[[CrashStack], contextlib.AbstractContextManager[None]]:
    @contextmanager
    def disturb(stack: CrashStack) -> Iterator[None]:
        stack.sentry.drop_reply()
        before = len(stack.sentry.distinct())
        inner = _stopped(point) if action == "stop" else _armed({point: action})
        with inner(stack):
            yield
            wait_until(lambda: len(stack.sentry.distinct()) >= before + len(ERRORS), "the events to arrive", REACH_SECONDS)
            stack.sentry.clear_faults()

    return disturb


# The surroundings


def _for_a_while(
    begin: Callable[[CrashStack], object], end: Callable[[CrashStack], object], *, late: bool = False, missing: str = ""
) -> Callable[[CrashStack], contextlib.AbstractContextManager[None]]:
    """Let something fail for PASSING_SECONDS, from before the subjects are sent, or (`late`) while their runs are under way.

    The web server answers all the while, and /readyz names the part that is `missing`.
    """

    @contextmanager
    def disturb(stack: CrashStack) -> Iterator[None]:
        if late:
            yield
            wait_until(lambda: _running(stack) > 0, "a run to be under way", REACH_SECONDS)
            begin(stack)
        else:
            begin(stack)
            yield
        _wait_for_readiness(stack, missing)
        threading.Event().wait(PASSING_SECONDS)
        end(stack)

    return disturb


def _wait_for_readiness(stack: CrashStack, missing: str) -> None:
    wanted = {"": (200, []), "broker": (200, ["broker"]), "database": (503, ["database"])}[missing]

    def says_so() -> bool:
        status, content = stack.get("/readyz")
        return (status, content.get("missing", [])) == wanted and stack.get("/healthz")[0] == 200

    wait_until(says_so, f"/readyz to answer {wanted} and /healthz 200", REACH_SECONDS)


def _running(stack: CrashStack) -> int:
    with stack.database() as ask:
        return sum(
            int(ask(f"SELECT count(*) AS n FROM {table} WHERE state = 'running'")[0]["n"])
            for table in ("jobs_job", "verifier_verificationrun")
        )


def _nothing(stack: CrashStack) -> None:
    return None


def _kill_broker(stack: CrashStack) -> None:
    os.kill(stack.broker.program.pid, signal.SIGKILL)
    stack.broker.program.kill()


def _flush(stack: CrashStack) -> None:
    with redis.Redis.from_url(stack.broker.url) as client:
        client.flushall()


def _github(**fault: object) -> Callable[[CrashStack], None]:
    def begin(stack: CrashStack) -> None:
        stack.github.clear_faults()
        stack.lock()
        stack.github.fail("*", r"^/api/", times=None, **fault)  # type: ignore[arg-type]  # as the caller wrote them

    return begin


def _github_well(stack: CrashStack) -> None:
    stack.github.clear_faults()
    stack.lock()


def _sentry(status: int, headers: dict[str, str]) -> Callable[[CrashStack], None]:
    return lambda stack: stack.sentry.fail(status, headers=headers)


def _sentry_well(stack: CrashStack) -> None:
    stack.sentry.clear_faults()


def _github_loses_replies(stack: CrashStack) -> None:
    for method in ("POST", "PATCH"):
        stack.github.drop_reply(method, r"/(comments|check-runs|pulls)", times=None)


@contextmanager
def _github_hangs(stack: CrashStack) -> Iterator[None]:
    release = threading.Event()
    stack.github.hang("*", r"^/api/", seconds_event=release, times=None)
    yield
    threading.Event().wait(PASSING_SECONDS)
    _github_well(stack)
    release.set()


@contextmanager
def _sqlite_locked(stack: CrashStack) -> Iterator[None]:
    """Hold the database's write lock, as a backup or another writer may."""
    yield
    wait_until(lambda: _running(stack) > 0, "a run to be under way", REACH_SECONDS)
    path = Path(stack.environment["BOOTY_STATE_DIR"]) / "booty.sqlite3"
    with contextlib.closing(sqlite3.connect(path, timeout=20, isolation_level=None)) as file:
        file.execute("BEGIN EXCLUSIVE")
        threading.Event().wait(PASSING_SECONDS)
        file.execute("ROLLBACK")


@contextmanager
def _postgres_stopped(stack: CrashStack) -> Iterator[None]:
    assert stack.cluster is not None
    yield
    wait_until(lambda: _running(stack) > 0, "a run to be under way", REACH_SECONDS)
    stack.cluster.stop()
    _wait_for_readiness(stack, "database")
    threading.Event().wait(PASSING_SECONDS)
    stack.cluster.start_again()


def _terminated(times: int, *, everything: bool = False) -> Callable[[CrashStack], contextlib.AbstractContextManager[None]]:
    @contextmanager
    def disturb(stack: CrashStack) -> Iterator[None]:
        yield
        wait_until(lambda: _running(stack) > 0, "a run to be under way", REACH_SECONDS)
        workers = [program.pid for program in stack.named("worker")]
        for count in range(times):
            if count:
                threading.Event().wait(1.2)
            for pid in workers:
                for target in [pid, *(_descendants(pid) if everything else [])]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(target, signal.SIGTERM)
        threading.Event().wait(GRACE_SECONDS)

    return disturb


def _descendants(pid: int) -> list[int]:
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                parents[int(name)] = int(Path("/proc", name, "stat").read_text().rpartition(")")[2].split()[1])
    found, grown = {pid}, True
    while grown:
        grown = False
        for child, parent in parents.items():
            if parent in found and child not in found:
                found.add(child)
                grown = True
    return sorted(found - {pid})


SLOW = ("slow_job", "good_pull", "red_pull")
ALL = ("good_job", "idle_job", "locked_job", "good_pull", "red_pull", "locked_pull")


def surroundings(*, postgres: bool) -> Iterator[Case]:
    yield Case("nothing", ALL, _for_a_while(_nothing, _nothing), short=True)
    yield Case(
        "broker killed and started again",
        ALL,
        _for_a_while(_kill_broker, lambda s: s.broker.start(), late=True, missing="broker"),
        short=True,
    )
    yield Case("broker down when deliveries come", ALL, _for_a_while(_kill_broker, lambda s: s.broker.start(), missing="broker"))
    yield Case(
        "broker hangs when deliveries come",
        ALL,
        _for_a_while(lambda s: s.proxy.hang(), lambda s: s.proxy.resume(), missing="broker"),
        short=True,
    )
    yield Case(
        "broker hangs", ALL, _for_a_while(lambda s: s.proxy.hang(), lambda s: s.proxy.resume(), late=True, missing="broker")
    )
    yield Case("broker flushed", ALL, _for_a_while(_flush, _flush, late=True), short=True)
    yield Case("broker's reply to EXEC lost", ALL, _for_a_while(lambda s: s.proxy.drop_reply_to(b"EXEC", 2), _nothing))
    if postgres:
        yield Case("database stopped", ALL, _postgres_stopped, short=True)
    else:
        yield Case("database locked", ALL, _sqlite_locked, short=True)
    for status in (500, 502):
        yield Case(f"GitHub answers {status}", ALL, _for_a_while(_github(status=status), _github_well))
        yield Case(
            f"GitHub answers {status} late",
            ALL,
            _for_a_while(_github(status=status), _github_well, late=True),
            short=status == 502,
        )
    limited = _github(status=403, headers={"Retry-After": "2"}, body={"message": "You have exceeded a secondary rate limit"})
    yield Case("GitHub answers 403 with Retry-After", ALL, _for_a_while(limited, _github_well))
    yield Case("GitHub hangs", ALL, _github_hangs)
    yield Case("GitHub's replies to writes lost", ALL, _for_a_while(_github_loses_replies, _github_well), short=True)
    for status, headers in ((500, {}), (502, {}), (403, {"Retry-After": "2"}), (429, {"Retry-After": "2"})):
        yield Case(f"Sentry answers {status}", ERRORS, _for_a_while(_sentry(status, headers), _sentry_well))
    yield Case("Sentry hangs", ERRORS, _for_a_while(lambda s: s.sentry.hang(), _sentry_well), short=True)
    yield Case("Sentry's replies lost", ERRORS, _for_a_while(lambda s: s.sentry.drop_reply(), _sentry_well))
    yield Case("Sentry down", ERRORS, _for_a_while(lambda s: s.sentry.take_down(), _sentry_well))
    yield Case("SIGTERM once", SLOW, _terminated(1), short=True)
    yield Case("SIGTERM twice", SLOW, _terminated(2))
    yield Case("SIGTERM to everything", SLOW, _terminated(1, everything=True), short=True)


def all_cases(*, postgres: bool) -> list[Case]:
    return [*surroundings(postgres=postgres), *point_cases()]
