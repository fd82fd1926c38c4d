"""The failure path: captured in Sentry, then saved, then told; no step depends on another's success."""

from __future__ import annotations

import logging
import traceback
from typing import Any

from rq.timeouts import BaseTimeoutException

from booty_site import faults, observability
from booty_site.errors import RunStopped, code_of, public_sentence
from booty_site.redaction import redact
from booty_site.runs import lifecycle, notices
from booty_site.runs.models import SENTRY_NOTICE, Run
from booty_site.runs.persistence import insist
from booty_site.runs.states import FailureCode, State

logger = logging.getLogger(__name__)
DETAIL_LENGTH = 8000


def fail(run: Run, error: BaseException) -> bool:
    """End a held run as errored because of `error`: recorded, then told. True when it was ours to end."""
    ours = record(run, error)
    if ours:
        notices.send_owed(run)
    return ours


def record(run: Run, error: BaseException) -> bool:
    """Capture `error` and save the run as errored; False when the run turned out to be someone else's by now.

    In this order: the code is noted on the row, the error is captured in Sentry, the state is saved with the
    notices owed. Never raises, so that the caller can raise `error` itself. When the run is someone else's,
    nothing is captured or saved.
    """
    code = FailureCode.RUN_TIMED_OUT.value if isinstance(error, BaseTimeoutException) else code_of(error)
    noted = False
    try:
        faults.reach("failure.before_note")
        noted = insist(lambda: lifecycle.note_failure(run, code))
        if not noted:
            logger.info("%s: no longer ours, its failure is not reported", run)
            return False
    except Exception as problem:  # noqa: BLE001  (no step of the failure path stands in the way of the next)
        logger.warning("%s: the failure could not be noted: %s", run, type(problem).__name__)

    captured = observability.capture(error, run.sentry_tags(), run.derived_event_id)
    try:
        if not (insist(lambda: _save(run, error, code, captured)) or insist(lambda: lifecycle.ended_by(run, State.ERRORED))):
            logger.info("%s: no longer ours, its failure was captured only", run)
        return True
    except Exception as problem:  # noqa: BLE001  (as above)
        logger.error("%s: the failure could not be saved: %s", run, type(problem).__name__)
    if noted:
        _tell_unsaved(run, error, code, captured)
    # Without the note the run is taken up again and may yet succeed: then a comment would be false.
    return True


def _save(run: Run, error: BaseException, code: str, captured: observability.Captured) -> bool:
    values: dict[str, Any] = {
        "error_detail": describe(error),
        "sentry_event_id": captured.event_id if captured.confirmed else "",
    }
    payloads = {SENTRY_NOTICE: captured.event} if captured.owed else {}
    return lifecycle.finish(run, State.ERRORED, code=code, summary=public_sentence(error), values=values, payloads=payloads)


def _tell_unsaved(run: Run, error: BaseException, code: str, captured: observability.Captured) -> None:
    """Post the outcome although the database refused it: the reconciler will save it and find it told."""
    run.state, run.failure_code, run.summary = State.ERRORED, code, public_sentence(error)
    run.sentry_event_id = captured.event_id if captured.confirmed else ""
    for notice_kind in run.notices_owed(State.ERRORED):
        try:
            notices.deliver(run, notice_kind)
        except Exception as problem:  # noqa: BLE001  (one refused notice must not keep the next from being tried)
            logger.warning("%s: %s could not be sent: %s", run, notice_kind, redact(repr(problem)))


def describe(error: BaseException) -> str:
    """Return the error with its traceback for the operator, redacted and bounded."""
    if isinstance(error, RunStopped):
        return ""
    return redact("".join(traceback.format_exception(error)))[-DETAIL_LENGTH:]
