"""Looks again at what may have been forgotten: by the database alone, over and over, safe to run twice."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from itertools import takewhile
from typing import TypeVar

import redis
from django.conf import settings
from django.utils import timezone

from booty_site import faults, observability
from booty_site.errors import BootyError
from booty_site.redaction import redact
from booty_site.runs import admission, dispatch, failures, kinds, lifecycle, notices
from booty_site.runs.models import Run
from booty_site.runs.persistence import Blink
from booty_site.runs.states import FailureCode
from booty_site.runs.strays import clear_after, this_worker

logger = logging.getLogger(__name__)
T = TypeVar("T")
BATCH = 200
MAX_UNCLAIMED_DISPATCHES = 5
# How long one look may spend on notices of a kind of run.
NOTICES_SECONDS = 20.0


class WorkerLost(BootyError):
    """Every attempt of a run lost its worker; the row's setback says why the last one did, where that is known."""

    code = FailureCode.WORKER_LOST.value
    public = "The worker that ran this was lost, and so were the ones that tried again."

    def __init__(self, run: Run) -> None:
        super().__init__(f"attempt {run.attempt} on {run.worker} was lost. {run.setback}".strip())
        self.public = f"{type(self).public} {run.setback}".strip()


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
        for step in (_close_expired, _wake_rested, _dispatch_again, _send_due):
            put_right += step(kind)
    return put_right


def _each(rows: Iterable[T], put_right: Callable[[T], bool]) -> int:
    """Put right one row after the other and return how many were; what is wrong with one does not keep the next waiting.

    Raises the first error of a database that is away, since then none of the others would fare better.
    """
    done = 0
    for row in rows:
        try:
            done += put_right(row)
        except Blink:
            raise
        except Exception as error:  # noqa: BLE001  (reported; the row is looked at again next time)
            logger.error("%s could not be put right: %s", row, redact(repr(error)))
            observability.report(error)
    return done


def _close_expired(kind: kinds.RunKind) -> int:
    return _each(kind.model.objects.lease_expired(timezone.now()).order_by("lease_expires_at")[:BATCH], _close)


def _close(run: Run) -> bool:
    clear_after(run)
    if run.failure_code:
        return _fail(run, FailedBefore(run.failure_code))
    if run.failed_attempts >= settings.BOOTY_MAX_ATTEMPTS:
        return _fail(run, WorkerLost(run))
    if not lifecycle.requeue_lost(run):
        return False
    logger.warning("%s: its worker %s was lost, the run is queued again", run, run.worker)
    return True


def _fail(run: Run, error: BootyError) -> bool:
    taken = lifecycle.take_over(run)
    faults.reach("reconciler.after_expiring")
    return taken is not None and failures.fail(taken, error)


def _wake_rested(kind: kinds.RunKind) -> int:
    return _each(kind.model.objects.rested(timezone.now())[:BATCH], lifecycle.queue_again)


def _close_unclaimed(run: Run) -> bool:
    claimed = lifecycle.claim(type(run), run.pk, this_worker())
    return claimed is not None and failures.fail(claimed, DispatchFailed())


def _dispatch_again(kind: kinds.RunKind) -> int:
    age = timedelta(seconds=settings.BOOTY_DISPATCH_SECONDS)
    overdue = list(kind.model.objects.dispatched_before(timezone.now() - age).order_by("dispatched_at")[:BATCH])
    try:
        for run in dispatch.lost_by_broker(overdue):
            dispatch.forget(run)
    except redis.RedisError as error:
        logger.warning("the broker can't be asked (%s); waiting for it", type(error).__name__)
        return 0
    put_right = 0
    for run in admission.next_to_dispatch(kind.model, BATCH):
        if run.unclaimed_dispatches >= MAX_UNCLAIMED_DISPATCHES:
            put_right += _close_unclaimed(run)
            continue
        faults.reach("reconciler.before_dispatching")
        if not dispatch.dispatch(run):
            break
        put_right += 1
    return put_right


def _send_due(kind: kinds.RunKind) -> int:
    """Send what is due, for a bounded time: a GitHub that hangs must not keep expired leases waiting."""
    until = time.monotonic() + NOTICES_SECONDS
    due = takewhile(lambda notice: time.monotonic() < until, notices.due(kind.model, BATCH))
    return _each(due, notices.send)
