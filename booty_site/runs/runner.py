"""The one place that starts, finishes and fails runs: every RQ task is a call of `execute`."""

from __future__ import annotations

import logging
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError
from rq.timeouts import BaseTimeoutException

from booty_site.errors import RunStopped
from booty_site.execution.environments import run_folders
from booty_site.redaction import redact
from booty_site.runs import failures, kinds, lifecycle, notices
from booty_site.runs.lease import Heartbeat
from booty_site.runs.models import Run
from booty_site.runs.persistence import Blink, insist
from booty_site.runs.records import CommandRecords
from booty_site.runs.strays import this_worker
from booty_site.runs.workbench import Workbench

logger = logging.getLogger(__name__)


def execute(kind_name: str, run_id: str) -> None:
    """Work on one run from claim to outcome.

    Returns when the run has ended as succeeded or failed, or is not this process's to work on.
    When it ended as errored by this process, the very exception that ended it is raised after it was captured,
    saved and told, so that the worker handles it too.
    """
    kind = kinds.named(kind_name)
    run = lifecycle.claim(kind.model, UUID(run_id), worker=this_worker())
    if run is None:
        logger.info("%s %s is not queued; nothing to do", kind_name, run_id)
        return
    logger.info("%s: attempt %d begins", run, run.attempt)
    with Heartbeat(run) as heartbeat:
        try:
            outcome = _work(kind, run, heartbeat)
        except RunStopped:
            won = False
        except BaseException as error:
            if failures.fail(run, error):
                raise
            won = False
        else:
            won = _finish(run, outcome)
    if not won:
        logger.info("%s: not ended by this attempt, which says nothing", run)
        return
    logger.info("%s: %s", run, run.state)
    notices.send_owed(run)


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
    except DatabaseError as error:
        if failures.fail(run, error):
            raise
        return False


def _work(kind: kinds.RunKind, run: Run, heartbeat: Heartbeat) -> kinds.Outcome:
    with run_folders(settings.BOOTY_RUNS_DIR, str(run.lease_token)) as folders:
        bench = Workbench(
            folders,
            CommandRecords(run),
            seconds=settings.BOOTY_RUN_TIMEOUT,
            stopped=heartbeat.lost,
            owner=str(run.lease_token),
        )
        _announce(kind, run)
        return kind.pipeline(run, bench)


def _announce(kind: kinds.RunKind, run: Run) -> None:
    """Say that work has begun. A courtesy: the outcome is owed, this is not. Raises RunStopped."""
    try:
        receipt = kind.notifier.announce(run)
    except BaseTimeoutException:
        raise
    except Exception as error:  # noqa: BLE001  (a courtesy that fails must not fail the run)
        logger.warning("%s: its start could not be announced: %s", run, redact(repr(error)))
        return
    if receipt.values:
        insist(lambda: type(run)._default_manager.filter(pk=run.pk).update(**receipt.values))
        for name, value in receipt.values.items():
            setattr(run, name, value)
    if not insist(lambda: lifecycle.still_held(run)):
        # Cancelled or superseded meanwhile: its end may have been told before its beginning.
        notices.owe_again(run)
        raise RunStopped
