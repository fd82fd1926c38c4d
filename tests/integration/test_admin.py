"""The operator's window: what can be seen, found and done there."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from booty_site.models import DeliveryStatus, Source, WebhookDelivery
from booty_site.runs import lifecycle
from booty_site.runs.states import State
from jobs.models import Job
from tests.factories import make_job, make_run
from verifier.models import VerificationRun

pytestmark = pytest.mark.django_db
JOBS, RUNS, DELIVERIES = "/admin/jobs/job/", "/admin/verifier/verificationrun/", "/admin/booty_site/webhookdelivery/"


def ended(run: Any, state: State, code: str = "", **values: Any) -> Any:
    held = lifecycle.claim(type(run), run.pk, "host:1")
    assert held is not None
    assert lifecycle.finish(held, state, code=code, summary="It ended.", values=values)
    return held


def listed(client: Client, page: str, **query: str) -> set[Any]:
    answer = client.get(page, query)
    assert answer.status_code == 200
    return {row.pk for row in answer.context["cl"].result_list}


@pytest.fixture
def jobs() -> dict[str, Job]:
    return {
        "queued": make_job(issue_number=12, issue_title="Teach it to subtract"),
        "failed": ended(
            make_job(issue_number=34, issue_title="Paint it green", repository="acme/painter"), State.FAILED, "no_changes"
        ),
        "errored": ended(make_job(issue_number=56), State.ERRORED, "engine_failed"),
    }


@pytest.mark.parametrize("page", [JOBS, RUNS, DELIVERIES, "/admin/"])
def test_the_admin_is_for_staff(client: Client, page: str) -> None:
    client.force_login(User.objects.create_user("visitor"))
    assert client.get(page).status_code == 302


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, {"queued", "failed", "errored"}),
        ({"state__exact": "failed"}, {"failed"}),
        ({"failure_code__exact": "engine_failed"}, {"errored"}),
        ({"repository": "acme/painter"}, {"failed"}),
        ({"created_at__gte": "2000-01-01 00:00:00+00:00"}, {"queued", "failed", "errored"}),
        ({"created_at__lt": "2000-01-01 00:00:00+00:00"}, set()),
        ({"q": "12"}, {"queued"}),
        ({"q": "#34"}, {"failed"}),
        ({"q": "painter"}, {"failed"}),
        ({"q": "green 34"}, {"failed"}),
        ({"q": "SUBTRACT"}, {"queued", "errored"}),
        ({"q": "99999999999999999999"}, set()),
        ({"q": "nothing like it"}, set()),
    ],
)
def test_jobs_are_filtered_and_searched(
    staff_client: Client, jobs: dict[str, Job], query: dict[str, str], found: set[str]
) -> None:
    assert listed(staff_client, JOBS, **query) == {jobs[name].pk for name in found}


def test_verification_runs_are_filtered_and_searched(staff_client: Client) -> None:
    passed = ended(make_run(pull_number=7, pull_title="Explain it"), State.SUCCEEDED, verdict="passed")
    waiting = make_run(pull_number=8)
    assert listed(staff_client, RUNS, state__exact="succeeded") == {passed.pk}
    assert listed(staff_client, RUNS, q="8") == {waiting.pk}
    assert listed(staff_client, RUNS, q="explain") == {passed.pk}


def test_deliveries_are_filtered_and_searched(staff_client: Client) -> None:
    job = make_job()
    rows = [
        WebhookDelivery.objects.create(
            source=Source.GITHUB,
            delivery_id=f"id-{status}",
            event="issues",
            repository="acme/calculator",
            status=status,
            run_id=job.pk,
        )
        for status in DeliveryStatus
    ]
    assert listed(staff_client, DELIVERIES, status__exact="ignored") == {rows[2].pk}
    assert listed(staff_client, DELIVERIES, q="id-pong") == {rows[3].pk}
    page = staff_client.get(f"{DELIVERIES}{rows[0].pk}/change/")
    assert f"{JOBS}{job.pk}/change/" in page.content.decode()


def test_the_number_of_queries_of_a_list_does_not_grow_with_its_rows(
    staff_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(30):
        ended(make_job(), State.FAILED, "no_changes")
    with django_assert_max_num_queries(9):
        staff_client.get(JOBS)


@pytest.fixture
def eventful_run(settings: Settings) -> VerificationRun:
    settings.BOOTY_SENTRY_EVENT_URL = "https://sentry.example/events/{event_id}"
    delivery = WebhookDelivery.objects.create(
        source=Source.GITHUB,
        delivery_id="the-delivery",
        event="pull_request",
        status="accepted",
        payload={"title": "<b>bold</b>"},
    )
    run = make_run(pull_number=7, pull_title="<script>alert(1)</script>", delivery=delivery)
    VerificationRun.objects.filter(pk=run.pk).update(dispatches=1, dispatched_at=timezone.now())
    held = lifecycle.claim(VerificationRun, run.pk, "host:1")
    assert held is not None
    held.commands.create(
        attempt=1,
        name="test",
        argv=["/bin/sh", "-c", "pytest"],
        ending="exited",
        exit_code=1,
        seconds=1.25,
        output="\x1b[31m<i>red</i>\x1b[0m",
    )
    lifecycle.finish(
        held, State.ERRORED, code="crashed", summary="Booty met an error of its own.", values={"sentry_event_id": "ab" * 16}
    )
    held.notices.filter(kind="comment").update(last_error="GitHubRefused: GitHub answered 502", tries=3)
    return held


def test_a_runs_page_tells_its_story_and_links_to_all_that_belongs_to_it(
    staff_client: Client, eventful_run: VerificationRun
) -> None:
    page = staff_client.get(f"{RUNS}{eventful_run.pk}/change/").content.decode()
    for text in (
        "Delivery received",
        "Handed to the broker",
        "Claimed by a worker",
        "Command: test",
        "exit code 1",
        "1.2 s",
        "GitHub answered 502",
        "/acme/calculator/pull/7",
        f"https://sentry.example/events/{'ab' * 16}",
        f"/admin/django_rq/dashboard/queues/1/{eventful_run.rq_job_id}/",
        "/admin/booty_site/webhookdelivery/",
        "the-delivery",
    ):
        assert text in page


def test_nothing_of_githubs_or_of_a_commands_is_rendered_as_markup(staff_client: Client, eventful_run: VerificationRun) -> None:
    page = staff_client.get(f"{RUNS}{eventful_run.pk}/change/").content.decode()
    assert "<script>alert" not in page
    assert "&lt;i&gt;red&lt;/i&gt;" in page
    assert "\x1b" not in page
    assert "<b>bold" not in page


def test_rows_can_be_neither_added_nor_edited_nor_deleted(staff_client: Client, jobs: dict[str, Job]) -> None:
    job = jobs["queued"]
    assert staff_client.get(f"{JOBS}add/").status_code == 403
    assert staff_client.post(f"{JOBS}{job.pk}/delete/", {"post": "yes"}).status_code == 403
    staff_client.post(f"{JOBS}{job.pk}/change/", {"state": "succeeded"})
    job.refresh_from_db()
    assert job.state == State.QUEUED


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("make", [make_job, make_run])
def test_retrying_makes_a_new_run_that_names_the_old_and_dispatches_it(
    staff_client: Client, broker: redis.Redis, make: Any
) -> None:
    old = ended(make(), State.FAILED, "refused")
    page = JOBS if isinstance(old, Job) else RUNS
    answer = staff_client.post(f"{page}{old.pk}/retry/", follow=True)
    new = type(old).objects.exclude(pk=old.pk).get()
    assert (new.retry_of, new.trigger, new.requested_by, new.dispatches) == (old, "admin", "operator", 1)
    assert "was queued again" in answer.content.decode()
    assert LogEntry.objects.get().object_id == str(old.pk)


@pytest.mark.django_db(transaction=True)
def test_several_runs_are_retried_from_the_list(staff_client: Client, broker: redis.Redis) -> None:
    old = [ended(make_job(), State.FAILED, "refused") for _ in range(3)]
    staff_client.post(JOBS, {"action": "retry_selected", "_selected_action": [str(job.pk) for job in old]})
    assert Job.objects.active().count() == 3


def test_an_active_run_is_not_retried(staff_client: Client, jobs: dict[str, Job]) -> None:
    answer = staff_client.post(f"{JOBS}{jobs['queued'].pk}/retry/", follow=True)
    assert "has not ended yet" in answer.content.decode()
    assert Job.objects.count() == 3


def test_cancelling_ends_the_run_owes_the_notice_and_is_logged(staff_client: Client, jobs: dict[str, Job]) -> None:
    job = jobs["queued"]
    staff_client.post(f"{JOBS}{job.pk}/cancel/")
    job.refresh_from_db()
    assert (job.state, job.summary) == (State.CANCELLED, "Cancelled by operator.")
    assert job.notices.filter(kind="status_comment", state="owed").exists()
    assert LogEntry.objects.get().change_message == "Cancelled."


def test_cancelling_what_has_ended_changes_nothing(staff_client: Client, jobs: dict[str, Job]) -> None:
    answer = staff_client.post(JOBS, {"action": "cancel_selected", "_selected_action": [str(jobs["failed"].pk)]}, follow=True)
    assert "had ended already" in answer.content.decode()
    jobs["failed"].refresh_from_db()
    assert jobs["failed"].state == State.FAILED


@pytest.mark.parametrize("action", ["retry", "cancel"])
def test_actions_are_never_a_plain_link(staff_client: Client, jobs: dict[str, Job], action: str) -> None:
    assert staff_client.get(f"{JOBS}{jobs['queued'].pk}/{action}/").status_code == 405


def test_who_may_only_look_can_look_and_not_act(client: Client, jobs: dict[str, Job]) -> None:
    reader = User.objects.create_user("reader", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_job"))
    client.force_login(reader)
    job = jobs["queued"]
    page = client.get(f"{JOBS}{job.pk}/change/")
    assert page.status_code == 200
    assert "booty-tool" not in page.content.decode()
    assert client.post(f"{JOBS}{job.pk}/cancel/").status_code == 403
    client.post(JOBS, {"action": "cancel_selected", "_selected_action": [str(job.pk)]})
    job.refresh_from_db()
    assert job.state == State.QUEUED


@pytest.mark.parametrize("action", ["retry", "cancel"])
def test_acting_on_a_run_that_is_not_there_is_404(staff_client: Client, action: str) -> None:
    assert staff_client.post(f"{JOBS}00000000-0000-0000-0000-000000000000/{action}/").status_code == 404


def test_the_dashboard_of_the_queues_is_reachable(staff_client: Client, broker: redis.Redis) -> None:
    page = staff_client.get("/admin/django_rq/dashboard/")
    assert page.status_code == 200
    assert "verifier" in page.content.decode()
