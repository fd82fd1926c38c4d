"""What every run is, abstractly: Job and VerificationRun add what is theirs.

A run owns two kinds of children, declared here and made concrete by each app: the commands that it
executed and the notices that it owes to the outside.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, cast

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from booty_site.execution.process import Ending
from booty_site.runs.states import ACTIVE, TERMINAL, FailureCode, State

# Namespace of the ids that Booty derives for Sentry events.
SENTRY_EVENTS = uuid.UUID("6f1d7bb0-3f0d-5f0a-9c50-6b1a3c1f6f57")


R = TypeVar("R", bound="Run")


class RunQuerySet(models.QuerySet[R]):
    def active(self) -> Self:
        return self.filter(state__in=ACTIVE)

    def waiting_for_dispatch(self) -> Self:
        """Queued runs that no broker has been told of."""
        return self.filter(state=State.QUEUED, dispatched_at=None)

    def dispatched_before(self, moment: datetime) -> Self:
        """Queued runs that a broker was told of, but that no worker had claimed by now."""
        return self.filter(state=State.QUEUED, dispatched_at__lt=moment)

    def lease_expired(self, now: datetime) -> Self:
        return self.filter(state=State.RUNNING, lease_expires_at__lt=now)

    def rested(self, now: datetime) -> Self:
        """Waiting runs whose time to be tried again has come."""
        return self.filter(state=State.WAITING, not_before__lte=now)


RunManager = models.Manager.from_queryset(RunQuerySet)


class Run(models.Model):
    """One piece of accepted work, from the delivery that asked for it to its one outcome.

    The row is the truth: what RQ holds is only a hint that there is something to do. Rows are changed
    by `runs.lifecycle` alone, by conditional updates.
    """

    kind: ClassVar[str]
    queue: ClassVar[str]
    task: ClassVar[str]

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    repository = models.CharField(max_length=140, help_text="owner/name on GitHub")
    subject = models.CharField(max_length=255, help_text="what the run is about; one active run per subject")
    state = models.CharField(max_length=12, choices=State, default=State.QUEUED)
    failure_code = models.CharField(max_length=32, choices=FailureCode, blank=True)
    summary = models.TextField(blank=True, help_text="the outcome in a sentence, as told on GitHub")
    error_detail = models.TextField(blank=True, help_text="the error as the operator sees it, redacted")
    trigger = models.CharField(max_length=40, help_text="what asked for the run, such as issues.labeled")
    requested_by = models.CharField(max_length=80, blank=True, help_text="GitHub login, or user of the admin")
    delivery = models.ForeignKey("booty_site.WebhookDelivery", models.SET_NULL, null=True, blank=True, related_name="%(class)ss")
    retry_of = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="retries")

    dispatches = models.PositiveIntegerField(default=0, help_text="how often a broker was told")
    unclaimed_dispatches = models.PositiveSmallIntegerField(default=0)
    dispatched_at = models.DateTimeField(null=True, blank=True)
    attempt = models.PositiveSmallIntegerField(default=0, help_text="how often a worker claimed the run")
    handed_back = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="attempts that ended because a worker was asked to stop"
    )
    not_before = models.DateTimeField(null=True, blank=True, help_text="when a waiting run is tried again")
    setback = models.CharField(
        max_length=300, blank=True, default="", db_default="", help_text="why the last attempt did not end the run"
    )
    lease_token = models.UUIDField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=255, blank=True)

    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    sentry_event_id = models.CharField(max_length=32, blank=True)

    objects = RunManager()

    if TYPE_CHECKING:
        # Each app makes these concrete, as children with a foreign key to its own kind of run.
        commands: Any
        notices: Any

    class Meta:
        abstract = True
        ordering = ("-created_at", "-id")
        indexes: ClassVar[tuple[models.Index, ...]] = (
            models.Index(F("created_at").desc(), F("id").desc(), name="%(class)s_newest"),
            models.Index(F("state"), F("created_at").desc(), F("id").desc(), name="%(class)s_by_state"),
            models.Index(F("repository"), F("created_at").desc(), F("id").desc(), name="%(class)s_by_repository"),
            # Small however many runs have ended: who may run now is asked at every claim and every dispatch.
            models.Index(fields=("repository", "state", "created_at"), name="%(class)s_active", condition=Q(state__in=ACTIVE)),
        )
        constraints = (
            models.UniqueConstraint(fields=("subject",), condition=Q(state__in=ACTIVE), name="%(class)s_one_active_per_subject"),
            models.CheckConstraint(
                condition=Q(state__in=ACTIVE, finished_at=None) | Q(state__in=TERMINAL, finished_at__isnull=False),
                name="%(class)s_finished_when_terminal",
            ),
            models.CheckConstraint(
                condition=Q(state=State.RUNNING, lease_token__isnull=False) | (~Q(state=State.RUNNING) & Q(lease_token=None)),
                name="%(class)s_leased_while_running",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=(State.FAILED, State.ERRORED), failure_code="")
                & ~(Q(state=State.SUCCEEDED) & ~Q(failure_code="")),
                name="%(class)s_failure_has_code",
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"

    @property
    def is_terminal(self) -> bool:
        return self.state in TERMINAL

    @property
    def failed_attempts(self) -> int:
        """How many attempts went wrong, the present one included; being handed back is nobody's fault."""
        return self.attempt - self.handed_back

    @property
    def rq_job_id(self) -> str:
        """The id of the newest RQ job for this run."""
        return f"booty-{self.pk}-{self.dispatches}"

    @property
    def derived_event_id(self) -> str:
        """The id of this run's one Sentry event, the same whoever sends it and however often."""
        return uuid.uuid5(SENTRY_EVENTS, str(self.pk)).hex

    @property
    def may_be_spoken_of_until(self) -> datetime | None:
        """Until when a holder whose run was ended by someone else may still say that it is at work; None when there is none.

        It speaks for no longer than its lease, and what it says is on its way for no longer than an answer is awaited.
        """
        if not self.is_terminal or self.lease_expires_at is None:
            return None
        return self.lease_expires_at + timedelta(seconds=settings.BOOTY_GITHUB_SECONDS)

    @property
    def duration(self) -> timedelta | None:
        """Time from the first claim to the end, or to now while the run goes on."""
        if self.started_at is None:
            return None
        return (self.finished_at or timezone.now()) - self.started_at

    def sentry_tags(self) -> dict[str, str]:
        """Tags of this run's event. Values are texts: a strict Sentry server drops an event with any other."""
        return {
            "job_id": str(self.pk),
            "run_kind": self.kind,
            "repository": self.repository,
            "attempt": str(self.attempt),
        }

    @classmethod
    def notice_model(cls) -> type[Notice]:
        """Return the concrete model of this kind's notices."""
        return cast("type[Notice]", cls._meta.get_field("notices").related_model)

    @classmethod
    def command_model(cls) -> type[CommandRecord]:
        """Return the concrete model of this kind's commands."""
        return cast("type[CommandRecord]", cls._meta.get_field("commands").related_model)

    def notices_owed(self, state: State) -> tuple[str, ...]:
        """Return the kinds of notice that the outside is owed when the run ends in `state`."""
        raise NotImplementedError  # each kind of run says which; a model's metaclass rules out an abstract method

    def mentioned_in(self, notice_kind: str) -> tuple[str, ...]:
        """Return the kinds of notice that mention what a notice of this kind made."""
        return self.notices_owed(State(self.state)) if notice_kind == SENTRY_NOTICE else ()


