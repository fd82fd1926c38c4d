"""Which runs may start now: pauses, each repository's limit, and fairness between repositories.

A repository has at most its limit of runs under way, of all kinds, and of each kind no more places in the broker than that
leaves, so none can fill a queue. Dispatch goes by that; the claim, made under a lock on the repository's row, makes
sure of it. Places count by kind, since a kind without a worker must not hold up the other.
"""

from __future__ import annotations

import uuid
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
QUEUED = Q(state=State.QUEUED)
IN_THE_BROKER = Q(state=State.QUEUED, dispatched_at__isnull=False)


def claim(model: type[R], run_id: uuid.UUID, worker: str, *, token: uuid.UUID) -> R | None:
    """Take a queued run if its repository may have one more under way; otherwise it waits to be dispatched again.

    None when the run is not there to be taken. May be repeated with the same `token` after a lost reply.
    """
    run = model._default_manager.filter(pk=run_id).first()
    if run is None:
        return None
    name = run.repository.lower()
    with transaction.atomic():
        # So that two claims at once see each other.
        control = Repository.objects.lock(name)
        if run.state == State.QUEUED and (control.paused or _everything_paused() or count(name, UNDER_WAY) >= limit_of(control)):
            lifecycle.undispatch(run)
            return None
        return lifecycle.claim(model, run_id, worker, token=token)


def has_room(run: Run) -> bool:
    """Tell whether a new run may be dispatched now."""
    name = run.repository.lower()
    if Repository.objects.filter(name__in=(name, EVERYTHING), paused=True).exists():
        return False
    control = Repository.objects.filter(name=name).first()
    return _room(type(run), name, control) > 0


def next_to_dispatch(model: type[R], limit: int, *, repository: str = "") -> list[R]:
    """Return runs of a kind that wait for dispatch and may start now, the oldest first, no repository over its limit."""
    if _everything_paused():
        return []
    controls = {control.name: control for control in Repository.objects.all()}
    paused = [name for name, control in controls.items() if control.paused]
    # Only repositories with room, and ranked before it is cut: one with a thousand waiting runs must not hide the others.
    rank = Window(RowNumber(), partition_by=Lower("repository"), order_by=(F("created_at"), F("id")))
    waiting = model.objects.waiting_for_dispatch().annotate(name=Lower("repository")).exclude(name__in=paused)
    if repository:
        waiting = waiting.filter(name=repository.lower())
    names = waiting.order_by().values_list("name", flat=True).distinct()
    rooms = {name: room for name in names if (room := _room(model, name, controls.get(name))) > 0}
    ranked = waiting.filter(name__in=rooms).annotate(rank=rank).filter(rank__lte=max(rooms.values(), default=0))
    chosen = [run for run in ranked.order_by("created_at") if run.rank <= rooms[run.repository.lower()]]
    return cast(list[R], chosen[:limit])


def _room(model: type[Run], name: str, control: Repository | None) -> int:
    """Return how many more runs of a kind a repository may have in the broker."""
    waiting = model._default_manager.filter(IN_THE_BROKER, repository__iexact=name).count()
    return limit_of(control) - count(name, UNDER_WAY) - waiting


def _everything_paused() -> bool:
    return Repository.objects.filter(name=EVERYTHING, paused=True).exists()


def limit_of(control: Repository | None) -> int:
    """Return how many runs of a repository may be under way at once."""
    return (control.max_running if control is not None else None) or int(settings.BOOTY_MAX_RUNNING)


def count(name: str, which: Q) -> int:
    """Return how many runs of a repository (`*`: of all), of every kind, are as `which` says."""
    whose = Q() if name == EVERYTHING else Q(repository__iexact=name)
    return sum(kind.model._default_manager.filter(which, whose).count() for kind in kinds.all_kinds())


def why_waiting(run: Run) -> str:
    """Return in a sentence what a run that is not under way waits for; an empty text when it waits for nothing known."""
    if run.state == State.WAITING and run.not_before is not None:
        return f"another attempt at {run.not_before:%H:%M:%S} UTC. {run.setback}"
    if run.state != State.QUEUED:
        return ""
    control = Repository.objects.filter(name=run.repository.lower()).first()
    if _everything_paused():
        return "an operator: all repositories are paused."
    if control is not None and control.paused:
        return "an operator: this repository is paused."
    if run.dispatched_at is None and _room(type(run), run.repository, control) <= 0:
        return f"its turn: {limit_of(control)} runs of this repository may be under way at once."
    return "a worker."
