"""What is closed or loses its label is not worked on any more, unless it was asked for again since."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from booty_site.runs import lifecycle
from booty_site.runs.states import State
from jobs.models import Job
from tests.factories import GitHubWorld
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
