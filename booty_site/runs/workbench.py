"""What a pipeline works with: folders, a time limit, and commands that are recorded as they happen."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from booty_site.errors import RunStopped, RunTimedOut
from booty_site.execution.environments import Folders
from booty_site.execution.process import CommandResult, Ending, run_command


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

    `stopped` is set when the run is no longer this process's; `owner` marks its commands, so that they
    can be ended after this process has died.
    """

    def __init__(
        self, folders: Folders, recorder: Recorder, *, seconds: float, stopped: threading.Event, owner: str = ""
    ) -> None:
        self.folders = folders
        self._recorder = recorder
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._stopped = stopped
        self._owner = owner

    def check(self) -> None:
        """Raise RunStopped or RunTimedOut when there is no point in going on."""
        if self._stopped.is_set():
            raise RunStopped
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

        `timeout` is in seconds. Raises RunStopped or RunTimedOut; what the command itself does is in the result.
        """
        self.check()
        left = self._deadline - time.monotonic()
        record = self._recorder.began(name, [self.folders.without_paths(word) for word in argv])
        result = run_command(
            argv,
            cwd=cwd,
            env=env,
            stdin=stdin,
            timeout=left if timeout is None else min(timeout, left),
            owner=self._owner,
            should_stop=self._stopped.is_set,
            on_output=lambda output: self._recorder.printed(record, self.folders.without_paths(output)),
        )
        result = replace(result, output=self.folders.without_paths(result.output))
        self._recorder.ended(record, result)
        if result.ending in (Ending.STOPPED, Ending.TIMED_OUT):
            self.check()
        return result
