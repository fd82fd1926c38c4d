"""The small pages: the Sentry test, health and readiness."""

from __future__ import annotations

import pytest
import redis
from django.contrib.auth.models import User
from django.db import DatabaseError
from django.test import Client
from pytest_django import Settings

from booty_site.views import SentryTestError
from tests.doubles.sentry import Sentry

pytestmark = pytest.mark.django_db
PAGE = "/internal/sentry-test"


def test_an_anonymous_visitor_of_the_sentry_test_is_sent_to_the_login(client: Client, sentry: Sentry) -> None:
    answer = client.get(PAGE)
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/admin/login/?next={PAGE}")
    assert sentry.events() == []


def test_a_plain_user_of_the_sentry_test_is_refused(client: Client, sentry: Sentry) -> None:
    client.force_login(User.objects.create_user("visitor"))
    assert client.get(PAGE).status_code == 403
    assert sentry.events() == []


def test_staff_sees_the_sentry_test_raise(staff_client: Client) -> None:
    with pytest.raises(SentryTestError):
        staff_client.get(PAGE)


def test_the_event_of_the_sentry_test_arrives_with_release_and_environment(staff_client: Client, sentry: Sentry) -> None:
    staff_client.raise_request_exception = False
    assert staff_client.get(PAGE, headers={"Authorization": "Bearer abcdefghijklmnopqrst"}).status_code == 500
    (event,) = sentry.wait_for_events(1)
    assert event["exception"]["values"][-1]["type"] == "SentryTestError"
    assert (event["release"], event["environment"]) == ("booty@1.2.3", "testing")
    session = staff_client.cookies["sessionid"].value
    assert session not in str(event)
    assert "abcdefghijklmnopqrst" not in str(event)


def test_the_sentry_test_is_for_reading_only(staff_client: Client) -> None:
    assert staff_client.post(PAGE).status_code == 405


def test_the_process_is_up(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


def test_ready_with_everything_there(client: Client, broker: redis.Redis) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_but_degraded_without_a_broker(client: Client, settings: Settings) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "degraded", "missing": ["broker"]})


def test_not_ready_when_deliveries_can_not_be_stored(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise DatabaseError("gone")

    monkeypatch.setattr("booty_site.views.connection.cursor", refuse)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["missing"]) == (503, ["database"])


def test_the_front_page_leads_to_the_admin(client: Client) -> None:
    assert client.get("/").headers["Location"] == "/admin/"
