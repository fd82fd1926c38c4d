"""What GitHub is answered, and what each delivery leaves behind."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.db import DatabaseError, connection
from django.test import Client
from pytest_django import Settings

from booty_site.models import WebhookDelivery
from booty_site.runs import dispatch, lifecycle
from booty_site.runs.states import State
from jobs.models import Job
from tests.factories import GitHubWorld, signed_post
from verifier.models import VerificationRun

pytestmark = pytest.mark.django_db(transaction=True)
Deliver = Callable[..., Any]


@pytest.fixture(autouse=True)
def no_broker_needed(broker: redis.Redis) -> None:
    """Each test has an empty broker."""


def test_a_labelled_issue_is_accepted_and_becomes_one_queued_job(deliver: Deliver, world: GitHubWorld) -> None:
    answer = deliver("issues", world.label_payload())
    job = Job.objects.get()
    assert answer.status_code == 202
    assert answer.json() == {"status": "accepted", "run": str(job.pk)}
    assert (job.state, job.requested_by, job.base_branch) == (State.QUEUED, "ada", "main")
    delivery = WebhookDelivery.objects.get()
    assert (delivery.status, delivery.run_id) == ("accepted", job.pk)
    assert delivery.payload
    assert delivery.payload["action"] == "labeled"


def test_the_rq_job_carries_the_rows_key_and_nothing_else(deliver: Deliver, world: GitHubWorld) -> None:
    deliver("issues", world.label_payload())
    job = Job.objects.get()
    rq_job = dispatch._queue("jobs").fetch_job(f"booty-{job.pk}-1")
    assert rq_job is not None
    assert (rq_job.func_name, rq_job.args, rq_job.kwargs) == ("jobs.tasks.process_job", (str(job.pk),), {})
    assert job.rq_job_id == rq_job.id


def test_an_opened_pull_request_becomes_one_queued_verification(deliver: Deliver, world: GitHubWorld) -> None:
    payload = world.pull_payload()
    assert deliver("pull_request", payload).status_code == 202
    run = VerificationRun.objects.get()
    assert (run.head_sha, run.pull_number) == (payload["pull_request"]["head"]["sha"], payload["number"])


def test_a_form_encoded_delivery_is_read_too(deliver: Deliver, world: GitHubWorld) -> None:
    assert deliver("issues", world.label_payload(), form=True).status_code == 202


def test_the_same_delivery_twice_gives_one_run(deliver: Deliver, world: GitHubWorld) -> None:
    payload = world.label_payload()
    first = deliver("issues", payload, delivery_id="same")
    second = deliver("issues", payload, delivery_id="same")
    assert (first.status_code, second.status_code) == (202, 200)
    assert second.json()["status"] == "duplicate"
    assert second.json()["run"] == first.json()["run"]
    assert Job.objects.count() == WebhookDelivery.objects.count() == 1


def test_labelling_again_while_a_job_is_active_gives_one_run(deliver: Deliver, world: GitHubWorld) -> None:
    payload = world.label_payload()
    first = deliver("issues", payload)
    second = deliver("issues", payload)
    assert (second.status_code, second.json()["run"]) == (200, first.json()["run"])


def test_labelling_again_after_the_end_starts_a_new_job_that_names_the_old(deliver: Deliver, world: GitHubWorld) -> None:
    payload = world.label_payload()
    deliver("issues", payload)
    old = Job.objects.get()
    lifecycle.cancel(old, by="operator")
    assert deliver("issues", payload).status_code == 202
    assert Job.objects.exclude(pk=old.pk).get().retry_of == old


def test_two_deliveries_for_one_head_commit_give_one_run(deliver: Deliver, world: GitHubWorld) -> None:
    payload = world.pull_payload()
    deliver("pull_request", payload)
    assert deliver("pull_request", payload | {"action": "synchronize"}).status_code == 200
    assert VerificationRun.objects.count() == 1


def test_a_newer_commit_supersedes_the_run_of_the_older(deliver: Deliver, world: GitHubWorld) -> None:
    payload = world.pull_payload()
    deliver("pull_request", payload)
    old = VerificationRun.objects.get()
    assert deliver("pull_request", world.push_again(payload["number"])).status_code == 202
    old.refresh_from_db()
    assert old.state == State.SUPERSEDED
    assert VerificationRun.objects.active().count() == 1
    assert old.notices.filter(kind="check", state="owed").exists()


def test_a_late_delivery_of_an_older_commit_does_not_displace_the_newer(deliver: Deliver, world: GitHubWorld) -> None:
    older = world.pull_payload()
    older["pull_request"]["updated_at"] = "2020-01-01T00:00:00Z"
    newer = world.push_again(older["number"])
    deliver("pull_request", newer)
    answer = deliver("pull_request", older)
    assert (answer.status_code, answer.json()["status"]) == (200, "ignored")
    assert VerificationRun.objects.get().state == State.QUEUED


def test_reopening_verifies_the_same_commit_again(deliver: Deliver, world: GitHubWorld) -> None:
    payload = world.pull_payload()
    deliver("pull_request", payload)
    held = lifecycle.claim(VerificationRun, VerificationRun.objects.get().pk, "host:1")
    assert held is not None
    lifecycle.finish(held, State.SUCCEEDED, summary="All tests passed.")
    assert deliver("pull_request", payload | {"action": "synchronize"}).status_code == 200
    assert deliver("pull_request", payload | {"action": "reopened"}).status_code == 202


@pytest.mark.parametrize("kind", ["check_run", "check_suite"])
def test_a_rerequested_check_is_a_new_run_of_the_same_commit(deliver: Deliver, world: GitHubWorld, kind: str) -> None:
    payload = world.pull_payload()
    deliver("pull_request", payload)
    old = VerificationRun.objects.get()
    lifecycle.cancel(old, by="operator")
    check = {"head_sha": old.head_sha, "name": "booty/verifier", "pull_requests": []}
    rerequest = {"action": "rerequested", "repository": payload["repository"], "sender": payload["sender"], kind: check}
    assert deliver(kind, rerequest).status_code == 202
    new = VerificationRun.objects.exclude(pk=old.pk).get()
    assert (new.retry_of, new.head_sha, new.trigger) == (old, old.head_sha, f"{kind}.rerequested")


def test_a_rerequest_for_an_unknown_commit_is_ignored_with_advice(deliver: Deliver, world: GitHubWorld) -> None:
    payload = world.pull_payload()
    check = {"head_sha": "c" * 40, "name": "booty/verifier", "pull_requests": []}
    rerequest = {"action": "rerequested", "repository": payload["repository"], "sender": payload["sender"], "check_run": check}
    answer = deliver("check_run", rerequest)
    assert answer.status_code == 200
    assert "close and reopen" in answer.json()["reason"]


def test_a_ping_is_answered(deliver: Deliver) -> None:
    answer = deliver("ping", {"zen": "Design for failure."})
    assert (answer.status_code, answer.json()) == (200, {"status": "pong"})


def test_an_event_that_booty_does_not_act_on_is_ignored_with_a_reason_and_keeps_no_payload(deliver: Deliver) -> None:
    answer = deliver("star", {"action": "created", "repository": {"full_name": "acme/calculator"}, "sender": {"login": "ada"}})
    assert (answer.status_code, answer.json()["status"]) == (200, "ignored")
    assert "star.created" in answer.json()["reason"]
    assert WebhookDelivery.objects.get().payload is None


def test_a_repository_that_is_not_allowed_is_ignored(deliver: Deliver, world: GitHubWorld, settings: Settings) -> None:
    settings.ALLOWED_REPOSITORIES = ("other/*",)
    answer = deliver("issues", world.label_payload())
    assert (answer.status_code, answer.json()["reason"]) == (200, "the repository is not in ALLOWED_REPOSITORIES")
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("patterns", "allowed"),
    [((), False), (("acme/*",), True), (("ACME/Calculator",), True), (("acme/calc",), False), (("*",), True)],
)
def test_allowed_repositories_are_names_or_patterns(settings: Settings, patterns: tuple[str, ...], allowed: bool) -> None:
    from booty_site.webhooks import repository_allowed

    settings.ALLOWED_REPOSITORIES = patterns
    assert repository_allowed("acme/calculator") is allowed


def test_a_missing_signature_is_401_and_leaves_nothing(deliver: Deliver, world: GitHubWorld) -> None:
    assert deliver("issues", world.label_payload(), omit=("X-Hub-Signature-256",)).status_code == 401
    assert not WebhookDelivery.objects.exists()


def test_a_forged_signature_is_403_and_leaves_nothing(deliver: Deliver, world: GitHubWorld) -> None:
    assert deliver("issues", world.label_payload(), signature="sha256=" + "0" * 64).status_code == 403
    assert not WebhookDelivery.objects.exists()


@pytest.mark.parametrize("signature", ["sha1=abc", "\N{SNOWMAN}".encode().decode("latin-1"), "sha256=", "0" * 64])
def test_a_signature_of_another_shape_is_403(deliver: Deliver, signature: str) -> None:
    assert deliver("ping", {}, signature=signature).status_code == 403


@pytest.mark.parametrize("header", ["X-GitHub-Event", "X-GitHub-Delivery"])
def test_a_missing_header_is_400(deliver: Deliver, header: str) -> None:
    answer = deliver("ping", {}, omit=(header,))
    assert answer.status_code == 400
    assert header in answer.json()["reason"]


@pytest.mark.parametrize("body", [b"not json", b"[]", b"null", b'"text"', b"\xff", b"{}" * 2, b"[" * 50_000])
def test_a_body_that_is_no_json_object_is_400(deliver: Deliver, body: bytes) -> None:
    answer = deliver("issues", body)
    assert (answer.status_code, answer.json()["status"]) == (400, "refused")
    assert not WebhookDelivery.objects.exists()


def test_a_payload_that_lacks_a_field_or_has_a_null_is_400_and_names_the_place(deliver: Deliver, world: GitHubWorld) -> None:
    payload = world.pull_payload()
    payload["pull_request"]["title"] = None
    answer = deliver("pull_request", payload)
    assert answer.status_code == 400
    assert "title" in answer.json()["reason"]


def test_a_form_without_a_payload_is_400(client: Client, settings: Settings) -> None:
    from booty_site.github.signature import sign

    body = b"other=1"
    headers = {"X-GitHub-Event": "ping", "X-GitHub-Delivery": "1", "X-Hub-Signature-256": sign(settings.WEBHOOK_SECRET, body)}
    answer = client.post("/webhooks/github", body, content_type="application/x-www-form-urlencoded", headers=headers)
    assert answer.status_code == 400


def test_thirty_megabytes_are_413(deliver: Deliver) -> None:
    assert deliver("issues", b" " * 30_000_000).status_code == 413


def test_a_real_delivery_of_several_megabytes_is_accepted(deliver: Deliver, world: GitHubWorld) -> None:
    payload = world.label_payload()
    payload["issue"]["body"] = "x" * 5_000_000
    assert deliver("issues", payload).status_code == 202


def test_text_that_no_database_stores_is_stored_without_it(deliver: Deliver, world: GitHubWorld) -> None:
    payload = world.label_payload()
    payload["issue"]["title"] = "nul \x00 byte"
    payload["issue"]["body"] = "and \x00 another"
    assert deliver("issues", payload).status_code == 202
    assert Job.objects.get().issue_title == "nul  byte"


def test_reading_is_405(client: Client) -> None:
    assert client.get("/webhooks/github").status_code == 405


def test_without_a_secret_nothing_is_accepted(deliver: Deliver, world: GitHubWorld, settings: Settings) -> None:
    payload = world.label_payload()
    settings.WEBHOOK_SECRET = ""
    answer = deliver("issues", payload)
    assert answer.status_code == 503
    assert not WebhookDelivery.objects.exists()


def test_a_delivery_that_can_not_be_stored_is_503_with_a_time_to_come_back(
    deliver: Deliver, world: GitHubWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise DatabaseError("the disk is full")

    payload = world.label_payload()
    monkeypatch.setattr(WebhookDelivery, "save", refuse)
    answer = deliver("issues", payload)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert not Job.objects.exists()
    assert "disk" not in json.dumps(answer.json())


def test_with_the_broker_down_a_delivery_is_accepted_and_found_again_by_the_reconciler(
    deliver: Deliver, world: GitHubWorld, settings: Settings
) -> None:
    from booty_site.runs import reconciler
    from tests.conftest import _forget_connections

    living = settings.REDIS_URL
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    _forget_connections()
    assert deliver("issues", world.label_payload()).status_code == 202
    job = Job.objects.get()
    assert (job.state, job.dispatched_at, job.dispatches) == (State.QUEUED, None, 0)

    settings.REDIS_URL = living
    _forget_connections()
    reconciler.look()
    job.refresh_from_db()
    assert job.dispatches == 1
    assert dispatch._queue("jobs").get_job_ids() == [job.rq_job_id]


def test_requests_share_one_connection_to_the_broker(deliver: Deliver, world: GitHubWorld, broker: redis.Redis) -> None:
    deliver("issues", world.label_payload())
    before = broker.info("stats")["total_connections_received"]
    for _ in range(5):
        deliver("issues", world.label_payload())
    assert broker.info("stats")["total_connections_received"] == before


def test_a_push_back_to_a_commit_whose_run_was_superseded_verifies_it(deliver: Deliver, world: GitHubWorld) -> None:
    first = world.pull_payload()
    deliver("pull_request", first)
    deliver("pull_request", world.push_again(first["number"]))
    first["action"], first["pull_request"]["updated_at"] = "synchronize", "2100-01-01T00:00:00Z"
    assert deliver("pull_request", first).status_code == 202
    assert VerificationRun.objects.active().get().head_sha == first["pull_request"]["head"]["sha"]


@pytest.mark.parametrize(
    "extra",
    [b"1e400", b"9" * 5000, b"[" * 905 + b"]" * 905, b'"\\ud800"', b'"\xff"', b"NaN"],
    ids=["endless number", "long number", "deep", "lone surrogate", "no UTF-8", "not a number"],
)
def test_a_value_that_nobody_reads_and_no_database_stores_is_no_error_of_ours(
    deliver: Deliver, world: GitHubWorld, extra: bytes
) -> None:
    body = json.dumps(world.label_payload()).encode()[:-1] + b', "extra": ' + extra + b"}"
    assert deliver("issues", body).status_code in (202, 400)
    assert all(delivery.payload is not None for delivery in WebhookDelivery.objects.all())


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-23T10:00:00"])
def test_a_date_that_no_database_can_give_back_is_400(deliver: Deliver, world: GitHubWorld, moment: str) -> None:
    payload = world.pull_payload()
    payload["pull_request"]["updated_at"] = moment
    assert deliver("pull_request", payload).status_code == 400


def test_a_body_without_a_length_is_411(client: Client) -> None:
    answer = client.generic("POST", "/webhooks/github", CONTENT_TYPE="application/json")
    assert answer.status_code == 411


def test_delivery_and_run_are_stored_together_or_not_at_all(
    deliver: Deliver, world: GitHubWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = world.label_payload()
    real = WebhookDelivery.save

    def refuse_the_last(self: WebhookDelivery, *args: Any, **kwargs: Any) -> None:
        if self.pk is not None:
            raise DatabaseError("the disk is full")
        real(self, *args, **kwargs)

    monkeypatch.setattr(WebhookDelivery, "save", refuse_the_last)
    assert deliver("issues", payload).status_code == 503
    assert not Job.objects.exists()
    assert not WebhookDelivery.objects.exists()


def test_two_pushes_in_the_same_instant_leave_one_active_run(world: GitHubWorld, settings: Settings) -> None:
    payload = world.pull_payload()
    payloads = [payload, world.push_again(payload["number"])]
    barrier = threading.Barrier(len(payloads))

    def post(body: dict[str, Any]) -> None:
        try:
            barrier.wait(10)
            signed_post(Client(), settings.WEBHOOK_SECRET, "pull_request", body)
        finally:
            connection.close()

    threads = [threading.Thread(target=post, args=(body,)) for body in payloads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Which of the two it is can't be told from one second; the worker asks GitHub for the head and follows it.
    assert VerificationRun.objects.active().count() == 1