class CommandRecord(models.Model):
    """One command that a run executed, written as it happens."""

    attempt = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=40, help_text="the step, such as fetch, install or test")
    argv = models.JSONField()
    ending = models.CharField(max_length=16, blank=True, choices=[(ending, ending.replace("_", " ")) for ending in Ending])
    exit_code = models.IntegerField(null=True, blank=True)
    started_at = models.DateTimeField(default=timezone.now)
    seconds = models.FloatField(null=True, blank=True)
    output = models.TextField(blank=True)

    class Meta:
        abstract = True
        ordering = ("id",)

    def __str__(self) -> str:
        return self.name


class NoticeState(models.TextChoices):
    OWED = "owed", "owed"
    SENT = "sent", "sent"
    GIVEN_UP = "given_up", "given up"


SENTRY_NOTICE = "sentry_event"


class Notice(models.Model):
    """Something that the outside is owed because of a run's end: a comment, a check, a Sentry event."""

    kind = models.CharField(max_length=24)
    state = models.CharField(max_length=12, choices=NoticeState, default=NoticeState.OWED)
    again = models.BooleanField(
        default=False, db_default=False, help_text="something changed while it was being sent; it is sent once more"
    )
    tries = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True, blank=True)
    url = models.URLField(max_length=500, blank=True)
    last_error = models.TextField(blank=True)
    payload = models.JSONField(null=True, blank=True, help_text="what is sent, where the row does not say it")

    if TYPE_CHECKING:
        run: Run

    class Meta:
        abstract = True
        ordering = ("id",)
        constraints = (models.UniqueConstraint(fields=("run", "kind"), name="%(class)s_once_per_kind"),)
        indexes = (models.Index(fields=("state", "due_at"), name="%(class)s_due"),)

    def __str__(self) -> str:
        return f"{self.kind} ({self.state})"
