"""Transitions are conditional, won once, and fenced by the lease."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from booty_site.runs import lifecycle
from booty_site.runs.models import NoticeState
from booty_site.runs.states import TERMINAL, TRANSITIONS, State
from jobs.models import OUTCOME_COMMENT, STATUS_COMMENT, Job
from tests.factories import make_job, make_run
from verifier.models import VerificationRun

pytestmark = pytest.mark.django_db


def claimed() -> Job:
    job = lifecycle.claim(Job, make_job().pk, "worker")
    assert job is not None
    return job


def in_state(state: State) -> Job:
    job = make_job()
    if state == State.QUEUED:
        return job
    job = lifecycle.claim(Job, job.pk, "worker")  # type: ignore[assignment]  # just made, so it is there to be claimed
    if state == State.WAITING:
        lifecycle._move(Job.objects.filter(pk=job.pk), state, lease_token=None, lease_expires_at=None)
    elif state in TERMINAL:
        assert lifecycle.finish(job, state, summary="over", code="crashed" if state in (State.FAILED, State.ERRORED) else "")
    job.refresh_from_db()
    return job


def values_for(state: State) -> dict[str, Any]:
    values: dict[str, Any] = {"finished_at": timezone.now() if state in TERMINAL else None}
    values["lease_token"] = Job().pk if state == State.RUNNING else None
    values["failure_code"] = "crashed" if state in (State.FAILED, State.ERRORED) else ""
    return values


@pytest.mark.parametrize("target", list(State))
@pytest.mark.parametrize("source", list(State))
def test_a_run_moves_only_along_the_table(source: State, target: State) -> None:
    job = in_state(source)
    moved = lifecycle._move(Job.objects.filter(pk=job.pk), target, **values_for(target))
    assert moved is (target in TRANSITIONS[source])
    job.refresh_from_db()
    assert job.state == (target if moved else source)


def test_a_run_is_claimed_once() -> None:
    job = make_job()
    first, second = (lifecycle.claim(Job, job.pk, name) for name in ("one", "two"))
    assert first is not None
    assert (first.attempt, first.worker) == (1, "one")
    assert second is None


def test_the_same_subject_has_one_active_run() -> None:
    first = make_job(issue_number=7001)
    again, new = lifecycle.begin(Job, subject=first.subject, issue_number=7001)
    assert (again, new) == (first, False)


def test_the_database_itself_refuses_a_second_active_run() -> None:
    first = make_job()
    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.create(subject=first.subject, issue_number=1)


def test_a_subject_whose_run_has_ended_may_have_another() -> None:
    first = in_state(State.FAILED)
    again, new = lifecycle.begin(Job, subject=first.subject, issue_number=first.issue_number)
    assert new
    assert again != first


@pytest.mark.parametrize(
    "values",
    [
        {"state": State.SUCCEEDED},
        {"state": State.RUNNING},
        {"state": State.FAILED, "finished_at": timezone.now()},
        {"state": State.SUCCEEDED, "finished_at": timezone.now(), "failure_code": "crashed"},
        {"finished_at": timezone.now()},
    ],
)
def test_the_database_refuses_a_row_that_contradicts_itself(values: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.filter(pk=make_job().pk).update(**values)


def test_ending_a_run_owes_its_notices_in_the_same_transaction() -> None:
    job = claimed()
    assert lifecycle.finish(job, State.FAILED, code="no_changes", summary="Nothing changed.")
    assert [notice.kind for notice in job.notices.filter(state=NoticeState.OWED)] == [OUTCOME_COMMENT, STATUS_COMMENT]


def test_when_the_notices_can_not_be_saved_the_run_has_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    job = claimed()
    monkeypatch.setattr(Job, "notices_owed", lambda self, state: ("x" * 300, None))
    with pytest.raises(Exception, match=r".+"), transaction.atomic():
        lifecycle.finish(job, State.FAILED, code="no_changes", summary="Nothing changed.")
    job.refresh_from_db()
    assert job.state == State.RUNNING


def test_a_lost_lease_can_neither_finish_nor_renew_nor_note() -> None:
    job = claimed()
    lifecycle.expire(job)
    assert lifecycle.requeue_lost(job)
    assert lifecycle.claim(Job, job.pk, "another") is not None
    assert not lifecycle.finish(job, State.SUCCEEDED, summary="done")
    assert not lifecycle.renew(job)
    assert not lifecycle.still_held(job)
    assert not lifecycle.note_failure(job, "crashed")
    job.refresh_from_db()
    assert (job.state, job.worker, job.attempt) == (State.RUNNING, "another", 2)


def test_a_living_lease_can_not_be_taken_over_or_requeued() -> None:
    job = claimed()
    assert lifecycle.take_over(job) is None
    assert not lifecycle.requeue_lost(job)


def test_an_expired_run_that_noted_a_failure_is_not_run_again() -> None:
    job = claimed()
    assert lifecycle.note_failure(job, "crashed")
    lifecycle.expire(job)
    assert not lifecycle.requeue_lost(job)


def test_only_one_of_two_takes_an_expired_run_over() -> None:
    job = claimed()
    Job.objects.filter(pk=job.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    job.refresh_from_db()
    assert lifecycle.take_over(job) is not None
    assert lifecycle.take_over(job) is None


def test_cancelling_ends_a_running_run_and_fences_its_worker() -> None:
    job = claimed()
    assert lifecycle.cancel(job, by="operator")
    assert not lifecycle.still_held(job)
    assert not lifecycle.cancel(job, by="operator")
    job.refresh_from_db()
    assert (job.state, job.summary) == (State.CANCELLED, "Cancelled by operator.")


def test_superseding_ends_only_what_is_active() -> None:
    ended, active = make_run(), make_run()
    lifecycle.cancel(ended, by="operator")
    assert lifecycle.supersede([ended, active], reason="A newer commit took its place.") == 1
    assert set(VerificationRun.objects.values_list("state", flat=True)) == {State.CANCELLED, State.SUPERSEDED}


def test_the_sentry_event_of_a_run_always_has_the_same_id() -> None:
    job = make_job()
    assert job.derived_event_id == Job.objects.get(pk=job.pk).derived_event_id
    assert len(job.derived_event_id) == 32
    assert job.derived_event_id != make_job().derived_event_id


def test_a_run_whose_failure_is_noted_can_not_be_cancelled_any_more() -> None:
    job = claimed()
    lifecycle.note_failure(job, "crashed")
    assert not lifecycle.cancel(job, by="operator")
    assert lifecycle.supersede([job], reason="A newer commit took its place.") == 0
    job.refresh_from_db()
    assert (job.state, job.failure_code) == (State.RUNNING, "crashed")
