"""Tells the broker that a run waits. Only a hint: it may be lost, repeated or late without harm."""

from __future__ import annotations

import logging
import time
from functools import cache

import redis
from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import F
from django.utils import timezone
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue
from rq.exceptions import DuplicateJobError

from booty_site import faults
from booty_site.runs import admission, kinds
from booty_site.runs.models import Run
from booty_site.runs.states import State

logger = logging.getLogger(__name__)
BROKER_SECONDS = 0.5
# After a broker gave no answer new runs are left to the reconciler for so long: a webhook waits once, not each time.
REST_SECONDS = 5.0
BATCH = 200
_broker_rests_until = 0.0
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
    """Dispatch a new run once its row is safely stored, if it may start now; never slows down or fails its caller."""
    transaction.on_commit(lambda: _hint(run), robust=True)


def _hint(run: Run) -> None:
    faults.reach("web.after_commit")
    if time.monotonic() < _broker_rests_until:
        return
    try:
        if admission.has_room(run):
            dispatch(run)
    except DatabaseError as error:
        logger.warning("%s: not dispatched yet, the database failed: %s", run, type(error).__name__)
    faults.reach("web.after_enqueue")


def fill(repository: str) -> None:
    """Dispatch the next runs of a repository, one of whose runs has ended. Never raises: the reconciler looks again."""
    try:
        for kind in kinds.all_kinds():
            for run in admission.next_to_dispatch(kind.model, BATCH, repository=repository):
                if not dispatch(run):
                    return
    except Exception as error:  # noqa: BLE001  (a run has just ended well; the reconciler looks after the next ones)
        logger.warning("%s: its next runs are not dispatched yet: %s", repository, type(error).__name__)


def dispatch(run: Run) -> bool:
    """Enqueue a queued run by its id; True when the broker holds it. Never raises for the broker's sake.

    The id of the RQ job comes from the row and the number of the dispatch, and is unique in the
    broker: two processes that dispatch at once make one job.
    """
    global _broker_rests_until
    number = run.dispatches + 1
    try:
        faults.reach("dispatch.before_broker")
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
        _broker_rests_until = time.monotonic() + REST_SECONDS
        logger.warning("%s: the broker could not be told (%s); the reconciler will try again", run, type(error).__name__)
        return False
    faults.reach("dispatch.after_broker")
    type(run)._default_manager.filter(pk=run.pk, dispatches=run.dispatches).update(
        dispatches=number, unclaimed_dispatches=F("unclaimed_dispatches") + 1, dispatched_at=timezone.now()
    )
    return True


def lost_by_broker(runs: list[Run]) -> list[Run]:
    """Return those dispatched runs that do not wait in the broker any more.

    What a worker has taken out of its queue is claimed within moments, so a run that was dispatched some time
    ago, is not claimed and does not wait was lost with its worker. To dispatch a run twice does no harm.
    Raises redis.RedisError when the broker can't be asked: an unreachable broker means wait.
    """
    if not runs:
        return []
    with broker().pipeline(transaction=False) as pipeline:
        for run in runs:
            pipeline.lpos(_queue(run.queue).key, run.rq_job_id)
        places = pipeline.execute()
    return [run for run, place in zip(runs, places, strict=True) if place is None]


def forget(run: Run) -> bool:
    """Mark a queued run as not dispatched, so that it is dispatched again."""
    rows = type(run)._default_manager.filter(pk=run.pk, state=State.QUEUED, dispatches=run.dispatches)
    return rows.update(dispatched_at=None) == 1
