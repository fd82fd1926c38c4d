"""A VerificationRun: one head commit of one pull request, and the verdict on it."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from booty_site.runs.models import CommandRecord, Notice, Run
from booty_site.runs.states import State

CHECK = "check"
COMMENT = "comment"


class Verdict(models.TextChoices):
    PASSED = "passed", "passed"
    FAILED = "failed", "failed"
    NEUTRAL = "neutral", "neutral"


class VerificationRun(Run):
    kind = "verification"
    queue = "verifier"
    task = "verifier.tasks.process_verifier_job"

    pull_number = models.PositiveIntegerField(db_index=True)
    pull_title = models.CharField(max_length=300, blank=True)
    head_sha = models.CharField(max_length=64)
    head_branch = models.CharField(max_length=255)
    head_repository = models.CharField(max_length=140, blank=True, help_text="empty when the fork was deleted")
    base_sha = models.CharField(max_length=64)
    base_branch = models.CharField(max_length=255)
    head_seen_at = models.DateTimeField(help_text="when the pull request was last changed, as its delivery said")

    verdict = models.CharField(max_length=8, choices=Verdict, blank=True)
    details = models.TextField(blank=True, help_text="what the check says below its summary")
    check_run_id = models.PositiveBigIntegerField(null=True, blank=True)
    check_url = models.URLField(max_length=500, blank=True)
    comment_id = models.PositiveBigIntegerField(null=True, blank=True)
    comment_url = models.URLField(max_length=500, blank=True)

    class Meta(Run.Meta):
        indexes = (
            *Run.Meta.indexes,
            models.Index(fields=("repository", "pull_number", "-created_at"), name="verification_by_pull"),
            models.Index(fields=("head_sha",), name="verification_by_head"),
        )

    @staticmethod
    def subject_of(repository: str, pull_number: int, head_sha: str) -> str:
        return f"{repository.lower()}#{pull_number}@{head_sha}"

    @property
    def from_fork(self) -> bool:
        return self.head_repository.lower() != self.repository.lower()

    @property
    def from_agent(self) -> bool:
        """Whether Booty itself opened the pull request."""
        return not self.from_fork and self.head_branch.startswith("agent/")

    @property
    def page_url(self) -> str:
        return f"{settings.BOOTY_BASE_URL}/admin/verifier/verificationrun/{self.pk}/change/"

    def sentry_tags(self) -> dict[str, str]:
        return {**super().sentry_tags(), "pr_number": str(self.pull_number), "head_sha": self.head_sha}

    def notices_owed(self, state: State) -> tuple[str, ...]:
        if state in (State.SUCCEEDED, State.FAILED, State.ERRORED):
            return (CHECK, COMMENT)
        return (CHECK,)


class VerificationCommand(CommandRecord):
    run = models.ForeignKey(VerificationRun, models.CASCADE, related_name="commands")


class VerificationNotice(Notice):
    run = models.ForeignKey(VerificationRun, models.CASCADE, related_name="notices")
