"""Looks again at what may have been forgotten: by the database alone, over and over, safe to run twice."""

from __future__ import annotations

import logging
from datetime import timedelta

import redis
from django.conf import settings
from django.utils import timezone

from booty_site.errors import BootyError
from booty_site.runs import dispatch, failures, kinds, lifecycle, notices
from booty_site.runs.models import Run
from booty_site.runs.states import FailureCode
from booty_site.runs.strays import clear_after, this_worker

logger = logging.getLogger(__name__)
BATCH = 200
# A dispatched run that no worker took in this time is looked up in the broker.
DISPATCH_AGE = timedelta(seconds=15)
MAX_UNCLAIMED_DISPATCHES = 5


class WorkerLost(BootyError):
    code = FailureCode.WORKER_LOST.value
    public = "The worker that ran this was lost, and so were the ones that tried again."


class FailedBefore(BootyError):
    """A run's worker noted a failure and died before it could report it."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the worker was lost while it reported {code}")
        self.code = code
        self.public = f"The run broke ({FailureCode(code).label}), and its worker was lost while reporting it."


class DispatchFailed(BootyError):
    code = FailureCode.DISPATCH_FAILED.value
    public = "The run was queued again and again, but no worker took it. Check that `manage.py rqworker` runs."


def look() -> int:
    """Look at everything once; returns how many things were put right."""
    put_right = 0
    for kind in kinds.all_kinds():
        put_right += _close_expired(kind)
        put_right += _dispatch_again(kind)
        put_right += sum(notices.send(notice) for notice in notices.due(kind.model, BATCH))
    return put_right


def _close_expired(kind: kinds.RunKind) -> int:
    put_right = 0
    for run in kind.model.objects.lease_expired(timezone.now())[:BATCH]:
        clear_after(run)
        if run.failure_code:
            put_right += _fail(run, FailedBefore(run.failure_code))
        elif run.attempt >= settings.BOOTY_MAX_ATTEMPTS:
            put_right += _fail(run, WorkerLost(f"attempt {run.attempt} on {run.worker} was lost"))
        elif lifecycle.hand_back(run):
            logger.warning("%s: its worker %s was lost, the run is queued again", run, run.worker)
            put_right += 1
    return put_right


def _fail(run: Run, error: BootyError) -> bool:
    taken = lifecycle.take_over(run)
    return taken is not None and failures.fail(taken, error)


def _close_unclaimed(run: Run) -> bool:
    claimed = lifecycle.claim(type(run), run.pk, this_worker())
    return claimed is not None and failures.fail(claimed, DispatchFailed())


def _dispatch_again(kind: kinds.RunKind) -> int:
    overdue = list(kind.model.objects.dispatched_before(timezone.now() - DISPATCH_AGE).order_by("created_at")[:BATCH])
    try:
        for run in dispatch.lost_by_broker(overdue):
            dispatch.forget(run)
    except redis.RedisError as error:
        logger.warning("the broker can't be asked (%s); waiting for it", type(error).__name__)
        return 0
    put_right = 0
    for run in kind.model.objects.waiting_for_dispatch().order_by("created_at")[:BATCH]:
        if run.unclaimed_dispatches >= MAX_UNCLAIMED_DISPATCHES:
            put_right += _close_unclaimed(run)
        elif dispatch.dispatch(run):
            put_right += 1
        else:
            break
    return put_right
