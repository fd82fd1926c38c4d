"""Faults in a random order, several at once, over two workers and two reconcilers."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable

from tests.crash.cases import ACTIONS, POINTS, _flush, _github, _github_loses_replies, _github_well, _kill_broker, _sentry_well
from tests.crash.service import CrashStack
from tests.crash.subjects import MAKERS, Subject

LONGEST_PAUSE_SECONDS = 1.5
Change = Callable[[CrashStack], object]


def disturb_randomly(stack: CrashStack, chance: random.Random, seconds: float) -> list[Subject]:
    """Send subjects and break things for `seconds`, mend everything, and return the subjects."""
    subjects, mend = [], list[Change]()
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while time.monotonic() < deadline:
        if chance.random() < 0.5:
            subjects.append(MAKERS[chance.choice(sorted(MAKERS))](stack))
        if chance.random() < 0.5:
            point, _, letters = chance.choice(POINTS)
            action = ACTIONS[chance.choice(letters).lower()]
            if action != "stop":
                stack.arm(point, action)
        if chance.random() < 0.3 and not mend:
            begin, end = chance.choice(_surroundings(stack))
            begin(stack)
            mend.append(end)
        elif mend and chance.random() < 0.6:
            mend.pop()(stack)
        if chance.random() < 0.1:
            _signal_one(stack, chance)
        pause.wait(chance.uniform(0, LONGEST_PAUSE_SECONDS))
    for end in mend:
        end(stack)
    stack.disarm()
    return subjects


def _surroundings(stack: CrashStack) -> list[tuple[Change, Change]]:
    found: list[tuple[Change, Change]] = [
        (_kill_broker, lambda s: s.broker.start()),
        (lambda s: s.proxy.hang(), lambda s: s.proxy.resume()),
        (_flush, _flush),
        (lambda s: s.proxy.drop_reply_to(b"EXEC", 1), lambda s: s.proxy.drop_reply_to(b"EXEC", 0)),
        (_github(status=500), _github_well),
        (_github(status=403, headers={"Retry-After": "1"}), _github_well),
        (_github_loses_replies, _github_well),
        (lambda s: s.sentry.fail(500), _sentry_well),
        (lambda s: s.sentry.drop_reply(), _sentry_well),
        (lambda s: s.sentry.hang(), _sentry_well),
        (lambda s: s.sentry.take_down(), _sentry_well),
    ]
    if (cluster := stack.cluster) is not None:
        found.append((lambda s: cluster.stop(), lambda s: cluster.start_again()))
    return found


def _signal_one(stack: CrashStack, chance: random.Random) -> None:
    program = chance.choice([*stack.named("worker"), *stack.named("reconciler")])
    with contextlib.suppress(ProcessLookupError):
        os.kill(program.pid, chance.choice([signal.SIGTERM, signal.SIGKILL]))
