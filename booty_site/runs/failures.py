"""The failure path: captured in Sentry, then saved, then told; no step depends on another's success."""

from __future__ import annotations

import logging
import traceback
from typing import Any

from django.db import DatabaseError

from booty_site import observability
from booty_site.errors import RunStopped, code_of, public_sentence
from booty_site.redaction import redact
from booty_site.runs import lifecycle, notices
from booty_site.runs.models import SENTRY_NOTICE, Run
from booty_site.runs.states import FailureCode, State

logger = logging.getLogger(__name__)
DETAIL_LENGTH = 8000


def fail(run: Run, error: BaseException) -> None:
    """End a held run as errored because of `error`.

    In this order: the code is noted on the row, the error is captured in Sentry, the state is saved
    with the notices owed, the notices are tried. Never raises, so that the caller can raise `error`
    itself. When the run turns out to be someone else's by now, nothing is captured, saved or told.
    """
    code = code_of(error)
    try:
        if not lifecycle.note_failure(run, code):
            logger.info("%s: no longer ours, its failure is not reported", run)
            return
    except DatabaseError as problem:
        # The lease is still ours by its own clock; Sentry and the comment matter more than the note.
        logger.warning("%s: the failure could not be noted: %s", run, type(problem).__name__)

    captured = observability.capture(error, run.sentry_tags(), run.derived_event_id)
    try:
        if _save(run, error, code, captured):
            notices.send_owed(run)
        return
    except DatabaseError as problem:
        logger.error("%s: the failure could not be saved: %s", run, type(problem).__name__)
    _tell_unsaved(run, error, code, captured)


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


def close_unclaimed(run: Run, error: BaseException) -> bool:
    """End a queued run as errored that no worker took; True when this call ended it."""
    code, event_id = code_of(error), run.derived_event_id
    event = observability.plain_event(error, run.sentry_tags(), event_id)
    payloads = {SENTRY_NOTICE: event} if observability.enabled() else {}
    if not lifecycle.close_queued(run, FailureCode(code), summary=public_sentence(error), payloads=payloads):
        return False
    notices.send_owed(run)
    return True
