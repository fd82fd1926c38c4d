"""The one place that changes a run's state.

Every change is a conditional UPDATE over the legal transitions of `states.TRANSITIONS`; each function
says whether it won. Who works on a run holds a lease: a token that every later write names, so that
whoever lost the run changes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, TypeVar, cast

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils import timezone

from booty_site import faults
from booty_site.redaction import redact
from booty_site.runs.models import Run
from booty_site.runs.states import ACTIVE, State, sources

R = TypeVar("R", bound=Run)
SETBACK_LENGTH = 300
NOT_HELD: Mapping[str, Any] = {"lease_token": None, "lease_expires_at": None, "dispatched_at": None, "worker": ""}


def begin(model: type[R], *, subject: str, **values: Any) -> tuple[R, bool]:
    """Return a new queued run for `subject`, or the active one there is, and whether it is new."""
    try:
        with transaction.atomic():
            return cast(R, model._default_manager.create(subject=subject, **values)), True
    except IntegrityError:
        active = model._default_manager.filter(subject=subject, state__in=ACTIVE).first()
        if active is None:
            raise
        return cast(R, active), False


def claim(model: type[R], run_id: uuid.UUID, worker: str, *, token: uuid.UUID | None = None) -> R | None:
    """Take a queued run for this process; None when it is not there to be taken.

    With a `token` of the caller's the call may be repeated after a lost reply: who holds the run by that
    token has claimed it.
    """
    now, token = timezone.now(), token or uuid.uuid4()
    _move(
        model._default_manager.filter(pk=run_id),
        State.RUNNING,
        from_states=(State.QUEUED,),
        attempt=F("attempt") + 1,
        unclaimed_dispatches=0,
        lease_token=token,
        lease_expires_at=now + _lease(),
        started_at=Coalesce(F("started_at"), now),
        not_before=None,
        worker=worker,
    )
    return cast(R | None, model._default_manager.filter(pk=run_id, state=State.RUNNING, lease_token=token).first())


def renew(run: Run) -> bool:
    """Prolong the lease; False means that the run is no longer this process's."""
    return _held(run).update(lease_expires_at=timezone.now() + _lease()) == 1


def still_held(run: Run) -> bool:
    return _held(run).exists()


def take_over(run: R) -> R | None:
    """Take the lease of a run whose own has expired, in order to close it; None when someone else did."""
    now = timezone.now()
    won = _held(run).filter(lease_expires_at__lt=now).update(lease_token=uuid.uuid4(), lease_expires_at=now + _lease())
    return cast(R, type(run)._default_manager.get(pk=run.pk)) if won == 1 else None


def expire(run: Run, *, setback: str = "") -> bool:
    """End a lease at once: its holder is known to be dead, of `setback`."""
    return _held(run).update(lease_expires_at=timezone.now() - timedelta(seconds=1), setback=setback[:SETBACK_LENGTH]) == 1


def requeue_lost(run: Run) -> bool:
    """Return a run whose lease expired to the queue."""
    held = _held(run).filter(lease_expires_at__lt=timezone.now(), failure_code="")
    return _move(held, State.QUEUED, **NOT_HELD)


def hand_back(run: Run) -> bool:
    """Return a held run to the queue because its process was asked to end; the attempt does not count as failed."""
    setback = "The worker was asked to stop."
    return _move(_held(run).filter(failure_code=""), State.QUEUED, handed_back=F("handed_back") + 1, setback=setback, **NOT_HELD)


def put_off(run: Run, seconds: float, *, setback: str) -> bool:
    """Let a held run wait before another attempt, for a cause that may pass."""
    until = timezone.now() + timedelta(seconds=seconds)
    text = redact(setback)[:SETBACK_LENGTH]
    return _move(_held(run).filter(failure_code=""), State.WAITING, not_before=until, setback=text, **NOT_HELD)


def queue_again(run: Run) -> bool:
    """Return a waiting run to the queue."""
    return _move(_row(run), State.QUEUED, from_states=(State.WAITING,), not_before=None, dispatched_at=None)


