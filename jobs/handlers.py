"""What a delivery about an issue leads to."""

from __future__ import annotations

from booty_site.github.events import IssueLabelled, IssueWithdrawn
from booty_site.models import WebhookDelivery
from booty_site.runs import lifecycle
from booty_site.webhooks import Accepted, Answer, Cancelled, Duplicate, Ignored
from jobs import services


def issue_labelled(asked: IssueLabelled, delivery: WebhookDelivery) -> Answer:
    earlier = services.newest_job(asked.repository, asked.number)
    if asked.found and earlier is not None:
        return Duplicate(earlier, "there is a job for this issue")
    if earlier is not None and earlier.tells_of(asked.labelled_at):
        return Duplicate(earlier, "this labelling, or a later one, was taken up already")
    job, new = services.begin(asked, delivery)
    return Accepted(job) if new else Duplicate(job, "a job for this issue is under way already")


def issue_withdrawn(asked: IssueWithdrawn, delivery: WebhookDelivery) -> Answer:
    job = services.newest_job(asked.repository, asked.number)
    if job is not None and job.is_newer_than(asked.at):
        return Ignored("the issue was labelled again after that")
    if job is None or not lifecycle.cancel(job, by=f"{asked.sender}: {asked.how}"):
        return Ignored("no job was under way for this issue")
    return Cancelled(job)
