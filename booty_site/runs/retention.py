"""Purges what was kept only to look into recent work: payloads and command output. Rows stay."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Q

from booty_site.models import WebhookDelivery
from booty_site.runs import kinds
from booty_site.runs.models import NoticeState
from booty_site.runs.states import TERMINAL

# Small transactions: a webhook that comes meanwhile waits for one batch at most.
BATCH = 500


@dataclass(frozen=True)
class Purged:
    """How many rows lost what they held."""

    deliveries: int
    commands: int
    notices: int


def prune(before: datetime) -> Purged:
    """Purge the payloads of deliveries received, and the output of runs ended, before a moment; what is still owed stays."""
    commands = notices = 0
    for kind in kinds.all_kinds():
        ended = Q(run__state__in=TERMINAL, run__finished_at__lt=before)
        commands += _clear(kind.model.command_model()._default_manager.filter(ended).exclude(output=""), output="")
        told = kind.model.notice_model()._default_manager.filter(ended, payload__isnull=False).exclude(state=NoticeState.OWED)
        notices += _clear(told, payload=None)
    deliveries = WebhookDelivery.objects.filter(received_at__lt=before, payload__isnull=False)
    return Purged(_clear(deliveries, payload=None), commands, notices)


def _clear(rows: models.QuerySet[Any], **empty: Any) -> int:
    """Set fields of the rows, a batch at a time, until no row is left; returns how many there were."""
    cleared = 0
    while batch := list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH]):
        cleared += rows.model._default_manager.filter(pk__in=batch).update(**empty)
    return cleared
