"""What no webhook told of is found on GitHub and taken up once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from booty_site import missed
from booty_site.models import DeliveryStatus, Source, Turn, WebhookDelivery
from booty_site.runs.states import State
from jobs.models import Job
from jobs.tasks import process_job
from tests.doubles.github import RecordedRequest, WebhookTarget
from tests.factories import LABEL, REPOSITORY, GitHubWorld
from verifier.models import VerificationRun

pytestmark = pytest.mark.django_db(transaction=True)


class Receiver:
    """A webhook that answers as it is told and counts what comes."""

    def __init__(self) -> None:
        receiver = self
        self.status, self.came = 503, 0

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                receiver.came += 1
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Stay silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/webhooks/github"
        Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver(world: GitHubWorld, settings: Settings) -> Iterator[Receiver]:
    receiver = Receiver()
    world.double.set_webhook(WebhookTarget(url=receiver.url, secret=settings.WEBHOOK_SECRET))
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


def test_a_pull_request_without_a_run_is_taken_up_once(world: GitHubWorld) -> None:
    payload = world.pull_payload()
    assert [missed.look(), missed.look()] == [1, 0]
    run = VerificationRun.objects.get()
    assert (run.pull_number, run.head_sha) == (payload["number"], payload["pull_request"]["head"]["sha"])
    assert (run.trigger, run.requested_by, run.from_fork) == ("pull_request.found", "ada", False)


def test_how_a_run_came_to_be_is_on_record(world: GitHubWorld) -> None:
    world.pull_payload()
    missed.look()
    delivery = WebhookDelivery.objects.get()
    assert (delivery.source, delivery.status) == (Source.FOUND, DeliveryStatus.ACCEPTED)
    assert delivery.run_id == VerificationRun.objects.get().pk


def test_an_issue_without_a_run_is_taken_up_for_whoever_labelled_it(world: GitHubWorld) -> None:
    world.double.add_user("grace")
    world.double.set_permission(REPOSITORY, "grace", "write")
    issue = world.double.open_issue(REPOSITORY, "Teach it to subtract", "Please.", by="ada")
    world.double.label_issue(REPOSITORY, issue.number, LABEL, by="grace")
    assert [missed.look(), missed.look()] == [1, 0]
    job = Job.objects.get()
    assert (job.issue_number, job.issue_body, job.requested_by) == (issue.number, "Please.", "grace")


def test_a_label_by_someone_who_may_not_write_is_refused_when_found_too(world: GitHubWorld) -> None:
    world.double.add_user("mallory")
    world.label_payload(by="mallory")
    missed.look()
    job = Job.objects.get()
    process_job(str(job.pk))
    job.refresh_from_db()
    assert (job.state, job.failure_code) == (State.FAILED, "refused")


def test_what_has_a_run_is_left_alone(world: GitHubWorld, deliver: Callable[..., Any]) -> None:
    deliver("pull_request", world.pull_payload())
    deliver("issues", world.label_payload())
    assert missed.look() == 0
    assert (VerificationRun.objects.count(), Job.objects.count()) == (1, 1)


def test_closed_issues_and_pull_requests_are_not_taken_up(world: GitHubWorld) -> None:
    pull, issue = world.pull_payload()["number"], world.label_payload()["issue"]["number"]
    world.double.close_pull(REPOSITORY, pull, by="ada")
    world.double.close_issue(REPOSITORY, issue, by="ada")
    assert missed.look() == 0


def test_a_webhook_that_comes_after_all_makes_no_second_run(world: GitHubWorld, deliver: Callable[..., Any]) -> None:
    pull, issue = world.pull_payload(), world.label_payload()
    assert missed.look() == 2
    for model in (Job, VerificationRun):
        model.objects.update(state=State.ERRORED, failure_code="crashed", finished_at=model.objects.get().created_at)
    for event, payload in (("pull_request", pull), ("issues", issue)):
        assert deliver(event, payload).json()["status"] == "duplicate"
    assert (VerificationRun.objects.count(), Job.objects.count()) == (1, 1)


def test_a_repository_that_is_not_allowed_is_not_looked_into(world: GitHubWorld, settings: Settings) -> None:
    settings.ALLOWED_REPOSITORIES = ("someone/else",)
    world.pull_payload()
    assert missed.look() == 0


def test_without_credentials_nobody_is_asked(settings: Settings) -> None:
    settings.GITHUB_APP_ID = 0
    assert missed.look() == 0


def test_a_github_that_does_not_answer_is_asked_again_later(world: GitHubWorld) -> None:
    world.pull_payload()
    world.double.fail("GET", r"/(app|installation|pulls)", status=503, times=None)
    assert missed.look() == 0
    world.double.clear_faults()
    assert missed.look() == 1


def test_most_of_githubs_requests_are_left_to_the_work(world: GitHubWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    from booty_site.github.client import GitHub

    world.double.add_repository("acme/second")
    asked: list[str] = []

    def nearly_all(github: GitHub) -> float:
        asked.append(github.full_name)
        return 0.9

    monkeypatch.setattr(GitHub, "spent", nearly_all)
    missed.look()
    assert len(asked) == 1


def failed_delivery(world: GitHubWorld, receiver: Receiver, status: int) -> None:
    receiver.status = status
    world.double.open_issue(REPOSITORY, "Hello", "", by="ada")
    assert world.double.wait_for_deliveries()


@pytest.mark.parametrize("status", [500, 503])
def test_a_delivery_that_was_answered_with_a_server_error_is_asked_for_again(
    status: int, world: GitHubWorld, receiver: Receiver
) -> None:
    failed_delivery(world, receiver, status)
    receiver.status = 202
    assert missed.look() == 1
    assert world.double.wait_for_deliveries()
    assert receiver.came == 2
    assert missed.look() == 0


def test_a_delivery_that_nobody_answered_is_asked_for_again(world: GitHubWorld, receiver: Receiver, settings: Settings) -> None:
    world.double.set_webhook(WebhookTarget(url="http://127.0.0.1:1/webhooks/github", secret=settings.WEBHOOK_SECRET))
    world.double.open_issue(REPOSITORY, "Hello", "", by="ada")
    assert world.double.wait_for_deliveries()
    assert missed.look() == 1


def test_a_delivery_that_was_refused_is_not_asked_for_again(world: GitHubWorld, receiver: Receiver) -> None:
    failed_delivery(world, receiver, 403)
    assert missed.look() == 0


def test_a_delivery_is_asked_for_again_three_times_at_most(world: GitHubWorld, receiver: Receiver) -> None:
    failed_delivery(world, receiver, 503)
    asked = []
    for _ in range(5):
        asked.append(missed.look())
        assert world.double.wait_for_deliveries()
    assert asked == [1, 1, 1, 0, 0]
    assert receiver.came == 4


def test_one_delivery_that_can_not_be_had_again_does_not_keep_the_others(world: GitHubWorld, receiver: Receiver) -> None:
    for _ in range(2):
        failed_delivery(world, receiver, 503)
    world.double.fail("POST", r"/attempts$", status=422, times=1)
    assert missed.look() == 1


def test_who_labelled_an_issue_is_asked_only_when_it_has_no_job(world: GitHubWorld) -> None:
    asked: list[str] = []
    world.double.on_request("GET", r"/issues/\d+/events", lambda request: asked.append(request.path))
    world.label_payload()
    assert [missed.look(), missed.look()] == [1, 0]
    assert len(asked) == 1


def test_two_reconcilers_do_not_ask_for_the_same_delivery_at_once(world: GitHubWorld, receiver: Receiver) -> None:
    failed_delivery(world, receiver, 503)
    also_found: list[int] = []

    def look_meanwhile(request: RecordedRequest) -> None:
        if not also_found:
            also_found.append(-1)
            also_found[0] = missed.look()
            connection.close()

    world.double.on_request("GET", r"/app/hook/deliveries", look_meanwhile)
    assert missed.look() == 1
    assert also_found == [0]


def test_the_turn_of_a_reconciler_that_died_runs_out() -> None:
    assert [Turn.objects.take("a job", 60), Turn.objects.take("a job", 60)] == [True, False]
    Turn.objects.update(until=timezone.now())
    assert Turn.objects.take("a job", 60)
