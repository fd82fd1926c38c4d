"""What a pipeline works with: folders, a time limit, and commands that are recorded as they happen."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from booty_site import faults
from booty_site.errors import RunInterrupted, RunStopped, RunTimedOut
from booty_site.execution.environments import Folders
from booty_site.execution.process import CommandResult, Ending, run_command
from booty_site.runs import interruption

# A shell reports the signal that ended its command by adding it to this.
SHELL_SIGNAL_BASE = 128
# How long to wait for our own SIGTERM after a command was ended by one.
INTERRUPTION_SECONDS = 1.0


class Recorder(Protocol):
    """Where commands are written down: on the run's row, or on a terminal."""

    def began(self, name: str, argv: Sequence[str]) -> Any:
        """Note that a command starts; what is returned is handed to the other two."""

    def printed(self, command: Any, output: str) -> None:
        """Note the output so far. Must not raise for a passing fault."""

    def ended(self, command: Any, result: CommandResult) -> None:
        """Note how the command ended."""


class Workbench:
    """The means of one run.

    `holds` tells whether the run is still this process's; `owner` marks its commands, so that they
    can be ended after this process has died.
    """

    def __init__(
        self,
        folders: Folders,
        recorder: Recorder,
        *,
        seconds: float,
        holds: Callable[[], bool] = lambda: True,
        owner: str = "",
    ) -> None:
        self.folders = folders
        self._recorder = recorder
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._holds = holds
        self._owner = owner

    def check(self) -> None:
        """Raise RunStopped, RunInterrupted or RunTimedOut when there is no point in going on."""
        if not self._holds():
            raise RunStopped
        if interruption.requested():
            raise RunInterrupted
        if time.monotonic() >= self._deadline:
            raise RunTimedOut(f"the run took longer than {self._seconds:g} s")

    def command(
        self,
        name: str,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdin: str = "",
        timeout: float | None = None,
    ) -> CommandResult:
        """Run a command within the run's own limits and record it.

        `timeout` is in seconds. Raises RunStopped, RunInterrupted or RunTimedOut; what the command itself does
        is in the result.
        """
        self.check()
        left = self._deadline - time.monotonic()
        faults.reach("command.start")
        record = self._recorder.began(name, [self.folders.without_paths(word) for word in argv])
        result = run_command(
            argv,
            cwd=cwd,
            env=env,
            stdin=stdin,
            timeout=left if timeout is None else min(timeout, left),
            owner=self._owner,
            should_stop=lambda: not self._holds() or interruption.requested(),
            on_output=lambda output: self._recorder.printed(record, self.folders.without_paths(output)),
        )
        result = replace(result, output=self.folders.without_paths(result.output))
        self._recorder.ended(record, result)
        faults.reach("command.end")
        if result.ending in (Ending.STOPPED, Ending.TIMED_OUT) or _ended_by_sigterm(result):
            self.check()
        return result


def _ended_by_sigterm(result: CommandResult) -> bool:
    """Tell whether a command ended by SIGTERM, after waiting whether this process gets one too.

    A service manager that stops everything at once ends the commands as well; that is no verdict on the code.
    """
    if result.exit_code not in (-signal.SIGTERM, SHELL_SIGNAL_BASE + signal.SIGTERM):
        return False
    deadline, pause = time.monotonic() + INTERRUPTION_SECONDS, threading.Event()
    while not interruption.requested() and time.monotonic() < deadline:
        pause.wait(0.05)
    return True
