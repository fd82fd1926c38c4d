from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils.safestring import SafeString

from booty_site.runs.admin import RunAdmin, github_link, link
from booty_site.runs.models import Run
from verifier import services
from verifier.models import VerificationRun


@admin.register(VerificationRun)
class VerificationRunAdmin(RunAdmin):
    number_field = "pull_number"
    title_field = "pull_title"
    list_display = ("badge", "subject_link", "title", "verdict", *RunAdmin.list_display[3:])

    def retry_run(self, run: Any, by: str) -> tuple[Run, bool]:
        return services.retry(run, trigger="admin", by=by)

    def facts(self, run: VerificationRun) -> list[tuple[str, str | SafeString]]:
        return [
            ("Pull request", github_link(run, f"pull/{run.pull_number}", f"#{run.pull_number} {run.pull_title}")),
            ("Commit", github_link(run, f"commit/{run.head_sha}", f"{run.head_sha[:10]} on {run.head_branch}")),
            ("Base", github_link(run, f"commit/{run.base_sha}", f"{run.base_sha[:10]} on {run.base_branch}")),
            ("Verdict", run.get_verdict_display() or "–"),
            ("Check", link(run.check_url, "booty/verifier") if run.check_url else "–"),
            ("Comment", link(run.comment_url, "on the pull request") if run.comment_url else "–"),
        ]
