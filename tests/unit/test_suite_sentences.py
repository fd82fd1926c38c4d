from __future__ import annotations

from booty_site.execution.process import CommandResult, Ending
from booty_site.runs.states import FailureCode
from booty_site.runs.suite import SuiteResult, _failed

PYTEST_OUTPUT = """\
F.
=========================== short test summary info ============================
FAILED tests/test_a.py::test_one - assert 1 == 2
FAILED tests/test_a.py::TestB::test_two[x - y] - ValueError
ERROR tests/test_c.py - ImportError: no module
2 failed, 1 error in 0.12s
"""


def result(output: str, exit_code: int = 1, ending: Ending = Ending.EXITED) -> CommandResult:
    return CommandResult(("sh",), ending, exit_code, 3.0, output)


def test_the_failing_tests_are_named_as_pytest_names_them() -> None:
    suite = _failed("test", FailureCode.TESTS_FAILED, result(PYTEST_OUTPUT), ())
    assert suite.failing == ("tests/test_a.py::test_one", "tests/test_a.py::TestB::test_two[x - y]", "tests/test_c.py")
    assert suite.sentence.startswith("3 tests failed: tests/test_a.py::test_one")


def test_a_suite_without_tests_has_a_code_of_its_own() -> None:
    suite = _failed("test", FailureCode.TESTS_FAILED, result("no tests ran in 0.01s", exit_code=5), ())
    assert suite.code is FailureCode.NO_TESTS


def test_a_command_past_its_time_is_told_as_such() -> None:
    suite = _failed("install", FailureCode.INSTALL_FAILED, result("", -9, Ending.TIMED_OUT), ())
    assert suite.code is FailureCode.TEST_TIMEOUT
    assert suite.sentence == "The install command was stopped after 3 s, its time limit."


def test_a_failed_install_is_not_searched_for_tests() -> None:
    suite = _failed("install", FailureCode.INSTALL_FAILED, result(PYTEST_OUTPUT), ())
    assert suite.failing == ()
    assert suite.sentence == "The install command ended with exit code 1."


def test_no_failure_is_a_pass() -> None:
    assert SuiteResult(()).sentence == "All tests passed."
