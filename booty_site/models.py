"""Deliveries: every webhook request that was accepted or ignored, each once. Repositories: what an operator decides of
them. Turns: what only one process does at a time."""

from __future__ import annotations

from datetime import timedelta

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils import timezone


class Source(models.TextChoices):
    GITHUB = "github", "GitHub"
    FOUND = "found", "found on GitHub"


class DeliveryStatus(models.TextChoices):
    ACCEPTED = "accepted", "accepted"
    DUPLICATE = "duplicate", "duplicate"
    IGNORED = "ignored", "ignored"
    PONG = "pong", "pong"


class WebhookDelivery(models.Model):
    """One webhook request whose signature was right.

    The payload is kept for accepted ones only: what is ignored leaves a line, not its content.
    """

    source = models.CharField(max_length=12, choices=Source)
    delivery_id = models.CharField(max_length=64)
    event = models.CharField(max_length=60)
    repository = models.CharField(max_length=140, blank=True)
    sender = models.CharField(max_length=80, blank=True)
    status = models.CharField(max_length=12, choices=DeliveryStatus)
    reason = models.CharField(max_length=300, blank=True)
    run_id = models.UUIDField(null=True, blank=True, help_text="the run that this delivery led to")
    payload = models.JSONField(null=True, blank=True)
    received_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        ordering = ("-received_at", "-id")
        constraints = (models.UniqueConstraint(fields=("source", "delivery_id"), name="delivery_once_per_source"),)
        indexes = (
            models.Index(F("received_at").desc(), F("id").desc(), name="delivery_newest"),
            models.Index(F("status"), F("received_at").desc(), F("id").desc(), name="delivery_by_status"),
            models.Index(F("repository"), F("received_at").desc(), F("id").desc(), name="delivery_by_repository"),
        )

    def __str__(self) -> str:
        return f"{self.event} {self.delivery_id}"


EVERYTHING = "*"


class RepositoryManager(models.Manager["Repository"]):
    def lock(self, full_name: str) -> Repository:
        """Return the row of a repository, made if need be, locked until the transaction ends.

        SQLite has no row locks and needs none: its transactions here begin as the only writer.
        """
        name = full_name.lower()
        self.get_or_create(name=name)
        return self.select_for_update().get(name=name)


class Repository(models.Model):
    """What an operator decides about one repository, or under the name `*` about all of them.

    A row appears with the first run of a repository; its lock serialises what must not happen twice at once.
    """

    name = models.CharField(max_length=140, unique=True, help_text="owner/name in small letters; * stands for all repositories")
    paused = models.BooleanField(default=False, help_text="runs that are queued wait; runs under way go on")
    max_running = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=(MinValueValidator(1),),
        help_text="how many of its runs may be under way at once; empty means BOOTY_MAX_RUNNING",
    )

    objects = RepositoryManager()

    class Meta:
        verbose_name_plural = "repositories"
        ordering = ("name",)
        constraints = (
            models.CheckConstraint(condition=Q(name=Lower("name")), name="repository_name_in_small_letters"),
            models.CheckConstraint(condition=Q(max_running=None) | Q(max_running__gte=1), name="repository_may_run_one"),
        )

    def __str__(self) -> str:
        return "all repositories" if self.name == EVERYTHING else self.name


class TurnManager(models.Manager["Turn"]):
    def take(self, name: str, seconds: float) -> bool:
        """Take the turn at something for at most so long; False while another process has it."""
        now = timezone.now()
        until = now + timedelta(seconds=seconds)
        _, new = self.get_or_create(name=name, defaults={"until": until})
        return new or self.filter(name=name, until__lte=now).update(until=until) == 1

    def give_back(self, name: str) -> None:
        self.filter(name=name).update(until=timezone.now())


class Turn(models.Model):
    """The right to do something that two processes must not do at once; it runs out if its holder dies."""

    name = models.CharField(max_length=40, primary_key=True)
    until = models.DateTimeField()

    objects = TurnManager()

    def __str__(self) -> str:
        return self.name
