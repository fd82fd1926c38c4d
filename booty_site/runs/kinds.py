"""The kinds of run there are, and what an app has to bring for its own: a pipeline and a notifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from django.conf import settings

from booty_site.runs.models import Run
from booty_site.runs.states import FailureCode, State
from booty_site.runs.workbench import Workbench


@dataclass(frozen=True)
class Outcome:
    """How a run's work ended when nothing broke.

    `values` are further fields of the row, saved in the same update as the state.
    """

    state: State
    summary: str
    code: FailureCode | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Receipt:
    """What the outside answered when a notice was delivered."""

    url: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


class Notifier(Protocol):
    """Tells the outside about runs of one kind. Both methods may raise; delivering twice does no harm."""

    def announce(self, run: Any) -> Receipt:
        """Say that work on the run has begun."""

    def deliver(self, run: Any, notice_kind: str) -> Receipt:
        """Say how the run ended, by the notice of this kind."""


@dataclass(frozen=True)
class RunKind:
    model: type[Run]
    pipeline: Callable[[Any, Workbench], Outcome]
    notifier: Notifier


_registry: dict[str, RunKind] = {}


def register(kind: RunKind) -> None:
    """Add a kind of run; called by an app's `AppConfig.ready()`."""
    _registry[kind.model.kind] = kind


def kind_of(run: Run) -> RunKind:
    return _registry[run.kind]


def named(name: str) -> RunKind:
    return _registry[name]


def all_kinds() -> tuple[RunKind, ...]:
    """Return every kind, in the order of the queues: a verdict is waited for by a person."""
    queues = list(settings.RQ_QUEUES)
    return tuple(sorted(_registry.values(), key=lambda kind: queues.index(kind.model.queue)))
