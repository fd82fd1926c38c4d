"""The check `booty/verifier`; without a GitHub App, which alone may make checks, a commit status of that name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from github import UnknownObjectException
from github.CheckRun import CheckRun

from booty_site import faults, fence
from booty_site.github.client import GitHub, refusals
from booty_site.github.events import CHECK_NAME

MAX_TEXT = 65_535
MAX_STATUS_DESCRIPTION = 140
IN_PROGRESS = "in_progress"
STATUS_STATES = {IN_PROGRESS: "pending", "success": "success", "neutral": "success", "failure": "failure", "cancelled": "error"}


@dataclass(frozen=True)
class Report:
    """What a check says. `conclusion` is one of GitHub's, or IN_PROGRESS; texts are Markdown."""

    conclusion: str
    title: str
    summary: str
    text: str = ""


@dataclass(frozen=True)
class PostedCheck:
    """`id` is None for a commit status, which has no page of its own."""

    id: int | None
    url: str


def put(github: GitHub, head_sha: str, run_id: str, run_url: str, report: Report, *, known_id: int | None = None) -> PostedCheck:
    """Make or update the check of a run on its commit; doing it twice does no harm.

    It is found by `known_id`, or by the run's id, which it carries as `external_id`.
    """
    with refusals("posting the check"):
        if not github.credentials.is_app:
            return _put_status(github, head_sha, run_url, report)
        check = _find(github, head_sha, run_id, known_id)
        fields = _fields(run_url, report)
        faults.reach("check.update")
        fence.require()
        if check is None:
            check = github.repository.create_check_run(name=CHECK_NAME, head_sha=head_sha, external_id=run_id, **fields)
        else:
            check.edit(**fields)
        return PostedCheck(check.id, check.html_url)


def _fields(run_url: str, report: Report) -> dict[str, Any]:
    output = {"title": report.title, "summary": report.summary[:MAX_TEXT]}
    if report.text:
        output["text"] = report.text[:MAX_TEXT]
    fields: dict[str, Any] = {"details_url": run_url, "output": output}
    if report.conclusion == IN_PROGRESS:
        return {**fields, "status": IN_PROGRESS}
    return {**fields, "status": "completed", "conclusion": report.conclusion}


def _find(github: GitHub, head_sha: str, run_id: str, known_id: int | None) -> CheckRun | None:
    if known_id is not None:
        known = github.repository.get_check_run(known_id)
        try:
            known.complete()
        except UnknownObjectException:
            pass
        else:
            return known
    checks = github.repository.get_commit(head_sha).get_check_runs(check_name=CHECK_NAME, filter="all")
    return next((check for check in checks if check.external_id == run_id), None)


def _put_status(github: GitHub, head_sha: str, run_url: str, report: Report) -> PostedCheck:
    state, description = STATUS_STATES[report.conclusion], report.title[:MAX_STATUS_DESCRIPTION]
    commit = github.repository.get_commit(head_sha)
    newest = next((status for status in commit.get_statuses() if status.context == CHECK_NAME), None)
    if newest is None or (newest.state, newest.description, newest.target_url) != (state, description, run_url):
        fence.require()
        commit.create_status(state, target_url=run_url, description=description, context=CHECK_NAME)
    return PostedCheck(None, f"{github.credentials.web_url}/{github.full_name}/commit/{head_sha}")
