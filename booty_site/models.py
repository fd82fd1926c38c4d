"""Deliveries: every webhook request that was accepted or ignored, each once."""

from __future__ import annotations

from django.db import models
from django.db.models import F
from django.utils import timezone


class Source(models.TextChoices):
    GITHUB = "github", "GitHub"


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
