"""Runs what a repository's `.booty.yml` names, setup, install and tests, in a fresh environment."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from booty_site.execution.environments import command_variables, make_environment
from booty_site.execution.policy import Policy
from booty_site.execution.process import CommandResult, Ending
from booty_site.markdown import plain
from booty_site.redaction import redact
from booty_site.runs.states import FailureCode
from booty_site.runs.workbench import Workbench

SHELL = "/bin/sh"
# pytest's short summary: `FAILED tests/test_x.py::test_y - reason`, and the same with ERROR.
FAILING = re.compile(r"^(?:FAILED|ERROR) ([^\s\[]+(?:\[.*?\](?= - |$))?)(?: - .*)?$", re.MULTILINE)
NO_TESTS_COLLECTED = 5
MAX_FAILING = 50
MAX_NAME = 200


@dataclass(frozen=True)
class SuiteResult:
    """How the commands went. `code` is None when all succeeded; otherwise `step` and `result` say which did not."""

    steps: tuple[tuple[str, float], ...]
    code: FailureCode | None = None
    step: str = ""
    result: CommandResult | None = None
    failing: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The result in a sentence, for people."""
        if self.code is None:
            return "All tests passed."
        if self.result is None:
            return "A command failed."
        if self.code is FailureCode.TEST_TIMEOUT:
            return f"The {self.step} command was stopped after {self.result.seconds:.0f} s, its time limit."
        if self.code is FailureCode.NO_TESTS:
            return "The test command found no tests."
        if self.failing:
            first = ", ".join(self.failing[:3])
            more = f" and {len(self.failing) - 3} more" if len(self.failing) > 3 else ""
            noun = "test" if len(self.failing) == 1 else "tests"
            return f"{len(self.failing)} {noun} failed: {first}{more}."
        if self.result.ending is Ending.NOT_STARTED:
            return f"The {self.step} command could not be started."
        return f"The {self.step} command ended with exit code {self.result.exit_code}."


def run_suite(policy: Policy, bench: Workbench, handed_on: tuple[str, ...]) -> SuiteResult:
    """Run setup, install and tests in the workspace; the first command that fails ends it.

    `handed_on` names the operator's variables that the commands may see. Raises EnvironmentUnavailable,
    RunStopped and RunTimedOut.
    """
    folders = bench.folders
    make_environment(folders, lambda name, argv, cwd, env: bench.command(name, argv, cwd=cwd, env=env))
    variables = command_variables(folders, handed_on)
    steps = []
    for step, line, code in (
        ("setup", policy.setup_command, FailureCode.SETUP_FAILED),
        ("install", policy.install_command, FailureCode.INSTALL_FAILED),
        ("test", policy.test_command, FailureCode.TESTS_FAILED),
    ):
        if not line:
            continue
        result = bench.command(
            step, (SHELL, "-c", line), cwd=folders.workspace, env=variables, timeout=float(policy.timeout_seconds)
        )
        result = replace(result, output=redact(result.output))
        steps.append((step, result.seconds))
        if not result.ok:
            return _failed(step, code, result, tuple(steps))
    return SuiteResult(tuple(steps))


def _failed(step: str, code: FailureCode, result: CommandResult, steps: tuple[tuple[str, float], ...]) -> SuiteResult:
    if result.ending is Ending.TIMED_OUT:
        return SuiteResult(steps, FailureCode.TEST_TIMEOUT, step, result)
    if step == "test" and result.exit_code == NO_TESTS_COLLECTED and "no tests ran" in result.output:
        return SuiteResult(steps, FailureCode.NO_TESTS, step, result)
    names = FAILING.findall(plain(result.output)) if step == "test" else []
    failing = tuple(dict.fromkeys(name[:MAX_NAME] for name in names))[:MAX_FAILING]
    return SuiteResult(steps, code, step, result, failing)
