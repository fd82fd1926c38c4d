"""The promise of the failure path, by name: captured with its tags, saved, told, and raised again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis
from rq import Queue, SimpleWorker
from rq.job import JobStatus

from booty_site.errors import EngineFailed
from booty_site.runs import kinds
from booty_site.runs.states import State
from booty_site.runs.workbench import Workbench
from jobs.models import Job
from jobs.tasks import process_job
from tests.doubles.sentry import Sentry
from tests.factories import GitHubWorld
from verifier.models import VerificationRun
from verifier.tasks import process_verifier_job

pytestmark = pytest.mark.django_db(transaction=True)


def breaking(error: Exception) -> Callable[[object, Workbench], kinds.Outcome]:
    def pipeline(run: object, bench: Workbench) -> kinds.Outcome:
        raise error

    return pipeline


@pytest.fixture
def break_pipeline(monkeypatch: pytest.MonkeyPatch) -> Callable[[type, Exception], None]:
    """Return a function that makes the pipeline of a kind raise; everything around it stays real."""

    def put(model: type[Job] | type[VerificationRun], error: Exception) -> None:
        kind = kinds.named(model.kind)
        monkeypatch.setitem(kinds._registry, model.kind, kinds.RunKind(kind.model, breaking(error), kind.notifier))

    return put


def test_process_job_capture_exception_on_pipeline_crash(
    sentry: Sentry, world: GitHubWorld, break_pipeline: Callable[[type, Exception], None]
) -> None:
    job = world.job_for_issue()
    error = ZeroDivisionError("division by zero")
    break_pipeline(Job, error)

    with pytest.raises(ZeroDivisionError) as raised:
        process_job(str(job.pk))

    assert raised.value is error
    job.refresh_from_db()
    assert (job.state, job.failure_code) == (State.ERRORED, "crashed")
    (event,) = sentry.events()
    assert event["event_id"] == job.sentry_event_id == job.derived_event_id
    assert event["tags"] == {
        "job_id": str(job.pk),
        "issue_number": str(job.issue_number),
        "repository": "acme/calculator",
        "run_kind": "job",
        "attempt": "1",
    }
    assert (event["release"], event["environment"]) == ("booty@1.2.3", "testing")
    outcome = next(
        c
        for c in world.double.comments(job.repository, job.issue_number)
        if "Booty failed" in c.body and c.id == job.outcome_comment_id
    )
    assert job.sentry_event_id in outcome.body
    assert str(job.pk) in outcome.body


def test_process_verifier_job_captures_and_raises_the_same_exception_on_pipeline_crash(
    sentry: Sentry, world: GitHubWorld, break_pipeline: Callable[[type, Exception], None]
) -> None:
    run = world.run_for_pull()
    error = EngineFailed("something gave way", public="Something gave way.")
    break_pipeline(VerificationRun, error)

    with pytest.raises(EngineFailed) as raised:
        process_verifier_job(str(run.pk))

    assert raised.value is error
    run.refresh_from_db()
    assert (run.state, run.failure_code, run.verdict) == (State.ERRORED, "engine_failed", "")
    (event,) = sentry.events()
    assert event["event_id"] == run.sentry_event_id
    assert event["tags"] == {
        "job_id": str(run.pk),
        "pr_number": str(run.pull_number),
        "head_sha": run.head_sha,
        "repository": "acme/calculator",
        "run_kind": "verification",
        "attempt": "1",
    }
    (check,) = world.double.check_runs(run.repository, run.head_sha, "booty/verifier")
    assert (check.conclusion, check.title) == ("failure", "Booty failed, not your change")
    (comment,) = world.double.comments(run.repository, run.pull_number)
    assert run.sentry_event_id in comment.body


@pytest.mark.parametrize("model", [Job, VerificationRun])
def test_the_worker_gets_the_exception_and_puts_the_rq_job_into_its_failed_registry(
    model: type[Job] | type[VerificationRun],
    sentry: Sentry,
    world: GitHubWorld,
    broker: redis.Redis,
    break_pipeline: Callable[[type, Exception], None],
) -> None:
    run = world.job_for_issue() if model is Job else world.run_for_pull()
    break_pipeline(model, RuntimeError("broken on purpose"))
    queue = Queue(model.queue, connection=broker)
    rq_job = queue.enqueue(model.task, str(run.pk))

    SimpleWorker([queue], connection=broker).work(burst=True)

    assert rq_job.get_status(refresh=True) == JobStatus.FAILED
    assert rq_job.id in queue.failed_job_registry
    ended = rq_job.latest_result()
    assert ended
    assert "broken on purpose" in str(ended.exc_string)
    assert len(sentry.events()) == 1


def test_tags_do_not_leak_into_the_next_job_of_the_same_process(
    sentry: Sentry, world: GitHubWorld, broker: redis.Redis, break_pipeline: Callable[[type, Exception], None]
) -> None:
    job = world.job_for_issue()
    break_pipeline(Job, RuntimeError("the first"))
    queue = Queue("jobs", connection=broker)
    queue.enqueue(process_job, str(job.pk))
    queue.enqueue("operator.truediv", 1, 0)

    SimpleWorker([queue], connection=broker).work(burst=True)

    tagged, untagged = sentry.wait_for_events(2)
    assert tagged["tags"]["job_id"] == str(job.pk)
    assert untagged["exception"]["values"][0]["type"] == "ZeroDivisionError"
    assert not untagged.get("tags")


def test_an_exception_is_one_event_even_when_an_integration_reports_logged_errors(
    start_sentry: Callable[..., Sentry],
    world: GitHubWorld,
    broker: redis.Redis,
    break_pipeline: Callable[[type, Exception], None],
) -> None:
    import logging

    import sentry_sdk
    from sentry_sdk.integrations.logging import EventHandler

    sentry = start_sentry()
    job = world.job_for_issue()
    error = RuntimeError("seen by everyone")
    break_pipeline(Job, error)
    handler = EventHandler(level=logging.ERROR)
    root = logging.getLogger("an.integration")
    root.addHandler(handler)
    try:
        with pytest.raises(RuntimeError):
            process_job(str(job.pk))
        # Another event in between, since the SDK by itself remembers the last exception only.
        other = sentry_sdk.capture_exception(KeyError("another"))
        root.error("and once more", exc_info=error)
        sentry_sdk.capture_exception(error)
        sentry_sdk.flush(2)
    finally:
        root.removeHandler(handler)
    assert [event["event_id"] for event in sentry.events()] == [job.derived_event_id, other]


def test_an_unset_release_is_left_out_of_the_event(
    start_sentry: Callable[..., Sentry], world: GitHubWorld, break_pipeline: Callable[[type, Exception], None]
) -> None:
    sentry = start_sentry(SENTRY_RELEASE=None)
    job = world.job_for_issue()
    break_pipeline(Job, RuntimeError("no release"))
    with pytest.raises(RuntimeError):
        process_job(str(job.pk))
    (event,) = sentry.events()
    assert "release" not in event


def test_secrets_in_an_exception_reach_neither_sentry_nor_github_nor_the_row(
    sentry: Sentry, world: GitHubWorld, settings: object, break_pipeline: Callable[[type, Exception], None]
) -> None:
    from django.conf import settings as configured

    token = "ghs_" + "A1b2C3d4" * 5
    secret = configured.WEBHOOK_SECRET
    job = world.job_for_issue()
    break_pipeline(Job, RuntimeError(f"cannot open https://x:{token}@example.org with {secret} at {configured.BASE_DIR}"))
    with pytest.raises(RuntimeError):
        process_job(str(job.pk))
    job.refresh_from_db()
    comments = " ".join(comment.body for comment in world.double.comments(job.repository, job.issue_number))
    for told in (str(sentry.events()), comments, job.error_detail, job.summary):
        assert token not in told
        assert secret not in told
    assert str(configured.BASE_DIR) not in comments
    assert "Traceback" not in comments
