"""Tells the broker that a run waits. Only a hint: it may be lost, repeated or late without harm."""

from __future__ import annotations

import logging
from functools import cache

import redis
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue
from rq.exceptions import DuplicateJobError
from rq.job import Job, JobStatus

from booty_site.runs.models import Run
from booty_site.runs.states import State

logger = logging.getLogger(__name__)
BROKER_SECONDS = 0.5
# An accepted run waits in the broker, so a job there may be old; a finished one is kept for the dashboard.
FAILURE_TTL_SECONDS = 30 * 24 * 3600


@cache
def broker() -> redis.Redis:
    """Return this process's connection to the broker: kept open, quick to give up, never retrying."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=BROKER_SECONDS,
        socket_timeout=BROKER_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


@cache
def _queue(name: str) -> Queue:
    return Queue(name, connection=broker(), default_timeout=settings.RQ_TIMEOUT_SECONDS)


def after_commit(run: Run) -> None:
    """Dispatch a new run once its row is safely stored."""
    transaction.on_commit(lambda: dispatch(run), robust=True)


def dispatch(run: Run) -> bool:
    """Enqueue a queued run by its id; True when the broker holds it. Never raises for the broker's sake.

    The id of the RQ job comes from the row and the number of the dispatch, and is unique in the
    broker: two processes that dispatch at once make one job.
    """
    number = run.dispatches + 1
    try:
        _queue(run.queue).enqueue(
            run.task,
            str(run.pk),
            job_id=f"booty-{run.pk}-{number}",
            unique=True,
            result_ttl=settings.RQ["DEFAULT_RESULT_TTL"],
            failure_ttl=FAILURE_TTL_SECONDS,
            description=str(run),
        )
    except DuplicateJobError:
        pass
    except redis.RedisError as error:
        logger.warning("%s: the broker could not be told (%s); the reconciler will try again", run, type(error).__name__)
        return False
    type(run)._default_manager.filter(pk=run.pk, dispatches=run.dispatches).update(
        dispatches=number, unclaimed_dispatches=F("unclaimed_dispatches") + 1, dispatched_at=timezone.now()
    )
    return True


def lost_by_broker(runs: list[Run]) -> list[Run]:
    """Return those dispatched runs that the broker does not hold any more.

    Raises redis.RedisError when the broker can't be asked: an unreachable broker means wait.
    """
    if not runs:
        return []
    waiting: set[str] = set()
    for name in {run.queue for run in runs}:
        queue = _queue(name)
        waiting.update(queue.get_job_ids(), queue.intermediate_queue.get_job_ids())
    jobs = Job.fetch_many([run.rq_job_id for run in runs], connection=broker())
    started = {job.id for job in jobs if job is not None and job.get_status(refresh=False) == JobStatus.STARTED}
    return [run for run in runs if run.rq_job_id not in waiting | started]


def forget(run: Run) -> bool:
    """Mark a queued run as not dispatched, so that it is dispatched again."""
    rows = type(run)._default_manager.filter(pk=run.pk, state=State.QUEUED, dispatches=run.dispatches)
    return rows.update(dispatched_at=None) == 1
