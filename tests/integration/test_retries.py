"""What passes by itself is tried again and reported once, at the last attempt."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from booty_site.errors import WorkspaceUnavailable
from booty_site.runs import interruption, kinds, lifecycle, reconciler
from booty_site.runs.states import State
from tests.doubles.sentry import Sentry
from tests.factories import GitHubWorld
from verifier.models import VerificationRun
from verifier.tasks import process_verifier_job

pytestmark = pytest.mark.django_db(transaction=True)
FETCH = r"\.git/info/refs"


def attempt(run: VerificationRun) -> None:
    """Let a worker try, as it would once the pause is over and the run is queued again."""
    VerificationRun.objects.filter(pk=run.pk, state=State.WAITING).update(not_before=timezone.now() - timedelta(seconds=1))
    reconciler._wake_rested(kinds.kind_of(run))
    process_verifier_job(str(run.pk))
    run.refresh_from_db()


def test_a_run_that_met_a_passing_cause_waits_and_says_nothing(sentry: Sentry, world: GitHubWorld) -> None:
    run = world.run_for_pull()
    world.double.fail("GET", FETCH, status=502, times=None)
    attempt(run)
    assert (run.state, run.failure_code, run.lease_token) == (State.WAITING, "", None)
    assert run.not_before
    assert run.not_before > timezone.now()
    assert "502" in run.setback
    assert sentry.events() == []
    assert world.double.comments(run.repository, run.pull_number) == []
    (check,) = world.double.check_runs(run.repository, run.head_sha)
    assert check.status == "in_progress"


def test_a_run_that_waits_is_not_worked_on_before_its_time(world: GitHubWorld) -> None:
    run = world.run_for_pull()
    world.double.fail("GET", FETCH, status=502, times=None)
    attempt(run)
    reconciler.look()
    process_verifier_job(str(run.pk))
    run.refresh_from_db()
    assert (run.state, run.attempt) == (State.WAITING, 1)


def test_a_cause_that_has_passed_leaves_no_trace_outside(sentry: Sentry, world: GitHubWorld) -> None:
    run = world.run_for_pull()
    world.double.fail("GET", FETCH, status=502, times=1)
    attempt(run)
    attempt(run)
    assert (run.state, run.attempt) == (State.SUCCEEDED, 2)
    assert sentry.events() == []
    (check,) = world.double.check_runs(run.repository, run.head_sha)
    assert check.conclusion == "success"


def test_the_last_attempt_is_reported_once(sentry: Sentry, world: GitHubWorld, settings: Settings) -> None:
    settings.BOOTY_MAX_ATTEMPTS = 2
    run = world.run_for_pull()
    world.double.fail("GET", FETCH, status=502, times=None)
    attempt(run)
    with pytest.raises(WorkspaceUnavailable):
        attempt(run)
    run.refresh_from_db()
    assert (run.state, run.failure_code, run.attempt) == (State.ERRORED, "workspace_unavailable", 2)
    (event,) = sentry.events()
    assert event["event_id"] == run.sentry_event_id
    assert len(world.double.comments(run.repository, run.pull_number)) == 1


def test_a_cause_that_stays_is_reported_at_the_first_attempt(sentry: Sentry, world: GitHubWorld) -> None:
    run = world.run_for_pull()
    world.double.fail("GET", FETCH, status=403, times=None)
    with pytest.raises(WorkspaceUnavailable):
        process_verifier_job(str(run.pk))
    run.refresh_from_db()
    assert (run.state, run.attempt) == (State.ERRORED, 1)


def test_a_run_whose_worker_is_asked_to_stop_goes_back_to_the_queue(
    sentry: Sentry, world: GitHubWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.run_for_pull()
    monkeypatch.setattr(interruption, "_requested", True)
    process_verifier_job(str(run.pk))
    run.refresh_from_db()
    assert (run.state, run.attempt, run.failed_attempts, run.dispatched_at) == (State.QUEUED, 1, 0, None)
    assert sentry.events() == []


def test_a_run_that_was_handed_back_often_still_has_all_its_attempts(settings: Settings, world: GitHubWorld) -> None:
    settings.BOOTY_MAX_ATTEMPTS = 1
    run = world.run_for_pull()
    for _ in range(3):
        claimed = lifecycle.claim(VerificationRun, run.pk, "host:1")
        assert claimed is not None
        assert lifecycle.hand_back(claimed)
    process_verifier_job(str(run.pk))
    run.refresh_from_db()
    assert (run.state, run.attempt) == (State.SUCCEEDED, 4)


def test_a_run_that_noted_a_failure_is_neither_handed_back_nor_put_off(world: GitHubWorld) -> None:
    run = lifecycle.claim(VerificationRun, world.run_for_pull().pk, "host:1")
    assert run is not None
    lifecycle.note_failure(run, "crashed")
    assert not lifecycle.hand_back(run)
    assert not lifecycle.put_off(run, 1, setback="too late")
