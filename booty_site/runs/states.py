"""The states of a run, the legal ways between them, and the codes that say why a run did not succeed."""

from __future__ import annotations

from django.db.models import TextChoices


class State(TextChoices):
    """Where a run stands. The last five are terminal: such a row never changes its state again."""

    QUEUED = "queued", "queued"
    RUNNING = "running", "running"
    WAITING = "waiting", "waiting"
    SUCCEEDED = "succeeded", "succeeded"
    FAILED = "failed", "failed"
    ERRORED = "errored", "errored"
    CANCELLED = "cancelled", "cancelled"
    SUPERSEDED = "superseded", "superseded"


TRANSITIONS: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.RUNNING, State.ERRORED, State.CANCELLED, State.SUPERSEDED}),
    State.RUNNING: frozenset(
        {
            State.QUEUED,  # handed back: its worker was lost
            State.WAITING,
            State.SUCCEEDED,
            State.FAILED,
            State.ERRORED,
            State.CANCELLED,
            State.SUPERSEDED,
        }
    ),
    State.WAITING: frozenset({State.QUEUED, State.ERRORED, State.CANCELLED, State.SUPERSEDED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.ERRORED: frozenset(),
    State.CANCELLED: frozenset(),
    State.SUPERSEDED: frozenset(),
}
TERMINAL = tuple(state for state, following in TRANSITIONS.items() if not following)
ACTIVE = tuple(state for state, following in TRANSITIONS.items() if following)


def sources(target: State) -> tuple[State, ...]:
    """Return the states from which a run may go to `target`."""
    return tuple(state for state, following in TRANSITIONS.items() if target in following)


class FailureCode(TextChoices):
    """Why a run did not succeed. Codes are stable; the label says it in words."""

    TESTS_FAILED = "tests_failed", "tests failed"
    NO_TESTS = "no_tests", "no tests were found"
    TEST_TIMEOUT = "test_timeout", "a command took too long"
    SETUP_FAILED = "setup_failed", "setup failed"
    INSTALL_FAILED = "install_failed", "install failed"
    LIMITS_EXCEEDED = "limits_exceeded", "a limit was exceeded"
    IMPORTS_UNRESOLVED = "imports_unresolved", "imports do not resolve"
    COMPILE_FAILED = "compile_failed", "files do not compile"
    CONFIG_INVALID = "config_invalid", ".booty.yml is not valid"
    HEAD_GONE = "head_gone", "the commit is gone"
    NO_CHANGES = "no_changes", "the engine changed nothing"
    PATH_FORBIDDEN = "path_forbidden", "a forbidden path was changed"
    SECRET_FOUND = "secret_found", "a secret was found in the change"
    BUDGET_EXHAUSTED = "budget_exhausted", "the budget is used up"
    REFUSED = "refused", "refused"
    CRASHED = "crashed", "Booty crashed"
    RUN_TIMED_OUT = "run_timed_out", "the run took too long"
    WORKER_LOST = "worker_lost", "the worker was lost"
    DISPATCH_FAILED = "dispatch_failed", "no worker took the run"
    WORKSPACE_UNAVAILABLE = "workspace_unavailable", "the workspace could not be made"
    SANDBOX_UNAVAILABLE = "sandbox_unavailable", "the sandbox could not be started"
    ENGINE_FAILED = "engine_failed", "the engine failed"
    GITHUB_REFUSED = "github_refused", "GitHub refused"