def undispatch(run: Run) -> bool:
    """Let a queued run that may not start now be dispatched later; that no worker took it is nobody's fault."""
    return _row(run).filter(state=State.QUEUED).update(dispatched_at=None, unclaimed_dispatches=0) == 1


def note_failure(run: Run, code: str) -> bool:
    """Note on a running row why it is about to end, before anything is told to the outside.

    Whoever finds such a row without a living holder finishes it and never runs it again.
    """
    return _held(run).update(failure_code=code) == 1


def finish(
    run: Run,
    state: State,
    *,
    summary: str,
    code: str = "",
    values: Mapping[str, Any] | None = None,
    payloads: Mapping[str, Any] | None = None,
) -> bool:
    """End a held run and owe the outside its notices, in one transaction.

    `payloads` maps further kinds of notice to what they send. When it won, `run` shows the new values.
    """
    fields = _ending(state, code, summary, values or {})
    with transaction.atomic():
        won = _end(_held(run), run, fields, payloads or {})
        faults.reach("save.before_commit")
    faults.reach("save.after_commit")
    if won:
        # Shown without asking the database again: a fault after the commit must not look like a failure.
        for name, value in fields.items():
            setattr(run, name, value)
    return won


def ended_by(run: Run, state: State) -> bool:
    """Tell whether this attempt ended the run so: its commit may have got through although the reply was lost."""
    return _row(run).filter(state=state, attempt=run.attempt, worker=run.worker).exists()


def cancel(run: Run, *, by: str) -> bool:
    """End an active run because a person asked for it; its holder notices within two seconds and stops.

    A run whose failure is noted has its end already: it may have been reported.
    """
    with transaction.atomic():
        return _end(_row(run).filter(failure_code=""), run, _taking_away(State.CANCELLED, f"Cancelled by {by}."), {})


def supersede(runs: Iterable[Run], *, reason: str) -> int:
    """End active runs that newer work has made pointless; returns how many were ended here."""
    with transaction.atomic():
        ending = _taking_away(State.SUPERSEDED, reason)
        return sum(_end(_row(run).filter(failure_code=""), run, ending, {}) for run in runs)


def _ending(state: State, code: str, summary: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a row that ends so; every text is redacted, since people will read it."""
    return {
        "state": state,
        "failure_code": code,
        "summary": redact(summary),
        "finished_at": timezone.now(),
        "lease_token": None,
        "lease_expires_at": None,
        "not_before": None,
        **{name: redact(value) if type(value) is str else value for name, value in values.items()},
    }


def _taking_away(state: State, summary: str) -> dict[str, Any]:
    """Return the fields of a row that ends so whoever holds it; it keeps the time until which its holder may still speak."""
    fields = _ending(state, "", summary, {})
    del fields["lease_expires_at"]
    return fields


def _end(rows: models.QuerySet[Any], run: Run, fields: Mapping[str, Any], payloads: Mapping[str, Any]) -> bool:
    state: State = fields["state"]
    if rows.filter(state__in=sources(state)).update(**fields) != 1:
        return False
    faults.reach("save.in_transaction")
    notice: Any = run.notice_model()
    # The event before the comment that names it.
    owed = [notice(run_id=run.pk, kind=kind, payload=payload) for kind, payload in payloads.items()]
    owed += [notice(run_id=run.pk, kind=kind) for kind in run.notices_owed(state)]
    # What an earlier attempt or an announcement already owed is owed again, not twice.
    notice.objects.bulk_create(
        owed,
        update_conflicts=True,
        unique_fields=("run", "kind"),
        update_fields=("state", "due_at", "payload"),
    )
    return True


def _move(rows: models.QuerySet[Any], to: State, *, from_states: tuple[State, ...] = (), **values: Any) -> bool:
    return rows.filter(state__in=from_states or sources(to)).update(state=to, **values) == 1


def _row(run: Run) -> models.QuerySet[Any]:
    return type(run)._default_manager.filter(pk=run.pk)


def _held(run: Run) -> models.QuerySet[Any]:
    return _row(run).filter(state=State.RUNNING, lease_token=run.lease_token)


def _lease() -> timedelta:
    return timedelta(seconds=settings.BOOTY_LEASE_SECONDS)
