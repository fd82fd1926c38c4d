from __future__ import annotations

from booty_site.errors import BootyError, EngineFailed, code_of, public_sentence
from booty_site.runs.states import ACTIVE, TERMINAL, TRANSITIONS, FailureCode, State, sources


def test_every_state_is_in_the_table() -> None:
    assert set(TRANSITIONS) == set(State)


def test_the_last_five_states_are_terminal() -> None:
    assert set(TERMINAL) == {State.SUCCEEDED, State.FAILED, State.ERRORED, State.CANCELLED, State.SUPERSEDED}
    assert set(ACTIVE) | set(TERMINAL) == set(State)


def test_only_a_running_run_succeeds_or_fails() -> None:
    assert sources(State.SUCCEEDED) == sources(State.FAILED) == (State.RUNNING,)


def test_every_active_run_can_be_cancelled_superseded_or_errored() -> None:
    for target in (State.CANCELLED, State.SUPERSEDED, State.ERRORED):
        assert set(sources(target)) == set(ACTIVE)


def _taxonomy(error: type[BootyError]) -> list[type[BootyError]]:
    return [error, *(found for child in error.__subclasses__() for found in _taxonomy(child))]


def test_every_error_has_a_code_of_the_table_and_a_sentence_that_ends() -> None:
    for error in _taxonomy(BootyError):
        assert error.code in FailureCode.values
        assert error.public.endswith(".")


def test_an_unknown_exception_is_a_crash_and_its_text_is_not_published() -> None:
    error = ValueError("/etc/passwd")
    assert code_of(error) == "crashed"
    assert "/etc" not in public_sentence(error)


def test_a_known_error_may_say_more_to_the_operator_than_to_the_public() -> None:
    error = EngineFailed("no such file: agent", public="The coding engine could not be started.")
    assert "agent" in str(error)
    assert public_sentence(error) == "The coding engine could not be started."
