"""Tells GitHub how a Job goes: one status comment on the issue, and a new comment when it went wrong."""

from __future__ import annotations

from django.conf import settings

from booty_site import faults
from booty_site.github import comments
from booty_site.github.connect import connect
from booty_site.runs.kinds import Receipt
from jobs import messages
from jobs.models import OUTCOME_COMMENT, Job


class JobNotifier:
    def announce(self, job: Job) -> Receipt:
        return self._put_status(job, messages.working())

    def deliver(self, job: Job, notice_kind: str) -> Receipt:
        faults.reach(f"notice.before_post.{notice_kind}")
        if notice_kind == OUTCOME_COMMENT:
            return self._put_outcome(job)
        newer = Job.objects.filter(repository=job.repository, issue_number=job.issue_number, created_at__gt=job.created_at)
        if newer.exists():
            return Receipt()  # the one status comment tells of the newest Job
        body = messages.status_comment(
            job.state,
            job.summary,
            job.pull_number,
            job.outcome_comment_url,
            str(job.pk),
            job.page_url,
            job.sentry_event_id,
            is_retry=job.retry_of_id is not None,
        )
        return self._put_status(job, body)

    def _put_outcome(self, job: Job) -> Receipt:
        body = messages.outcome_comment(
            job.state,
            job.failure_code,
            job.summary,
            job.details,
            str(job.pk),
            job.page_url,
            job.sentry_event_id,
            settings.TRIGGER_LABEL,
        )
        purpose = f"job:{job.pk}"
        posted = comments.put(connect(job.repository), job.issue_number, purpose, body, known_id=job.outcome_comment_id)
        job.outcome_comment_url = posted.url
        return Receipt(posted.url, {"outcome_comment_id": posted.id, "outcome_comment_url": posted.url})

    def _put_status(self, job: Job, body: str) -> Receipt:
        posted = comments.put(connect(job.repository), job.issue_number, "status", body, known_id=self._status_comment(job))
        return Receipt(posted.url, {"status_comment_id": posted.id, "status_comment_url": posted.url})

    @staticmethod
    def _status_comment(job: Job) -> int | None:
        earlier = (
            Job.objects.filter(repository=job.repository, issue_number=job.issue_number).exclude(status_comment_id=None).first()
        )
        return earlier.status_comment_id if earlier else None
