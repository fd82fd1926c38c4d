"""What was forgotten is found again, by the database alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from booty_site.runs import dispatch, lifecycle, notices, reconciler
from booty_site.runs.models import NoticeState
from booty_site.runs.states import State
from jobs.models import Job, JobNotice
from tests.doubles.sentry import Sentry
from tests.factories import GitHubWorld, make_job, make_run
from verifier.models import VerificationRun

pytestmark = pytest.mark.django_db(transaction=True)


def lost(job: Job) -> Job:
    """Return the Job as it is after its worker took it and died."""
    claimed = lifecycle.claim(Job, job.pk, "host:1")
    assert claimed is not None
    lifecycle.expire(claimed, setback="Its process was killed by SIGKILL.")
    return claimed


def test_a_run_that_was_never_dispatched_is_dispatched(broker: redis.Redis) -> None:
    job, run = make_job(), make_run()
    reconciler.look()
    job.refresh_from_db()
    run.refresh_from_db()
    assert dispatch._queue("jobs").get_job_ids() == [job.rq_job_id]
    assert dispatch._queue("verifier").get_job_ids() == [run.rq_job_id]


def test_a_run_that_the_broker_holds_is_not_dispatched_again(broker: redis.Redis) -> None:
    job = make_job()
    dispatch.dispatch(job)
    Job.objects.update(dispatched_at=timezone.now() - timedelta(minutes=5))
    reconciler.look()
    job.refresh_from_db()
    assert job.dispatches == 1


def test_a_run_that_a_flushed_broker_forgot_is_dispatched_again(broker: redis.Redis) -> None:
    job = make_job()
    dispatch.dispatch(job)
    Job.objects.update(dispatched_at=timezone.now() - timedelta(minutes=5))
    broker.flushall()
    reconciler.look()
    job.refresh_from_db()
    assert job.dispatches == 2
    assert dispatch._queue("jobs").get_job_ids() == [f"booty-{job.pk}-2"]


def test_an_unreachable_broker_means_wait() -> None:
    job = make_job()
    Job.objects.update(dispatched_at=timezone.now() - timedelta(minutes=5), dispatches=1)
    reconciler.look()
    job.refresh_from_db()
    assert (job.state, job.dispatches) == (State.QUEUED, 1)


def test_a_run_that_no_worker_takes_ends_as_dispatch_failed(broker: redis.Redis, sentry: Sentry, world: GitHubWorld) -> None:
    job = world.job_for_issue()
    Job.objects.filter(pk=job.pk).update(unclaimed_dispatches=5)
    reconciler.look()
    reconciler.look()
    job.refresh_from_db()
    assert (job.state, job.failure_code) == (State.ERRORED, "dispatch_failed")
    assert job.sentry_event_id == sentry.wait_for_events(1)[0]["event_id"]
    outcome = next(c.body for c in world.double.comments(job.repository, job.issue_number) if "no worker took it" in c.body)
    assert job.sentry_event_id in outcome


def test_a_run_whose_worker_was_lost_is_queued_again(broker: redis.Redis) -> None:
    job = lost(make_job())
    reconciler.look()
    job.refresh_from_db()
    assert (job.state, job.attempt, job.dispatches) == (State.QUEUED, 1, 1)


def test_a_run_whose_workers_were_all_lost_errs_and_is_told(sentry: Sentry, world: GitHubWorld, settings: Settings) -> None:
    settings.BOOTY_MAX_ATTEMPTS = 1
    job = lost(world.job_for_issue())
    reconciler.look()
    job.refresh_from_db()
    assert (job.state, job.failure_code) == (State.ERRORED, "worker_lost")
    (event,) = sentry.wait_for_events(1)
    assert (event["event_id"], event["tags"]["job_id"]) == (job.sentry_event_id, str(job.pk))
    outcome = next(c.body for c in world.double.comments(job.repository, job.issue_number) if job.sentry_event_id in c.body)
    assert "Its process was killed by SIGKILL." in outcome


def test_a_run_that_is_worked_on_is_left_alone() -> None:
    job = make_job()
    lifecycle.claim(Job, job.pk, "host:1")
    reconciler.look()
    job.refresh_from_db()
    assert (job.state, job.attempt) == (State.RUNNING, 1)


def test_two_reconcilers_at_once_dispatch_once_and_tell_once(broker: redis.Redis, world: GitHubWorld, settings: Settings) -> None:
    settings.BOOTY_MAX_ATTEMPTS = 1
    waiting, gone = make_job(), lost(world.job_for_issue())
    errors: list[BaseException] = []

    def look() -> None:
        try:
            reconciler.look()
        except BaseException as error:  # noqa: BLE001  (handed to the test, which asserts that there was none)
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert dispatch._queue("jobs").count == 1
    waiting.refresh_from_db()
    assert waiting.dispatches == 1
    bodies = [comment.body for comment in world.double.comments(gone.repository, gone.issue_number)]
    assert len([body for body in bodies if "Booty failed on this issue" in body]) == 1


@pytest.fixture
def owed(world: GitHubWorld) -> JobNotice:
    job = world.job_for_issue()
    lifecycle.cancel(job, by="operator")
    return JobNotice.objects.get(run=job)


def test_a_notice_that_is_owed_is_sent_and_remembered(world: GitHubWorld, owed: JobNotice) -> None:
    reconciler.look()
    owed.refresh_from_db()
    assert owed.state == NoticeState.SENT
    assert owed.url
    assert len(world.double.comments(owed.run.repository, owed.run.issue_number)) == 1


def test_a_notice_waits_longer_after_each_try(world: GitHubWorld, owed: JobNotice) -> None:
    world.double.fail("POST", "/comments", status=502, times=None)
    waits = []
    for _ in range(3):
        JobNotice.objects.update(due_at=timezone.now())
        assert not notices.send(JobNotice.objects.get(pk=owed.pk))
        owed.refresh_from_db()
        waits.append((owed.due_at - timezone.now()).total_seconds())
    assert waits[0] < waits[1] < waits[2]
    assert owed.tries == 3


def test_a_notice_waits_as_long_as_github_asks(world: GitHubWorld, owed: JobNotice) -> None:
    world.double.fail("POST", "/comments", status=403, headers={"Retry-After": "1200"}, times=1)
    assert not notices.send(owed)
    owed.refresh_from_db()
    assert (owed.due_at - timezone.now()).total_seconds() > 1100


def test_a_notice_is_given_up_after_days_and_keeps_its_reason(world: GitHubWorld, owed: JobNotice) -> None:
    world.double.fail("POST", "/comments", status=502, times=None)
    JobNotice.objects.update(created_at=timezone.now() - timedelta(days=4))
    owed.refresh_from_db()
    assert not notices.send(owed)
    owed.refresh_from_db()
    assert owed.state == NoticeState.GIVEN_UP
    assert "502" in owed.last_error


def test_a_notice_that_someone_else_is_sending_is_not_sent_twice(world: GitHubWorld, owed: JobNotice) -> None:
    world.double.fail("POST", "/comments", status=502, times=1)
    stale: Any = JobNotice.objects.get(pk=owed.pk)
    notices.send(owed)
    assert not notices.send(stale)
    assert world.double.comments(owed.run.repository, owed.run.issue_number) == []


def test_a_cancelled_run_stops_its_command_and_says_so(world: GitHubWorld, engine: Callable[[str], None]) -> None:
    from jobs.tasks import process_job

    engine("echo started; sleep 600")
    job = world.job_for_issue()
    worker = threading.Thread(target=_work_and_close, args=(process_job, str(job.pk)))
    worker.start()
    from tests.doubles.processes import wait_until

    wait_until(lambda: job.commands.filter(name="engine").exists(), "the engine to start")
    assert lifecycle.cancel(job, by="operator")
    worker.join(20)
    assert not worker.is_alive()
    assert job.commands.get(name="engine").ending == "stopped"
    job.refresh_from_db()
    assert job.state == State.CANCELLED
    reconciler.look()
    (status,) = [comment.body for comment in world.double.comments(job.repository, job.issue_number)]
    assert "Cancelled by operator." in status


def _work_and_close(task: Callable[[str], None], run_id: str) -> None:
    try:
        task(run_id)
    finally:
        connection.close()


def test_a_superseded_check_is_cancelled_without_a_comment(world: GitHubWorld) -> None:
    run = world.run_for_pull()
    lifecycle.supersede([run], reason="A newer commit took its place.")
    reconciler.look()
    (check,) = world.double.check_runs(run.repository, run.head_sha)
    assert check.conclusion == "cancelled"
    assert world.double.comments(run.repository, run.pull_number) == []
    assert VerificationRun.objects.get().state == State.SUPERSEDED


def test_a_heartbeat_prolongs_the_lease_of_a_run_that_goes_on(settings: Settings) -> None:
    import time

    from booty_site.runs.lease import Heartbeat
    from tests.doubles.processes import wait_until

    settings.BOOTY_HEARTBEAT_SECONDS = 0.1
    job = lifecycle.claim(Job, make_job().pk, "host:1")
    assert job is not None
    with Heartbeat(job, since=time.monotonic()) as heartbeat:
        renewed = Job.objects.filter(pk=job.pk, lease_expires_at__gt=job.lease_expires_at)
        wait_until(renewed.exists, "the lease to be renewed")
        assert not heartbeat.lost.is_set()
