"""The one place that starts, finishes and fails runs: every RQ task is a call of `execute`."""

from __future__ import annotations

import logging
import time
import uuid

from django.conf import settings
from django.db import DatabaseError
from rq.timeouts import BaseTimeoutException

from booty_site import faults, fence
from booty_site.errors import RunInterrupted, RunStopped
from booty_site.execution.environments import run_folders
from booty_site.redaction import redact
from booty_site.runs import admission, dispatch, failures, kinds, lifecycle, notices, retries
from booty_site.runs.lease import Heartbeat
from booty_site.runs.models import Run
from booty_site.runs.persistence import Blink, insist
from booty_site.runs.records import CommandRecords
from booty_site.runs.strays import end_with_everything, this_worker
from booty_site.runs.workbench import Workbench

logger = logging.getLogger(__name__)


def execute(kind_name: str, run_id: str) -> None:
    """Work on one run from claim to outcome.

    Returns when the run has ended as succeeded or failed, is to be tried again later, or is not this process's
    to work on. When it ended as errored by this process, the very exception that ended it is raised after it
    was captured, saved and told, so that the worker handles it too.
    """
    kind = kinds.named(kind_name)
    faults.reach("run.start")
    since = time.monotonic()
    run = _claim(kind, uuid.UUID(run_id))
    if run is None:
        logger.info("%s %s may not be worked on now; nothing to do", kind_name, run_id)
        return
    logger.info("%s: attempt %d begins", run, run.attempt)
    with Heartbeat(run, since=since, abandon=lambda: end_with_everything(run)) as heartbeat:
        won, error = _to_its_end(kind, run, heartbeat)
    # From here on the run is over or someone else's: it has no lease to keep.
    if won:
        logger.info("%s: %s", run, run.state)
        notices.send_owed(run)
    else:
        logger.info("%s: not ended by this attempt, which says nothing", run)
    dispatch.fill(run.repository)
    if error is not None:
        faults.reach("run.before_reraise")
        raise error


def _claim(kind: kinds.RunKind, run_id: uuid.UUID) -> Run | None:
    token = uuid.uuid4()
    try:
        return insist(lambda: admission.claim(kind.model, run_id, this_worker(), token=token))
    except Blink as error:
        logger.error("run %s could not be claimed, the reconciler finds it again: %s", run_id, type(error).__name__)
        return None


def _to_its_end(kind: kinds.RunKind, run: Run, heartbeat: Heartbeat) -> tuple[bool, BaseException | None]:
    """Return whether this attempt ended the run, and the error to raise when it ended as errored."""
    try:
        faults.reach("run.after_claim")
        with fence.held_while(heartbeat.holds):
            outcome = _work(kind, run, heartbeat)
        faults.reach("run.end_of_work")
        return _finish(run, outcome), None
    except RunStopped:
        return False, None
    except RunInterrupted:
        _hand_back(run)
        return False, None
    except BaseException as error:  # noqa: BLE001  (handed to the caller, which raises it)
        if _put_off(run, error) or not failures.record(run, error):
            return False, None
        return True, error


def _work(kind: kinds.RunKind, run: Run, heartbeat: Heartbeat) -> kinds.Outcome:
    with run_folders(settings.BOOTY_RUNS_DIR, str(run.lease_token)) as folders:
        bench = Workbench(
            folders,
            CommandRecords(run),
            seconds=settings.BOOTY_RUN_TIMEOUT,
            holds=heartbeat.holds,
            owner=str(run.lease_token),
        )
        _announce(kind, run)
        return kind.pipeline(run, bench)


def _announce(kind: kinds.RunKind, run: Run) -> None:
    """Say that work has begun. A courtesy: the outcome is owed, this is not. Raises RunStopped."""
    try:
        receipt = kind.notifier.announce(run)
    except (BaseTimeoutException, RunStopped):
        raise
    except Exception as error:  # noqa: BLE001  (a courtesy that fails must not fail the run)
        # It may have been said all the same: then only the answer was lost.
        logger.warning("%s: its start could not be announced: %s", run, redact(repr(error)))
        receipt = kinds.Receipt()
    if receipt.values:
        insist(lambda: type(run)._default_manager.filter(pk=run.pk).update(**receipt.values))
        for name, value in receipt.values.items():
            setattr(run, name, value)
    if not insist(lambda: lifecycle.still_held(run)):
        # Cancelled or superseded meanwhile: its end may have been told before its beginning.
        notices.owe_again(run)
        raise RunStopped


def _finish(run: Run, outcome: kinds.Outcome) -> bool:
    """Save an outcome; a database that stays away leaves the run to be taken up again, as after a lost worker."""

    def save() -> bool:
        code, values = outcome.code or "", outcome.values
        return lifecycle.finish(run, outcome.state, code=code, summary=outcome.summary, values=values)

    try:
        return insist(save) or insist(lambda: lifecycle.ended_by(run, outcome.state))
    except Blink as error:
        logger.error("%s: its outcome could not be saved: %s", run, type(error).__name__)
        return False


def _hand_back(run: Run) -> None:
    try:
        handed_back = insist(lambda: lifecycle.hand_back(run))
    except DatabaseError as error:
        logger.error("%s: could not be handed back, its lease runs out: %s", run, type(error).__name__)
        return
    if handed_back:
        logger.warning("%s: handed back, this worker was asked to stop", run)


def _put_off(run: Run, error: BaseException) -> bool:
    """Let the run wait for another attempt if the cause of `error` may pass; True when nothing more is to be done."""
    pause = retries.pause_before_retry(run, error)
    if pause is None:
        return False
    try:
        put_off = insist(lambda: lifecycle.put_off(run, pause, setback=f"{type(error).__name__}: {error}"))
    except DatabaseError as problem:
        logger.error("%s: could not be put off, its lease runs out: %s", run, type(problem).__name__)
        return True
    if put_off:
        logger.warning("%s: attempt %d met %s; trying again in %.0f s", run, run.attempt, redact(repr(error)), pause)
    return put_off
