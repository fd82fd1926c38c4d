"""Each step of the failure path survives the failure of every other one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection
from django.utils import timezone

from booty_site.errors import EngineFailed
from booty_site.runs import failures, lifecycle, notices
from booty_site.runs.models import SENTRY_NOTICE, NoticeState
from booty_site.runs.states import State
from jobs.models import OUTCOME_COMMENT, STATUS_COMMENT, Job
from jobs.tasks import process_job
from tests.doubles.github import RecordedRequest
from tests.doubles.sentry import Sentry
from tests.factories import GitHubWorld

pytestmark = pytest.mark.django_db(transaction=True)
COMMENTS = r"/issues/\d+/comments"


@pytest.fixture(autouse=True)
def engine_that_can_not_start(settings: Any) -> None:
    """The pipeline is real and breaks by itself, at the engine."""
    settings.BOOTY_ENGINE_COMMAND = ("/nowhere/agent",)


def database_refuses(*args: object, **kwargs: object) -> bool:
    raise DatabaseError("the disk is full")


def run_to_its_end(job: Job) -> Job:
    with pytest.raises(EngineFailed):
        process_job(str(job.pk))
    job.refresh_from_db()
    return job


def outcome_comments(world: GitHubWorld, job: Job) -> list[str]:
    return [c.body for c in world.double.comments(job.repository, job.issue_number) if "Booty failed on this issue" in c.body]


def test_the_event_is_at_sentry_before_the_state_is_saved_and_the_state_before_the_comment_is_posted(
    sentry: Sentry, world: GitHubWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = world.job_for_issue()
    seen: list[tuple[str, bool, str]] = []

    def look(moment: str) -> None:
        at_sentry = any(event["event_id"] == job.derived_event_id for event in sentry.events())
        seen.append((moment, at_sentry, Job.objects.get(pk=job.pk).state))
        if threading.current_thread() is not threading.main_thread():
            connection.close()

    real_finish = lifecycle.finish

    def watched_finish(*args: Any, **kwargs: Any) -> bool:
        look("saving")
        return real_finish(*args, **kwargs)

    monkeypatch.setattr(lifecycle, "finish", watched_finish)

    def on_comment(request: RecordedRequest) -> None:
        if "Booty failed on this issue" in str(request.body):
            look("commenting")

    world.double.on_request("POST", COMMENTS, on_comment)
    run_to_its_end(job)
    assert seen == [("saving", True, "running"), ("commenting", True, "errored")]


def test_with_sentry_down_the_state_is_saved_the_comment_posted_and_the_event_owed(
    sentry: Sentry, world: GitHubWorld, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("booty_site.observability.FLUSH_SECONDS", 0.5)
    sentry.stop()
    try:
        job = run_to_its_end(world.job_for_issue())
    finally:
        sentry.start()
    assert (job.state, job.sentry_event_id) == (State.ERRORED, "")
    (comment,) = outcome_comments(world, job)
    assert "Sentry event" not in comment
    assert "It is recorded with the run." in comment
    owed = job.notices.get(kind=SENTRY_NOTICE)
    assert owed.state == NoticeState.OWED

    monkeypatch.setattr("booty_site.observability.FLUSH_SECONDS", 5)
    job.notices.filter(pk=owed.pk).update(due_at=timezone.now())
    assert notices.send(job.notices.get(pk=owed.pk))
    job.refresh_from_db()
    assert job.sentry_event_id == job.derived_event_id
    event = sentry.event(job.derived_event_id)
    assert event["tags"]["issue_number"] == str(job.issue_number)
    assert event["exception"]["values"][-1]["type"] == "EngineFailed"


def test_with_github_down_the_event_is_captured_the_state_saved_and_the_comments_owed(sentry: Sentry, world: GitHubWorld) -> None:
    job = world.job_for_issue()
    world.double.fail("POST", COMMENTS, status=503, times=None)
    job = run_to_its_end(job)
    assert (job.state, job.sentry_event_id) == (State.ERRORED, job.derived_event_id)
    assert len(sentry.events()) == 1
    for notice in job.notices.filter(kind__in=(OUTCOME_COMMENT, STATUS_COMMENT)):
        assert notice.state == NoticeState.OWED
        assert "GitHub answered 503" in notice.last_error


def test_comments_that_were_refused_are_posted_later_once_each(sentry: Sentry, world: GitHubWorld) -> None:
    job = world.job_for_issue()
    world.double.fail("POST", COMMENTS, status=503, times=None)
    job = run_to_its_end(job)
    world.double.clear_faults()
    job.notices.update(due_at=timezone.now())
    notices.send_owed(job)
    notices.send_owed(job)
    job.refresh_from_db()
    assert not job.notices.exclude(state=NoticeState.SENT).exists()
    (comment,) = outcome_comments(world, job)
    assert job.outcome_comment_url
    assert job.sentry_event_id in comment


def test_a_comment_on_a_locked_issue_stays_owed_and_the_row_says_why(sentry: Sentry, world: GitHubWorld) -> None:
    job = world.job_for_issue()
    world.double.lock_issue(job.repository, job.issue_number)
    job = run_to_its_end(job)
    assert "403" in job.notices.get(kind=OUTCOME_COMMENT).last_error


def test_with_the_database_refusing_to_save_the_event_is_captured_and_the_comment_posted(
    sentry: Sentry, world: GitHubWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = world.job_for_issue()

    monkeypatch.setattr(lifecycle, "finish", database_refuses)
    job = run_to_its_end(job)
    assert job.state == State.RUNNING
    assert job.failure_code == "engine_failed"
    assert len(sentry.events()) == 1
    (comment,) = outcome_comments(world, job)
    assert job.derived_event_id in comment


def test_a_failure_that_could_not_be_saved_is_finished_by_the_reconciler_without_a_second_comment_or_event(
    sentry: Sentry, world: GitHubWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    from booty_site.runs import reconciler

    job = world.job_for_issue()
    with monkeypatch.context() as patch:
        patch.setattr(lifecycle, "finish", database_refuses)
        run_to_its_end(job)
    job.refresh_from_db()
    lifecycle.expire(job)
    reconciler.look()
    job.refresh_from_db()
    assert (job.state, job.failure_code, job.attempt) == (State.ERRORED, "engine_failed", 1)
    assert len(outcome_comments(world, job)) == 1
    assert {event["event_id"] for event in sentry.events()} == {job.derived_event_id}


def test_with_the_database_away_even_for_the_note_no_comment_is_posted_that_the_next_attempt_could_belie(
    sentry: Sentry, world: GitHubWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = world.job_for_issue()

    monkeypatch.setattr(lifecycle, "note_failure", database_refuses)
    monkeypatch.setattr(lifecycle, "finish", database_refuses)
    job = run_to_its_end(job)
    assert len(sentry.events()) == 1
    assert outcome_comments(world, job) == []
    assert (job.state, job.failure_code) == (State.RUNNING, "")


def test_without_sentry_the_rest_happens_and_no_event_is_owed(world: GitHubWorld) -> None:
    job = run_to_its_end(world.job_for_issue())
    assert (job.state, job.sentry_event_id) == (State.ERRORED, "")
    assert not job.notices.filter(kind=SENTRY_NOTICE).exists()
    assert len(outcome_comments(world, job)) == 1


def test_a_reporting_library_that_raises_does_not_stand_in_the_way(
    sentry: Sentry, world: GitHubWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*args: object, **kwargs: object) -> None:
        raise MemoryError

    monkeypatch.setattr("booty_site.observability.event_from_exception", explode)
    job = run_to_its_end(world.job_for_issue())
    assert job.state == State.ERRORED
    assert len(outcome_comments(world, job)) == 1
    payload = job.notices.get(kind=SENTRY_NOTICE).payload
    assert payload
    assert payload["tags"]["job_id"] == str(job.pk)


def test_a_run_that_was_taken_over_says_nothing(sentry: Sentry, world: GitHubWorld) -> None:
    job = lifecycle.claim(Job, world.job_for_issue().pk, "this worker")
    assert job is not None
    lifecycle.expire(job)
    assert lifecycle.requeue_lost(job)
    failures.fail(job, RuntimeError("too late"))
    assert sentry.events() == []
    assert world.double.comments(job.repository, job.issue_number) == []


def test_a_lost_reply_to_a_comment_does_not_make_a_second_comment(sentry: Sentry, world: GitHubWorld) -> None:
    job = world.job_for_issue()
    posted: list[Callable[[], None]] = []

    def lose_the_reply_of_the_outcome(request: RecordedRequest) -> None:
        if "Booty is working" in str(request.body) and not posted:
            posted.append(lambda: None)
            world.double.drop_reply("POST", COMMENTS, times=1)

    world.double.on_request("POST", COMMENTS, lose_the_reply_of_the_outcome)
    job = run_to_its_end(job)
    job.notices.update(due_at=timezone.now())
    notices.send_owed(job)
    bodies = [comment.body for comment in world.double.comments(job.repository, job.issue_number)]
    assert len(bodies) == 2
    assert len(outcome_comments(world, job)) == 1


def test_a_database_that_blinks_leaves_one_outcome_one_event_and_one_comment(
    sentry: Sentry, world: GitHubWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    blinks = {"note_failure": 1, "finish": 1}

    def blinking(name: str) -> Callable[..., bool]:
        real = getattr(lifecycle, name)

        def call(*args: Any, **kwargs: Any) -> bool:
            if blinks[name]:
                blinks[name] -= 1
                raise OperationalError("server closed the connection unexpectedly")
            return bool(real(*args, **kwargs))

        return call

    for name in blinks:
        monkeypatch.setattr(lifecycle, name, blinking(name))
    job = run_to_its_end(world.job_for_issue())
    assert (job.state, job.failure_code) == (State.ERRORED, "engine_failed")
    assert len(sentry.events()) == len(outcome_comments(world, job)) == 1


def test_an_outcome_whose_commit_got_through_but_whose_reply_was_lost_is_told_as_it_is(
    sentry: Sentry, world: GitHubWorld, monkeypatch: pytest.MonkeyPatch, engine: Callable[[str], None]
) -> None:
    engine("cat > /dev/null; echo x > new.md")
    real = lifecycle.finish
    lost: list[bool] = []

    def lose_the_reply(*args: Any, **kwargs: Any) -> bool:
        won = real(*args, **kwargs)
        if not lost:
            lost.append(True)
            raise OperationalError("server closed the connection unexpectedly")
        return won

    monkeypatch.setattr(lifecycle, "finish", lose_the_reply)
    job = world.job_for_issue()
    process_job(str(job.pk))
    job.refresh_from_db()
    assert job.state == State.SUCCEEDED
    assert sentry.events() == []
    assert outcome_comments(world, job) == []


def test_an_error_in_a_run_that_is_someone_elses_by_now_is_neither_raised_nor_reported(
    sentry: Sentry, world: GitHubWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobs import pipeline

    def cancelled_meanwhile(job: Job, *args: object) -> None:
        lifecycle.cancel(Job.objects.get(pk=job.pk), by="operator")
        raise RuntimeError("too late to matter")

    monkeypatch.setattr(pipeline, "_require_permission", cancelled_meanwhile)
    job = world.job_for_issue()
    process_job(str(job.pk))
    job.refresh_from_db()
    assert job.state == State.CANCELLED
    assert sentry.events() == []


def test_code_that_tries_to_end_the_process_errs_like_any_other_error(
    sentry: Sentry, world: GitHubWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobs import pipeline

    def leave(*args: object) -> None:
        raise SystemExit(3)

    monkeypatch.setattr(pipeline, "_require_permission", leave)
    job = world.job_for_issue()
    with pytest.raises(SystemExit):
        process_job(str(job.pk))
    job.refresh_from_db()
    assert (job.state, job.attempt) == (State.ERRORED, 1)
    assert [event["tags"]["job_id"] for event in sentry.events()] == [str(job.pk)]


def test_an_event_that_arrives_late_is_named_by_the_comment_from_then_on(
    sentry: Sentry, world: GitHubWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("booty_site.observability.FLUSH_SECONDS", 0.5)
    sentry.stop()
    try:
        job = run_to_its_end(world.job_for_issue())
    finally:
        sentry.start()
    monkeypatch.setattr("booty_site.observability.FLUSH_SECONDS", 5)
    job.notices.update(due_at=timezone.now())
    notices.send_owed(job)
    notices.send_owed(job)
    (comment,) = outcome_comments(world, job)
    assert job.derived_event_id in comment


@pytest.mark.parametrize("wait", ["soon", "99999999999999999999", "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_a_strange_time_to_wait_neither_breaks_the_run_nor_is_waited_for(sentry: Sentry, world: GitHubWorld, wait: str) -> None:
    job = world.job_for_issue()
    world.double.fail("POST", COMMENTS, status=403, headers={"Retry-After": wait}, times=None)
    job = run_to_its_end(job)
    due = job.notices.get(kind=OUTCOME_COMMENT).due_at
    assert (due - timezone.now()).total_seconds() <= 24 * 3600


def test_the_rq_job_keeps_no_secret_of_the_error(sentry: Sentry, world: GitHubWorld, broker: Any, settings: Any) -> None:
    from rq import Queue
    from rq.worker import SimpleWorker

    from booty_site.runs.worker import Worker

    class InThisProcess(Worker, SimpleWorker):
        """Booty's worker without the fork."""

        execute_job = SimpleWorker.execute_job

    settings.BOOTY_ENGINE_COMMAND = (f"/nowhere/{settings.WEBHOOK_SECRET}",)
    queue = Queue("jobs", connection=broker)
    rq_job = queue.enqueue(process_job, str(world.job_for_issue().pk))
    InThisProcess([queue], connection=broker).work(burst=True)
    result = rq_job.latest_result()
    assert result
    assert "EngineFailed" in str(result.exc_string)
    assert settings.WEBHOOK_SECRET not in str(result.exc_string)
