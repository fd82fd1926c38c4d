"""A Job: one labelled issue, and the pull request that comes of it."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import models

from booty_site.runs.models import CommandRecord, Notice, Run
from booty_site.runs.states import State

OUTCOME_COMMENT = "outcome_comment"
STATUS_COMMENT = "status_comment"
LABELLED_TRIGGER, FOUND_TRIGGER = "issues.labeled", "issues.found"
# GitHub tells times in whole seconds, and an event and its issue may differ by one.
GITHUB_CLOCK = timedelta(seconds=2)


class Job(Run):
    kind = "job"
    queue = "jobs"
    task = "jobs.tasks.process_job"

    issue_number = models.PositiveIntegerField(db_index=True)
    issue_title = models.CharField(max_length=300)
    issue_body = models.TextField(blank=True)
    labelled_at = models.DateTimeField(null=True, blank=True, help_text="when the label was put on, by GitHub's clock")
    base_branch = models.CharField(max_length=255)

    commit_sha = models.CharField(max_length=64, blank=True)
    changes = models.TextField(blank=True, help_text="the changed files, as git sums them up")
    details = models.TextField(blank=True, help_text="what the outcome comment says below its summary")
    pull_number = models.PositiveIntegerField(null=True, blank=True)
    pull_url = models.URLField(max_length=500, blank=True)
    status_comment_id = models.PositiveBigIntegerField(null=True, blank=True)
    status_comment_url = models.URLField(max_length=500, blank=True)
    outcome_comment_id = models.PositiveBigIntegerField(null=True, blank=True)
    outcome_comment_url = models.URLField(max_length=500, blank=True)

    class Meta(Run.Meta):
        indexes = (
            *Run.Meta.indexes,
            models.Index(fields=("repository", "issue_number", "-created_at"), name="job_by_issue"),
        )

    def tells_of(self, labelled_at: datetime | None) -> bool:
        """Tell whether a labelling is older than this Job's, or the one that it was found for: its webhook came late."""
        if self.labelled_at is None or labelled_at is None:
            return False
        if self.trigger == FOUND_TRIGGER:
            return labelled_at <= self.labelled_at + GITHUB_CLOCK
        return labelled_at < self.labelled_at

    def is_newer_than(self, moment: datetime | None) -> bool:
        """Tell whether the label was put on after a moment of GitHub's clock."""
        return moment is not None and self.labelled_at is not None and self.labelled_at > moment

    @staticmethod
    def subject_of(repository: str, issue_number: int) -> str:
        return f"{repository.lower()}!issue-{issue_number}"

    @property
    def branch(self) -> str:
        return f"agent/issue-{self.issue_number}"

    @property
    def page_url(self) -> str:
        return f"{settings.BOOTY_BASE_URL}/admin/jobs/job/{self.pk}/change/"

    def sentry_tags(self) -> dict[str, str]:
        return {**super().sentry_tags(), "issue_number": str(self.issue_number)}

    def notices_owed(self, state: State) -> tuple[str, ...]:
        # The outcome first: the status comment links to it.
        if state in (State.FAILED, State.ERRORED):
            return (OUTCOME_COMMENT, STATUS_COMMENT)
        return (STATUS_COMMENT,)

    def mentioned_in(self, notice_kind: str) -> tuple[str, ...]:
        return (STATUS_COMMENT,) if notice_kind == OUTCOME_COMMENT else super().mentioned_in(notice_kind)


class JobCommand(CommandRecord):
    run = models.ForeignKey(Job, models.CASCADE, related_name="commands")


class JobNotice(Notice):
    run = models.ForeignKey(Job, models.CASCADE, related_name="notices")
