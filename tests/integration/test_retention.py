"""Payloads and output are purged after their time; rows, and what is still owed, stay."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from booty_site.models import DeliveryStatus, Source, WebhookDelivery
from booty_site.runs import lifecycle, retention
from booty_site.runs.models import SENTRY_NOTICE, NoticeState
from booty_site.runs.states import State
from jobs.models import Job, JobNotice
from tests.factories import make_job

pytestmark = pytest.mark.django_db


def ended(days: int, **values: Any) -> Job:
    """Return a Job that ended so many days ago, with a command's output and a notice's payload."""
    job = lifecycle.claim(Job, make_job(**values).pk, "host:1")
    assert job is not None
    job.commands.create(attempt=1, name="test", argv=["pytest"], output="a lot of text")
    lifecycle.finish(job, State.ERRORED, code="crashed", summary="It broke.", payloads={SENTRY_NOTICE: {"event_id": "0" * 32}})
    job.notices.update(state=NoticeState.SENT)
    Job.objects.filter(pk=job.pk).update(finished_at=timezone.now() - timedelta(days=days))
    return job


def delivered(days: int) -> WebhookDelivery:
    return WebhookDelivery.objects.create(
        source=Source.GITHUB,
        delivery_id=f"delivery-{days}",
        event="issues",
        status=DeliveryStatus.ACCEPTED,
        payload={"action": "labeled"},
        received_at=timezone.now() - timedelta(days=days),
    )


def test_what_is_older_loses_its_payload_and_output_and_keeps_its_row() -> None:
    job, delivery = ended(31), delivered(31)
    purged = retention.prune(timezone.now() - timedelta(days=30))
    delivery.refresh_from_db()
    assert (delivery.payload, delivery.event) == (None, "issues")
    command = job.commands.get()
    assert (command.output, command.name) == ("", "test")
    assert job.notices.get(kind=SENTRY_NOTICE).payload is None
    assert purged == retention.Purged(deliveries=1, commands=1, notices=1)


def test_what_is_younger_stays() -> None:
    job, delivery = ended(29), delivered(29)
    assert retention.prune(timezone.now() - timedelta(days=30)) == retention.Purged(0, 0, 0)
    delivery.refresh_from_db()
    assert delivery.payload
    assert job.commands.get().output


def test_what_is_still_owed_keeps_its_payload() -> None:
    job = ended(31)
    JobNotice.objects.filter(kind=SENTRY_NOTICE).update(state=NoticeState.OWED)
    retention.prune(timezone.now() - timedelta(days=30))
    assert job.notices.get(kind=SENTRY_NOTICE).payload


def test_the_output_of_a_run_under_way_stays_however_old() -> None:
    job = lifecycle.claim(Job, make_job(created_at=timezone.now() - timedelta(days=90)).pk, "host:1")
    assert job is not None
    job.commands.create(attempt=1, name="test", argv=["pytest"], output="still going")
    retention.prune(timezone.now())
    assert job.commands.get().output == "still going"


def test_more_than_a_batch_is_purged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    for number in range(5):
        delivered(40 + number)
    assert retention.prune(timezone.now() - timedelta(days=30)).deliveries == 5


def test_the_command_says_what_it_purged_and_goes_by_its_days() -> None:
    delivered(8)
    output = StringIO()
    call_command("prune", stdout=output)
    assert "payloads of 0 deliveries" in output.getvalue()
    call_command("prune", days=7, stdout=output)
    assert "Older than 7 days: purged the payloads of 1 deliveries" in output.getvalue()
