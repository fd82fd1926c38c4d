from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils.safestring import SafeString

from booty_site.runs.admin import RunAdmin, github_link, link
from booty_site.runs.models import Run
from jobs import services
from jobs.models import Job


@admin.register(Job)
class JobAdmin(RunAdmin):
    number_field = "issue_number"
    title_field = "issue_title"

    def retry_run(self, run: Any, by: str) -> tuple[Run, bool]:
        return services.retry(run, trigger="admin", by=by)

    def facts(self, run: Job) -> list[tuple[str, str | SafeString]]:
        return [
            ("Issue", github_link(run, f"issues/{run.issue_number}", f"#{run.issue_number} {run.issue_title}")),
            ("Branch", f"{run.branch} from {run.base_branch}"),
            ("Pull request", link(run.pull_url, f"#{run.pull_number}") if run.pull_url else "–"),
            ("Status comment", link(run.status_comment_url, "on the issue") if run.status_comment_url else "–"),
            ("Outcome comment", link(run.outcome_comment_url, "on the issue") if run.outcome_comment_url else "–"),
        ]
