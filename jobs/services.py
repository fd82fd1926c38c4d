"""What can be asked of Jobs: a new one for an issue, another try."""

from __future__ import annotations

from django.conf import settings

from booty_site.github.events import IssueLabelled
from booty_site.models import WebhookDelivery
from booty_site.runs import lifecycle
from jobs.models import FOUND_TRIGGER, LABELLED_TRIGGER, Job

COPIED = ("repository", "issue_number", "issue_title", "issue_body", "base_branch")


def newest_job(repository: str, issue_number: int) -> Job | None:
    return Job.objects.filter(repository__iexact=repository, issue_number=issue_number).first()


def begin(asked: IssueLabelled, delivery: WebhookDelivery) -> tuple[Job, bool]:
    """Return the Job for an issue and whether it is new: an active one is not joined by a second."""
    return lifecycle.begin(
        Job,
        subject=Job.subject_of(asked.repository, asked.number),
        trigger=FOUND_TRIGGER if asked.found else LABELLED_TRIGGER,
        labelled_at=asked.labelled_at,
        requested_by=asked.sender[:80],
        delivery=delivery,
        retry_of=newest_job(asked.repository, asked.number),
        repository=asked.repository,
        issue_number=asked.number,
        issue_title=asked.title[:300],
        issue_body=asked.body,
        base_branch=(settings.TARGET_BRANCH or asked.default_branch or "main")[:255],
    )


def retry(job: Job, *, trigger: str, by: str) -> tuple[Job, bool]:
    """Return a new Job for the same issue, or the active one there is, and whether it is new."""
    values = {name: getattr(job, name) for name in COPIED}
    return lifecycle.begin(Job, subject=job.subject, trigger=trigger, requested_by=by[:80], retry_of=job, **values)
