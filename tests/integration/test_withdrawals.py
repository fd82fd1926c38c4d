"""What is closed or loses its label is not worked on any more, unless it was asked for again since."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.utils import timezone

from booty_site.runs import lifecycle
from booty_site.runs.states import State
from jobs.models import Job
from jobs.tasks import process_job
from tests.factories import LABEL, REPOSITORY, GitHubWorld
from verifier.models import VerificationRun

pytestmark = pytest.mark.django_db(transaction=True)
Deliver = Callable[..., Any]


@pytest.fixture(autouse=True)
def no_broker_needed(broker: redis.Redis) -> None:
    """Each test has an empty broker."""


def test_closing_a_pull_request_cancels_its_verification(world: GitHubWorld, deliver: Deliver) -> None:
    payload = world.pull_payload()
    deliver("pull_request", payload)
    answer = deliver("pull_request", payload | {"action": "closed"})
    run = VerificationRun.objects.get()
    assert (answer.status_code, answer.json()) == (
        202,
        {"status": "accepted", "reason": "the run was cancelled", "run": str(run.pk)},
    )
    assert (run.state, run.summary) == (State.CANCELLED, "Cancelled by ada: the pull request was closed.")


@pytest.mark.parametrize(
    ("action", "why"), [("closed", "the issue was closed"), ("unlabeled", "the label agent:builder was removed")]
)
def test_an_issue_that_is_withdrawn_cancels_its_job(action: str, why: str, world: GitHubWorld, deliver: Deliver) -> None:
    payload = world.label_payload()
    deliver("issues", payload)
    answer = deliver("issues", payload | {"action": action})
    job = Job.objects.get()
    assert (answer.status_code, job.state, job.summary) == (202, State.CANCELLED, f"Cancelled by ada: {why}.")


def test_withdrawing_what_is_not_under_way_is_ignored(world: GitHubWorld, deliver: Deliver) -> None:
    assert deliver("issues", world.label_payload() | {"action": "closed"}).json()["status"] == "ignored"
    assert deliver("pull_request", world.pull_payload() | {"action": "closed"}).json()["status"] == "ignored"


def test_removing_another_label_cancels_nothing(world: GitHubWorld, deliver: Deliver) -> None:
    payload = world.label_payload()
    deliver("issues", payload)
    answer = deliver("issues", payload | {"action": "unlabeled", "label": payload["label"] | {"name": "bug"}})
    assert answer.json()["status"] == "ignored"
    assert Job.objects.get().state == State.QUEUED


def at(payload: dict[str, Any], subject: str, moment: str, action: str) -> dict[str, Any]:
    """Return a payload of another action and another time of the subject's last change."""
    return payload | {"action": action, subject: payload[subject] | {"updated_at": moment}}


def test_a_withdrawal_that_comes_late_leaves_the_work_that_was_asked_for_later(world: GitHubWorld, deliver: Deliver) -> None:
    issue, pull = world.label_payload(), world.pull_payload()
    deliver("issues", issue)
    deliver("pull_request", pull)
    late = "2020-01-01T00:00:00Z"
    assert deliver("issues", at(issue, "issue", late, "unlabeled")).json()["status"] == "ignored"
    assert deliver("pull_request", at(pull, "pull_request", late, "closed")).json()["status"] == "ignored"
    assert (Job.objects.get().state, VerificationRun.objects.get().state) == (State.QUEUED, State.QUEUED)


def test_a_labelling_that_comes_late_starts_nothing_after_a_later_one(world: GitHubWorld, deliver: Deliver) -> None:
    issue = world.label_payload()
    deliver("issues", issue)
    lifecycle.cancel(Job.objects.get(), by="operator")
    answer = deliver("issues", at(issue, "issue", "2020-01-01T00:00:00Z", "labeled"))
    assert answer.json()["status"] == "duplicate"
    assert Job.objects.count() == 1


def labelled(world: GitHubWorld, deliver: Deliver) -> Job:
    """Return the queued Job of an issue that was just labelled."""
    deliver("issues", world.label_payload())
    return Job.objects.get()


def worked_on(job: Job) -> Job:
    process_job(str(job.pk))
    job.refresh_from_db()
    return job


def test_an_issue_that_was_closed_without_our_being_told_is_not_worked_on(world: GitHubWorld, deliver: Deliver) -> None:
    job = labelled(world, deliver)
    world.double.close_issue(REPOSITORY, job.issue_number, by="ada")
    assert (worked_on(job).state, job.summary) == (
        State.CANCELLED,
        "The issue was closed before the work began, so nothing was changed.",
    )
    (status,) = world.double.comments(REPOSITORY, job.issue_number)
    assert "was closed before the work began" in status.body


def test_an_issue_that_lost_its_label_without_our_being_told_is_not_worked_on(world: GitHubWorld, deliver: Deliver) -> None:
    job = labelled(world, deliver)
    world.double.unlabel_issue(REPOSITORY, job.issue_number, LABEL, by="ada")
    assert (worked_on(job).state, job.summary) == (
        State.CANCELLED,
        "The label agent:builder was removed before the work began, so nothing was changed.",
    )


def test_an_answer_of_github_that_is_older_than_its_webhook_is_not_gone_by(world: GitHubWorld, deliver: Deliver) -> None:
    job = labelled(world, deliver)
    Job.objects.update(labelled_at=timezone.now() + timedelta(minutes=1))
    world.double.close_issue(REPOSITORY, job.issue_number, by="ada")
    assert (worked_on(job).state, job.setback) == (State.WAITING, "GitHubRefused: GitHub's answer is older than its webhook")
