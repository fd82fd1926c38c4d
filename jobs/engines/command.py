"""The `command` engine: any program of the operator's that reads a prompt and changes files."""

from __future__ import annotations

import os
from collections.abc import Sequence

from booty_site.errors import EngineFailed
from booty_site.execution.environments import SYSTEM_PATH
from booty_site.execution.process import Ending
from booty_site.markdown import tail
from booty_site.runs.workbench import Workbench
from jobs.engines import EngineResult, Task

SUMMARY_LINES = 20
SUMMARY_CHARACTERS = 2000


class CommandEngine:
    """Runs `argv` in the workspace, the prompt on standard input; its last lines are its summary.

    The program's environment holds PATH, HOME, LANG, TERM, CI and the variables that `handed_on`
    names; `seconds` bounds its time.
    """

    def __init__(self, argv: Sequence[str], seconds: float, handed_on: Sequence[str] = ()) -> None:
        self._argv = tuple(argv)
        self._seconds = seconds
        self._handed_on = tuple(handed_on)

    def run(self, task: Task, bench: Workbench) -> EngineResult:
        if not self._argv:
            raise EngineFailed("BOOTY_ENGINE_COMMAND is not set", public="No coding engine is configured.")
        home = bench.folders.root / "engine-home"
        home.mkdir(exist_ok=True)
        variables = {name: os.environ[name] for name in self._handed_on if name in os.environ}
        environment = {
            "PATH": os.pathsep.join(SYSTEM_PATH),
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "CI": "1",
            **variables,
        }
        result = bench.command(
            "engine", self._argv, cwd=task.workspace, env=environment, stdin=task.prompt, timeout=self._seconds
        )
        if result.ending is Ending.NOT_STARTED:
            raise EngineFailed(result.output, public="The coding engine could not be started.")
        if result.ending is Ending.TIMED_OUT:
            raise EngineFailed(
                f"stopped after {result.seconds:.0f} s", public=f"The coding engine was stopped after {self._seconds:g} s."
            )
        return EngineResult(result.ok, tail(result.output, SUMMARY_LINES, SUMMARY_CHARACTERS))
