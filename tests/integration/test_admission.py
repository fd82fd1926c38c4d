"""Pauses, each repository's limit, and fairness between repositories."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from booty_site.models import EVERYTHING, Repository
from booty_site.runs import admission, dispatch, lifecycle, reconciler
from booty_site.runs.states import State
from jobs.models import Job
from tests.factories import REPOSITORY, make_job, make_run
from verifier.models import VerificationRun

pytestmark = pytest.mark.django_db(transaction=True)


def claim(job: Job) -> Job | None:
    return admission.claim(Job, job.pk, "host:1", token=uuid.uuid4())


def pause(name: str, *, paused: bool = True) -> None:
    Repository.objects.update_or_create(name=name, defaults={"paused": paused})


def queued_ids(broker: redis.Redis) -> int:
    return sum(dispatch._queue(name).count for name in ("jobs", "verifier"))


def test_a_repository_has_no_more_runs_under_way_than_its_limit(settings: Settings) -> None:
    settings.BOOTY_MAX_RUNNING = 2
    jobs = [make_job() for _ in range(3)]
    assert [claim(job) is not None for job in jobs] == [True, True, False]


def test_the_limit_counts_runs_of_every_kind(settings: Settings) -> None:
    settings.BOOTY_MAX_RUNNING = 1
    assert admission.claim(VerificationRun, make_run().pk, "host:1", token=uuid.uuid4()) is not None
    assert claim(make_job()) is None


def test_a_repository_of_its_own_limit_goes_by_that(settings: Settings) -> None:
    Repository.objects.create(name=REPOSITORY, max_running=1)
    assert [claim(make_job()) is not None for _ in range(2)] == [True, False]


def test_another_repository_is_not_held_up(settings: Settings) -> None:
    settings.BOOTY_MAX_RUNNING = 1
    assert claim(make_job()) is not None
    assert claim(make_job(repository="acme/other")) is not None


def test_a_run_that_may_not_start_yet_is_dispatched_later_and_never_counted_as_unclaimed(
    settings: Settings, broker: redis.Redis
) -> None:
    settings.BOOTY_MAX_RUNNING = 1
    first, second = make_job(), make_job()
    dispatch.dispatch(second)
    assert claim(first) is not None
    assert claim(second) is None
    second.refresh_from_db()
    assert (second.state, second.dispatched_at, second.unclaimed_dispatches) == (State.QUEUED, None, 0)


def test_two_claims_at_once_do_not_exceed_the_limit(settings: Settings) -> None:
    settings.BOOTY_MAX_RUNNING = 1
    jobs = [make_job() for _ in range(6)]
    won: list[Any] = []
    barrier = threading.Barrier(len(jobs))

    def try_to_claim(job: Job) -> None:
        try:
            barrier.wait(10)
            won.append(claim(job))
        finally:
            connection.close()

    threads = [threading.Thread(target=try_to_claim, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([job for job in won if job is not None]) == 1


def test_a_paused_repository_starts_nothing_and_goes_on_when_resumed(broker: redis.Redis) -> None:
    job = make_job()
    pause(REPOSITORY)
    reconciler.look()
    assert queued_ids(broker) == 0
    assert claim(job) is None
    pause(REPOSITORY, paused=False)
    reconciler.look()
    assert queued_ids(broker) == 1
    assert claim(job) is not None


def test_pausing_everything_holds_every_repository(broker: redis.Redis) -> None:
    pause(EVERYTHING)
    jobs = [make_job(), make_job(repository="acme/other")]
    reconciler.look()
    assert queued_ids(broker) == 0
    assert [claim(job) for job in jobs] == [None, None]


def test_a_new_run_of_a_paused_repository_is_not_handed_to_the_broker(broker: redis.Redis) -> None:
    pause(REPOSITORY)
    with transaction.atomic():
        dispatch.after_commit(make_job())
    assert queued_ids(broker) == 0


def test_a_pause_leaves_what_is_under_way_alone() -> None:
    job = claim(make_job())
    assert job is not None
    pause(REPOSITORY)
    assert lifecycle.renew(job)


def test_a_repository_with_many_waiting_runs_does_not_hold_up_another(broker: redis.Redis, settings: Settings) -> None:
    settings.BOOTY_MAX_RUNNING = 3
    for _ in range(reconciler.BATCH + 20):
        make_job()
    other = make_job(repository="acme/other")
    Job.objects.exclude(pk=other.pk).update(created_at=timezone.now() - timedelta(hours=1))
    reconciler.look()
    other.refresh_from_db()
    assert other.dispatched_at is not None
    assert queued_ids(broker) == 3 + 1


def test_the_oldest_runs_of_a_repository_go_first(broker: redis.Redis, settings: Settings) -> None:
    settings.BOOTY_MAX_RUNNING = 2
    jobs = [make_job() for _ in range(4)]
    reconciler.look()
    assert [Job.objects.get(pk=job.pk).dispatched_at is not None for job in jobs] == [True, True, False, False]


def test_the_next_run_is_dispatched_as_soon_as_one_has_ended(broker: redis.Redis, settings: Settings) -> None:
    settings.BOOTY_MAX_RUNNING = 1
    first, second = make_job(), make_job()
    taken = claim(first)
    assert taken is not None
    reconciler.look()
    assert queued_ids(broker) == 0
    lifecycle.finish(taken, State.FAILED, code="no_changes", summary="Nothing changed.")
    dispatch.fill(REPOSITORY)
    second.refresh_from_db()
    assert second.dispatched_at is not None


def test_a_retried_run_does_not_take_the_place_of_others_while_it_waits(settings: Settings) -> None:
    settings.BOOTY_MAX_RUNNING = 1
    job = claim(make_job())
    assert job is not None
    assert lifecycle.put_off(job, 60, setback="GitHub answered 502")
    assert claim(make_job()) is not None


@pytest.mark.parametrize(
    ("name", "sentence"), [(REPOSITORY, "this repository is paused"), (EVERYTHING, "all repositories are paused")]
)
def test_the_page_of_a_run_says_that_it_waits_for_an_operator(name: str, sentence: str, staff_client: Client) -> None:
    pause(name)
    page = staff_client.get(f"/admin/jobs/job/{make_job().pk}/change/").content.decode()
    assert sentence in page


def test_the_page_of_a_run_says_that_it_waits_for_its_turn(staff_client: Client, settings: Settings) -> None:
    settings.BOOTY_MAX_RUNNING = 1
    claim(make_job())
    page = staff_client.get(f"/admin/jobs/job/{make_job().pk}/change/").content.decode()
    assert "1 runs of this repository may be under way at once" in page


def test_an_operator_pauses_and_resumes_in_the_admin_and_it_is_recorded(staff: User, staff_client: Client) -> None:
    from django.contrib.admin.models import LogEntry

    repository = Repository.objects.create(name=REPOSITORY)
    for action, paused in (("pause", True), ("resume", False)):
        staff_client.post("/admin/booty_site/repository/", {"action": action, "_selected_action": [repository.pk]})
        repository.refresh_from_db()
        assert repository.paused is paused
    assert LogEntry.objects.filter(object_id=str(repository.pk)).count() == 2


def test_a_repository_can_be_paused_before_its_first_run(staff_client: Client) -> None:
    answer = staff_client.post("/admin/booty_site/repository/add/", {"name": "Acme/New", "paused": "on", "max_running": ""})
    assert answer.status_code == 302
    assert Repository.objects.get(name="acme/new").paused


def test_a_name_that_is_none_is_refused_with_what_to_write(staff_client: Client) -> None:
    answer = staff_client.post("/admin/booty_site/repository/add/", {"name": "acme", "max_running": ""})
    assert "Write owner/name as on GitHub, or * for all repositories." in answer.content.decode()


def test_the_limit_of_a_repository_can_be_changed(staff_client: Client) -> None:
    repository = Repository.objects.create(name=REPOSITORY)
    staff_client.post(f"/admin/booty_site/repository/{repository.pk}/change/", {"max_running": "7"})
    repository.refresh_from_db()
    assert (repository.name, repository.max_running) == (REPOSITORY, 7)


def test_the_list_of_repositories_shows_what_is_paused_under_way_and_queued(staff_client: Client) -> None:
    claim(make_job())
    make_job()
    pause(REPOSITORY)
    pause(EVERYTHING, paused=False)
    page = staff_client.get("/admin/booty_site/repository/").content.decode()
    for text in (REPOSITORY, "all repositories", "paused", 'field-under_way">1<', 'field-queued">1<'):
        assert text in page


def test_jobs_that_no_worker_takes_do_not_hold_up_verifications(broker: redis.Redis, settings: Settings) -> None:
    settings.BOOTY_MAX_RUNNING = 2
    for _ in range(3):
        make_job()
    run = make_run()
    reconciler.look()
    run.refresh_from_db()
    assert run.dispatched_at is not None
    assert dispatch._queue("jobs").count == 2


def test_a_repository_with_a_high_limit_lets_no_full_one_hide_the_others(broker: redis.Redis, settings: Settings) -> None:
    settings.BOOTY_MAX_RUNNING = 1
    Repository.objects.create(name="acme/large", max_running=200)
    assert claim(make_job()) is not None
    for _ in range(reconciler.BATCH + 1):
        make_job()
    other = make_job(repository="acme/other")
    reconciler.look()
    other.refresh_from_db()
    assert other.dispatched_at is not None


def test_the_row_for_all_repositories_offers_no_limit_and_stays(staff_client: Client) -> None:
    everything, one = Repository.objects.get_or_create(name="*")[0], Repository.objects.create(name="acme/one")
    pages = {row.name: staff_client.get(f"/admin/booty_site/repository/{row.pk}/change/").content for row in (everything, one)}
    assert (b"max_running" in pages["*"], b"max_running" in pages["acme/one"]) == (False, True)
    assert staff_client.post(f"/admin/booty_site/repository/{everything.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Repository.objects.filter(name="*").exists()
