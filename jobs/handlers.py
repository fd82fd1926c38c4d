"""What a delivery about an issue leads to."""

from __future__ import annotations

from booty_site.github.events import IssueLabelled
from booty_site.models import WebhookDelivery
from booty_site.webhooks import Accepted, Answer, Duplicate
from jobs import services


def issue_labelled(asked: IssueLabelled, delivery: WebhookDelivery) -> Answer:
    job, new = services.begin(asked, delivery)
    return Accepted(job) if new else Duplicate(job, "a job for this issue is under way already")
