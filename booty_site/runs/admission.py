"""Which runs may start now: pauses, each repository's limit, and fairness between repositories.

A repository has at most its limit of runs under way or waiting in the broker, so none can fill the queues.
Dispatch goes by that; the claim, made under a lock on the repository's row, makes sure of it.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable
from typing import TypeVar, cast

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, Window
from django.db.models.functions import Lower, RowNumber

from booty_site.models import EVERYTHING, Repository
from booty_site.runs import kinds, lifecycle
from booty_site.runs.models import Run
from booty_site.runs.states import State

R = TypeVar("R", bound=Run)
UNDER_WAY = Q(state=State.RUNNING)
IN_THE_BROKER = Q(state=State.QUEUED, dispatched_at__isnull=False)


def claim(model: type[R], run_id: uuid.UUID, worker: str, *, token: uuid.UUID) -> R | None:
    """Take a queued run if its repository may have one more under way; otherwise it waits to be dispatched again.

    None when the run is not there to be taken. May be repeated with the same `token` after a lost reply.
    """
    run = model._default_manager.filter(pk=run_id).first()
    if run is None:
        return None
    name = run.repository.lower()
    Repository.objects.get_or_create(name=name)
    with transaction.atomic():
        # The lock makes two claims at once see each other; SQLite has one writer at a time anyway.
        control = Repository.objects.select_for_update().get(name=name)
        if run.state == State.QUEUED and (control.paused or _everything_paused() or _count(name, UNDER_WAY) >= _limit(control)):
            lifecycle.undispatch(run)
            return None
        return lifecycle.claim(model, run_id, worker, token=token)


def has_room(run: Run) -> bool:
    """Tell whether a new run may be dispatched now."""
    name = run.repository.lower()
    if Repository.objects.filter(name__in=(name, EVERYTHING), paused=True).exists():
        return False
    control = Repository.objects.filter(name=name).first()
    return _count(name, UNDER_WAY | IN_THE_BROKER) < _limit(control)


def next_to_dispatch(model: type[R], limit: int, *, repository: str = "") -> list[R]:
    """Return runs of a kind that wait for dispatch and may start now, the oldest first, no repository over its limit."""
    if _everything_paused():
        return []
    controls = {control.name: control for control in Repository.objects.all()}
    paused = [name for name, control in controls.items() if control.paused]
    rank = Window(RowNumber(), partition_by=Lower("repository"), order_by=(F("created_at"), F("id")))
    waiting = model.objects.waiting_for_dispatch().annotate(name=Lower("repository")).exclude(name__in=paused)
    if repository:
        waiting = waiting.filter(name=repository.lower())
    # Ranked before it is cut: a repository with a thousand waiting runs must not hide the others.
    most = max([settings.BOOTY_MAX_RUNNING, *(_limit(control) for control in controls.values())])
    found = list(waiting.annotate(rank=rank).filter(rank__lte=most).order_by("created_at")[:limit])
    room = _rooms({run.repository.lower() for run in found}, controls)
    chosen = []
    for run in found:
        if room[run.repository.lower()] > 0:
            room[run.repository.lower()] -= 1
            chosen.append(run)
    return cast(list[R], chosen)


def _rooms(names: Iterable[str], controls: dict[str, Repository]) -> Counter[str]:
    return Counter({name: _limit(controls.get(name)) - _count(name, UNDER_WAY | IN_THE_BROKER) for name in names})


def _everything_paused() -> bool:
    return Repository.objects.filter(name=EVERYTHING, paused=True).exists()


def _limit(control: Repository | None) -> int:
    return (control.max_running if control is not None else None) or settings.BOOTY_MAX_RUNNING


def _count(name: str, which: Q) -> int:
    """Return how many runs of a repository, of all kinds, are as `which` says."""
    return sum(kind.model._default_manager.filter(which, repository__iexact=name).count() for kind in kinds.all_kinds())
