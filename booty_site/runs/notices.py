"""Sends what the outside is owed: each notice claimed, tried, and either sent or tried again later."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.db import DatabaseError
from django.db.models import F, QuerySet
from django.utils import timezone

from booty_site import observability
from booty_site.errors import BootyError, GitHubRefused
from booty_site.redaction import redact
from booty_site.runs.kinds import Receipt, kind_of
from booty_site.runs.models import SENTRY_NOTICE, Notice, NoticeState, Run

logger = logging.getLogger(__name__)
# While a notice is being sent no other process tries it; after this time its sender counts as dead.
VISIBILITY = timedelta(seconds=90)
FIRST_DELAY_SECONDS = 5.0
LONGEST_DELAY_SECONDS = 3600.0
GIVE_UP_AFTER = timedelta(days=3)


def send_owed(run: Run) -> None:
    """Try every notice that the run owes now. Never raises: what fails stays owed."""
    try:
        notices = list(run.notices.filter(state=NoticeState.OWED, due_at__lte=timezone.now()))
        for notice in notices:
            send(notice)
    except DatabaseError as error:
        logger.warning("%s: notices stay owed, the database failed: %s", run, type(error).__name__)


def send(notice: Notice) -> bool:
    """Try one owed notice; True when it was delivered by this call."""
    rows = type(notice)._default_manager.filter(pk=notice.pk)
    now = timezone.now()
    claimed = rows.filter(state=NoticeState.OWED, due_at__lte=now).update(due_at=now + VISIBILITY, tries=F("tries") + 1)
    if claimed != 1:
        return False
    notice.refresh_from_db()
    try:
        receipt = deliver(notice.run, notice.kind, notice.payload)
    except Exception as error:  # noqa: BLE001  (whatever a notifier raises, the notice stays owed)
        _put_off(notice, error)
        return False
    if receipt.values:
        type(notice.run)._default_manager.filter(pk=notice.run.pk).update(**receipt.values)
    rows.update(state=NoticeState.SENT, sent_at=timezone.now(), url=receipt.url, last_error="")
    if notice.kind == SENTRY_NOTICE:
        # What was told before the event arrived does not name it yet.
        owe_again(notice.run)
    return True


def owe_again(run: Run) -> None:
    """Owe everything that was told about a run once more; each notice edits what it made."""
    sent = run.notices.filter(state=NoticeState.SENT).exclude(kind=SENTRY_NOTICE)
    sent.update(state=NoticeState.OWED, due_at=timezone.now())


def deliver(run: Run, notice_kind: str, payload: Any = None) -> Receipt:
    """Deliver one notice to the outside, whatever the database says about it. May raise."""
    if notice_kind == SENTRY_NOTICE:
        event_id = observability.send_again(payload)
        return Receipt(values={"sentry_event_id": event_id})
    return kind_of(run).notifier.deliver(run, notice_kind)


def due(model: type[Run], limit: int) -> list[Notice]:
    """Return notices of a kind of run that should be tried now, the longest due first."""
    rows: QuerySet[Any] = model.notice_model()._default_manager.filter(state=NoticeState.OWED, due_at__lte=timezone.now())
    return list(rows.select_related("run").order_by("due_at")[:limit])


def _put_off(notice: Notice, error: Exception) -> None:
    reason = f"{type(error).__name__}: {error}" if isinstance(error, BootyError) else repr(error)
    wait = min(FIRST_DELAY_SECONDS * 2 ** (notice.tries - 1), LONGEST_DELAY_SECONDS)
    if isinstance(error, GitHubRefused) and error.retry_after:
        wait = max(wait, error.retry_after)
    now = timezone.now()
    given_up = now - notice.created_at > GIVE_UP_AFTER
    logger.warning("%s: %s could not be sent (try %d): %s", notice.run, notice.kind, notice.tries, redact(reason))
    type(notice)._default_manager.filter(pk=notice.pk).update(
        state=NoticeState.GIVEN_UP if given_up else NoticeState.OWED,
        due_at=now + timedelta(seconds=wait),
        last_error=redact(reason)[:2000],
    )
