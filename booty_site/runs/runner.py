"""The one place that starts, finishes and fails runs: every RQ task is a call of `execute`."""

from __future__ import annotations

import logging
import os
import socket
from uuid import UUID

from django.conf import settings

from booty_site.errors import RunStopped
from booty_site.execution.environments import run_folders
from booty_site.redaction import redact
from booty_site.runs import failures, kinds, lifecycle, notices
from booty_site.runs.lease import Heartbeat
from booty_site.runs.models import Run
from booty_site.runs.records import CommandRecords
from booty_site.runs.workbench import Workbench

logger = logging.getLogger(__name__)


def execute(kind_name: str, run_id: str) -> None:
    """Work on one run from claim to outcome.

    Returns when the run has ended as succeeded or failed, or is not this process's to work on.
    When it ended as errored, the very exception that ended it is raised after it was captured,
    saved and told, so that the worker handles it too.
    """
    kind = kinds.named(kind_name)
    run = lifecycle.claim(kind.model, UUID(run_id), worker=f"{socket.gethostname()}:{os.getpid()}")
    if run is None:
        logger.info("%s %s is not queued; nothing to do", kind_name, run_id)
        return
    logger.info("%s: attempt %d begins", run, run.attempt)
    with Heartbeat(run) as heartbeat:
        try:
            outcome = _work(kind, run, heartbeat)
            won = lifecycle.finish(run, outcome.state, code=outcome.code or "", summary=outcome.summary, values=outcome.values)
        except RunStopped:
            won = False
        except Exception as error:
            failures.fail(run, error)
            raise
    if not won:
        logger.info("%s: ended by someone else meanwhile; this attempt says nothing", run)
        return
    logger.info("%s: %s", run, run.state)
    notices.send_owed(run)


def _work(kind: kinds.RunKind, run: Run, heartbeat: Heartbeat) -> kinds.Outcome:
    with run_folders(settings.BOOTY_RUNS_DIR) as folders:
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
    """Say that work has begun. A courtesy: the outcome is owed, this is not."""
    try:
        receipt = kind.notifier.announce(run)
    except Exception as error:  # noqa: BLE001  (a courtesy that fails must not fail the run)
        logger.warning("%s: its start could not be announced: %s", run, redact(repr(error)))
        return
    if receipt.values:
        type(run)._default_manager.filter(pk=run.pk).update(**receipt.values)
        for name, value in receipt.values.items():
            setattr(run, name, value)
