"""The event of a failed run fits Sentry's schema: read back from a server that refuses what does not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from pytest_django import Settings

from booty_site import observability
from booty_site.errors import EngineFailed
from booty_site.runs import notices
from booty_site.runs.models import SENTRY_NOTICE
from jobs.tasks import process_job
from tests.doubles.bugsink import BIN, Bugsink
from tests.factories import GitHubWorld

pytestmark = [pytest.mark.bugsink, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def bugsink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bugsink]:
    if not BIN.exists():
        pytest.fail("bugsink is not installed. Run this lane as `make test-bugsink`, which installs it.")
    server = Bugsink(tmp_path_factory.mktemp("bugsink"))
    yield server
    server.stop()


@pytest.fixture
def reporting(bugsink: Bugsink, settings: Settings) -> Iterator[Bugsink]:
    settings.SENTRY_DSN, settings.SENTRY_ENVIRONMENT, settings.SENTRY_RELEASE = bugsink.dsn, "testing", "booty@1.2.3"
    settings.BOOTY_ENGINE_COMMAND = ("/nowhere/agent",)
    observability.init()
    yield bugsink
    sentry_sdk.get_client().close(timeout=2)
    sentry_sdk.get_global_scope().set_client(None)


def found(server: Bugsink, event_id: str) -> dict[str, Any]:
    (event,) = [event for event in server.wait_for_events(1) if event["event_id"] == event_id]
    return event


def test_a_captured_failure_is_accepted_with_its_tags_release_and_environment(reporting: Bugsink, world: GitHubWorld) -> None:
    job = world.job_for_issue()
    with pytest.raises(EngineFailed):
        process_job(str(job.pk))
    event = found(reporting, job.derived_event_id)
    assert event["tags"]["job_id"] == str(job.pk)
    assert event["tags"]["issue_number"] == str(job.issue_number)
    assert (event["release"], event["environment"]) == ("booty@1.2.3", "testing")


def test_an_event_that_is_sent_later_is_accepted_too(
    reporting: Bugsink, world: GitHubWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = world.job_for_issue()
    event = observability.plain_event(EngineFailed("later"), job.sentry_tags(), job.derived_event_id)
    assert notices.deliver(job, SENTRY_NOTICE, event).values == {"sentry_event_id": job.derived_event_id}
    assert found(reporting, job.derived_event_id)["exception"]["values"][0]["value"] == "later"


def test_the_schema_is_really_checked(reporting: Bugsink, world: GitHubWorld) -> None:
    job = world.job_for_issue()
    bad = observability.plain_event(EngineFailed("bad"), job.sentry_tags(), job.derived_event_id) | {
        "tags": {"job_id": {"not": "a text"}}
    }
    with contextlib.suppress(observability.NotDelivered):
        observability.send_again(bad)
    assert all(event["event_id"] != job.derived_event_id for event in reporting.events())
