"""Why a work horse died is told in a sentence, as far as the kernel says."""

from __future__ import annotations

import signal
from types import SimpleNamespace

import pytest

from booty_site.runs import worker

USAGE = SimpleNamespace(ru_maxrss=300 * 1024)


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> worker.Worker:
    monkeypatch.setattr(worker, "_memory_kills", lambda: 7)
    one = worker.Worker.__new__(worker.Worker)
    one._memory_kills_before = 7
    return one


def test_a_signal_is_named_with_the_memory_that_was_used(dying: worker.Worker) -> None:
    assert dying._cause(signal.SIGSEGV, USAGE) == "Its process was killed by SIGSEGV. It had used up to 300 MiB of memory."


def test_a_kill_for_want_of_memory_is_said_to_be_one(dying: worker.Worker) -> None:
    dying._memory_kills_before = 6
    assert dying._cause(signal.SIGKILL, USAGE).startswith("Its process was killed because the machine ran out of memory.")


def test_another_kill_is_not_blamed_on_memory(dying: worker.Worker) -> None:
    assert dying._cause(signal.SIGKILL, None) == "Its process was killed by SIGKILL."


def test_an_exit_is_told_with_its_code(dying: worker.Worker) -> None:
    assert dying._cause(3 << 8, None) == "Its process ended with exit code 3."
