"""Who has lost what it works on changes nothing and says nothing; what changes while it is told is told again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
import redis
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings

from booty_site import fence
from booty_site.errors import RunStopped
from booty_site.runs import dispatch, kinds, lifecycle, notices
from booty_site.runs.lease import Heartbeat
from booty_site.runs.models import SENTRY_NOTICE, NoticeState
from booty_site.runs.states import State
from jobs.models import OUTCOME_COMMENT, STATUS_COMMENT, Job
from tests.doubles.github import RecordedRequest
from tests.doubles.processes import wait_until
from tests.doubles.proxy import TcpProxy
from tests.factories import GitHubWorld, make_job

pytestmark = pytest.mark.django_db(transaction=True)
COMMENTS = r"/issues/\d+/comments"


def failed(world: GitHubWorld) -> Job:
    """Return a Job that has failed and owes its two comments."""
    job = lifecycle.claim(Job, world.job_for_issue().pk, "host:1")
    assert job is not None
    lifecycle.finish(job, State.FAILED, code="no_changes", summary="Nothing changed.")
    return job


def test_a_fence_lets_through_while_it_holds_and_nothing_after() -> None:
    with fence.held_while(lambda: True):
        fence.require()
    with fence.held_while(lambda: False), pytest.raises(RunStopped):
        fence.require()
    fence.require()


def test_a_sender_that_took_too_long_posts_nothing(world: GitHubWorld, settings: Settings) -> None:
    settings.BOOTY_NOTICE_SECONDS = 0.3
    job = failed(world)

    def take_long(request: RecordedRequest) -> None:
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 0.4, "the notice to be someone else's")

    world.double.on_request("GET", COMMENTS, take_long)
    assert not notices.send(job.notices.get(kind=OUTCOME_COMMENT))
    assert world.double.comments(job.repository, job.issue_number) == []
    assert job.notices.get(kind=OUTCOME_COMMENT).state == NoticeState.OWED


def test_a_lease_that_ran_out_by_the_clock_does_not_hold(settings: Settings) -> None:
    settings.BOOTY_LEASE_SECONDS = 5
    assert Heartbeat(make_job(), since=time.monotonic()).holds()
    assert not Heartbeat(make_job(), since=time.monotonic() - 6).holds()


def test_a_process_whose_lease_ran_out_while_it_was_stopped_opens_no_pull_request(world: GitHubWorld) -> None:
    from booty_site.github import pulls
    from booty_site.github.connect import connect

    world.double.push("acme/calculator", "agent/issue-1", {"x.md": "x\n"}, by="ada")
    with fence.held_while(lambda: False), pytest.raises(RunStopped):
        pulls.put_draft(connect("acme/calculator"), "agent/issue-1", "main", "A title", "")
    assert world.double.pulls("acme/calculator") == []


def test_work_that_does_not_end_after_its_run_was_lost_is_ended(settings: Settings) -> None:
    job = lifecycle.claim(Job, make_job().pk, "host:1")
    assert job is not None
    abandoned = threading.Event()
    with Heartbeat(job, since=time.monotonic(), abandon=abandoned.set) as heartbeat:
        lifecycle.cancel(job, by="operator")
        assert heartbeat.lost.wait(10)
        assert abandoned.wait(10)


def test_work_that_ends_by_itself_after_its_run_was_lost_is_left_alone(settings: Settings) -> None:
    job = lifecycle.claim(Job, make_job().pk, "host:1")
    assert job is not None
    abandoned = threading.Event()
    with Heartbeat(job, since=time.monotonic(), abandon=abandoned.set) as heartbeat:
        lifecycle.cancel(job, by="operator")
        assert heartbeat.lost.wait(10)
    assert not abandoned.is_set()


def test_a_cancellation_is_told_once_more_when_the_one_cut_off_can_not_contradict_it_any_more(world: GitHubWorld) -> None:
    job = lifecycle.claim(Job, world.job_for_issue().pk, "host:1")
    assert job is not None
    lifecycle.cancel(job, by="operator")
    assert notices.send(job.notices.get())
    job.refresh_from_db()
    notice = job.notices.get()
    assert (notice.state, notice.due_at) == (NoticeState.OWED, job.may_be_spoken_of_until)
    assert notice.due_at > timezone.now()
    # The holder's last words arrive after the cancellation was told; nobody is left to take them back.
    kinds.kind_of(job).notifier.announce(job)
    moved = timezone.now() - timedelta(seconds=1)
    Job.objects.filter(pk=job.pk).update(lease_expires_at=moved - timedelta(hours=1))
    job.notices.update(due_at=moved)
    assert notices.send(job.notices.get())
    (comment,) = world.double.comments(job.repository, job.issue_number)
    assert "Cancelled by operator." in comment.body
    assert job.notices.get().state == NoticeState.SENT


def test_what_changes_while_it_is_told_is_told_again(world: GitHubWorld) -> None:
    job = failed(world)
    told: list[str] = []

    def change_meanwhile(request: RecordedRequest) -> None:
        if not told:
            Job.objects.filter(pk=job.pk).update(sentry_event_id="e" * 32)
            notices.owe_again(Job.objects.get(pk=job.pk))
            connection.close()
        told.append(str(request.body))

    world.double.on_request("POST", COMMENTS, change_meanwhile)
    notice = job.notices.get(kind=OUTCOME_COMMENT)
    assert notices.send(notice)
    notice.refresh_from_db()
    assert (notice.state, notice.again) == (NoticeState.OWED, False)
    assert notices.send(notice)
    (comment,) = world.double.comments(job.repository, job.issue_number)
    assert "e" * 32 in comment.body
    notice.refresh_from_db()
    assert notice.state == NoticeState.SENT


def test_whoever_sends_what_another_has_sent_meanwhile_owes_nothing_again(world: GitHubWorld) -> None:
    job = failed(world)
    notice = job.notices.get(kind=OUTCOME_COMMENT)
    sent: list[bool] = []

    def send_meanwhile(request: RecordedRequest) -> None:
        if not sent:
            sent.append(False)
            job.notices.filter(pk=notice.pk).update(due_at=timezone.now())
            sent[0] = notices.send(job.notices.get(pk=notice.pk))
            notices.send_owed(job)
            connection.close()

    world.double.on_request("GET", COMMENTS, send_meanwhile)
    notices.send(notice)
    assert sent == [True]
    assert not job.notices.exclude(state=NoticeState.SENT).exists()


def test_a_status_that_was_told_before_the_outcome_gets_its_link(world: GitHubWorld) -> None:
    job = failed(world)
    assert notices.send(job.notices.get(kind=STATUS_COMMENT))
    assert notices.send(job.notices.get(kind=OUTCOME_COMMENT))
    notices.send_owed(job)
    job.refresh_from_db()
    status = next(c for c in world.double.comments(job.repository, job.issue_number) if c.id == job.status_comment_id)
    assert job.outcome_comment_url in status.body
    assert not job.notices.exclude(state=NoticeState.SENT).exclude(kind=SENTRY_NOTICE).exists()


def test_two_dispatches_of_the_same_number_make_one_job(broker: redis.Redis) -> None:
    job = make_job()
    assert dispatch.dispatch(Job.objects.get(pk=job.pk))
    assert dispatch.dispatch(job)
    assert dispatch._queue("jobs").get_job_ids() == [f"booty-{job.pk}-1"]


def test_a_run_that_a_worker_took_out_of_the_queue_and_never_claimed_counts_as_lost(broker: redis.Redis) -> None:
    job = make_job()
    dispatch.dispatch(job)
    job.refresh_from_db()
    assert dispatch.lost_by_broker([job]) == []
    queue = dispatch._queue("jobs")
    broker.lmove(queue.key, queue.intermediate_queue.key, "LEFT", "RIGHT")
    assert dispatch.lost_by_broker([job]) == [job]


def test_a_broker_that_hangs_is_waited_for_once(broker: redis.Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "BROKER_SECONDS", 0.1)
    port = int(settings.REDIS_URL.rpartition(":")[2].partition("/")[0])
    with TcpProxy(port) as proxy:
        settings.REDIS_URL = f"redis://127.0.0.1:{proxy.port}/0"
        dispatch.broker.cache_clear()
        dispatch._queue.cache_clear()
        proxy.hang()
        asked: list[Job] = []
        real: Callable[[Job], bool] = dispatch.dispatch

        def counted(job: Job) -> bool:
            asked.append(job)
            return real(job)

        monkeypatch.setattr(dispatch, "dispatch", counted)
        for _ in range(3):
            with transaction.atomic():
                dispatch.after_commit(make_job())
        assert len(asked) == 1
        assert Job.objects.filter(state=State.QUEUED, dispatched_at=None).count() == 3
        dispatch.broker().close()
