"""Sends what the outside is owed: each notice claimed, tried, and either sent or tried again later."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from booty_site import faults, fence, observability
from booty_site.errors import BootyError, GitHubRefused, RunStopped
from booty_site.redaction import redact
from booty_site.runs.kinds import Receipt, kind_of
from booty_site.runs.models import SENTRY_NOTICE, Notice, NoticeState, Run

logger = logging.getLogger(__name__)
LONGEST_DELAY_SECONDS = 3600.0
GIVE_UP_AFTER = timedelta(days=3)


def send_owed(run: Run) -> None:
    """Try every notice that the run owes now. Never raises: what fails stays owed."""
    try:
        notices = list(run.notices.filter(state=NoticeState.OWED, due_at__lte=timezone.now()))
        for notice in notices:
            send(notice)
    except Exception as error:  # noqa: BLE001  (the outcome is saved; the reconciler tries again)
        logger.warning("%s: notices stay owed: %s", run, redact(repr(error)))


def send(notice: Notice) -> bool:
    """Try one owed notice; True when it was delivered by this call."""
    rows = type(notice)._default_manager.filter(pk=notice.pk)
    claimed_at, now = time.monotonic(), timezone.now()
    visibility = settings.BOOTY_NOTICE_SECONDS
    until = now + timedelta(seconds=visibility)
    if rows.filter(state=NoticeState.OWED, due_at__lte=now).update(due_at=until, tries=F("tries") + 1, again=False) != 1:
        return False
    notice.refresh_from_db()
    try:
        faults.reach(f"notice.claimed.{notice.kind}")
        with fence.held_while(lambda: time.monotonic() - claimed_at < visibility):
            receipt = deliver(notice.run, notice.kind, notice.payload)
        faults.reach(f"notice.after_post.{notice.kind}")
        _mark_sent(notice, receipt)
    except RunStopped:
        logger.warning("%s: %s was left to another process: it took too long", notice.run, notice.kind)
        return False
    except Exception as error:  # noqa: BLE001  (whatever a notifier raises, the notice stays owed)
        _put_off(notice, error)
        return False
    faults.reach(f"notice.marked.{notice.kind}")
    return True


def _mark_sent(notice: Notice, receipt: Receipt) -> None:
    """Note what was delivered; what mentions it is owed again, so that it gets the mention."""
    run = notice.run
    rows = type(notice)._default_manager.filter(pk=notice.pk)
    with transaction.atomic():
        if receipt.values:
            type(run)._default_manager.filter(pk=run.pk).update(**receipt.values)
        told: dict[str, Any] = {"sent_at": timezone.now(), "url": receipt.url, "last_error": ""}
        # Asked of the database: whoever was stopped for long finds that another has sent it.
        first = rows.filter(sent_at=None).exists()
        if rows.filter(again=False).update(state=NoticeState.SENT, **told) != 1:
            # While it was being sent, something changed that it has to mention.
            rows.update(again=False, due_at=timezone.now(), **told)
        until = run.may_be_spoken_of_until
        if until and until > told["sent_at"]:
            # A holder that was cut off may contradict it until then.
            rows.update(state=NoticeState.OWED, due_at=until)
        if first:
            owe_again(run, run.mentioned_in(notice.kind))


def owe_again(run: Run, kinds_of_notice: Collection[str] | None = None) -> None:
    """Owe what was told about a run once more, or only notices of some kinds; each edits what it made."""
    told = run.notices.exclude(kind=SENTRY_NOTICE)
    if kinds_of_notice is not None:
        told = told.filter(kind__in=kinds_of_notice)
    told.filter(state=NoticeState.OWED).update(again=True)
    told.filter(state=NoticeState.SENT).update(state=NoticeState.OWED, due_at=timezone.now())


def deliver(run: Run, notice_kind: str, payload: Any = None) -> Receipt:
    """Deliver one notice to the outside, whatever the database says about it. May raise."""
    if notice_kind == SENTRY_NOTICE:
        faults.reach(f"notice.before_post.{notice_kind}")
        event_id = observability.send_again(payload)
        return Receipt(values={"sentry_event_id": event_id})
    return kind_of(run).notifier.deliver(run, notice_kind)


def due(model: type[Run], limit: int) -> list[Notice]:
    """Return notices of a kind of run that should be tried now, the longest due first."""
    rows: QuerySet[Any] = model.notice_model()._default_manager.filter(state=NoticeState.OWED, due_at__lte=timezone.now())
    return list(rows.select_related("run").order_by("due_at")[:limit])


def _put_off(notice: Notice, error: Exception) -> None:
    reason = f"{type(error).__name__}: {error}" if isinstance(error, BootyError) else repr(error)
    wait = min(settings.BOOTY_RETRY_SECONDS * 2 ** (notice.tries - 1), LONGEST_DELAY_SECONDS)
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
