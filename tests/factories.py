"""Makes rows, payloads and situations on GitHub for tests."""

from __future__ import annotations

import itertools
import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.test import Client
from django.utils import timezone

from booty_site.github.signature import sign
from booty_site.runs import lifecycle
from jobs.models import Job
from tests.doubles.github import GitHubDouble
from verifier.models import VerificationRun

REPOSITORY = "acme/calculator"
LABEL = "agent:builder"
_numbers = itertools.count(1)


def make_job(**values: Any) -> Job:
    """Return a queued Job for an issue of its own."""
    number = values.pop("issue_number", None) or next(_numbers)
    defaults: dict[str, Any] = {
        "repository": REPOSITORY,
        "issue_title": "Teach it to subtract",
        "base_branch": "main",
        "trigger": "issues.labeled",
        "requested_by": "ada",
    }
    subject = values.pop("subject", Job.subject_of(values.get("repository", REPOSITORY), number))
    job, _ = lifecycle.begin(Job, subject=subject, issue_number=number, **{**defaults, **values})
    return job


def make_run(**values: Any) -> VerificationRun:
    """Return a queued VerificationRun for a pull request of its own."""
    number = values.pop("pull_number", None) or next(_numbers)
    head_sha = values.pop("head_sha", None) or f"{next(_numbers):040x}"
    defaults: dict[str, Any] = {
        "repository": REPOSITORY,
        "head_repository": REPOSITORY,
        "head_branch": "feature",
        "base_sha": "b" * 40,
        "base_branch": "main",
        "trigger": "pull_request.opened",
        "requested_by": "ada",
        "head_seen_at": timezone.now(),
    }
    subject = VerificationRun.subject_of(values.get("repository", REPOSITORY), number, head_sha)
    run, _ = lifecycle.begin(VerificationRun, subject=subject, pull_number=number, head_sha=head_sha, **{**defaults, **values})
    return run


def signed_post(
    client: Client,
    secret: str,
    event: str,
    payload: object,
    *,
    delivery_id: str | None = None,
    signature: str | None = None,
    form: bool = False,
    omit: tuple[str, ...] = (),
) -> Any:
    """Post to the webhook as GitHub does; `payload` may be raw bytes."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    content_type = "application/json"
    if form:
        body, content_type = urlencode({"payload": body.decode()}).encode(), "application/x-www-form-urlencoded"
    headers = {
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": delivery_id or str(uuid.uuid4()),
        "X-Hub-Signature-256": sign(secret, body) if signature is None else signature,
    }
    kept = {name: value for name, value in headers.items() if name not in omit}
    return client.post("/webhooks/github", body, content_type=content_type, headers=kept)


@dataclass
class GitHubWorld:
    """Situations on GitHub, and the payloads that tell of them."""

    double: GitHubDouble

    def pull_payload(
        self, branch: str = "feature", files: dict[str, str | None] | None = None, action: str = "opened", by: str = "ada"
    ) -> dict[str, Any]:
        """Push a branch, open a pull request for it, and return the payload that says so."""
        self.double.push(REPOSITORY, branch, files or {"NOTES.md": "A note.\n"}, by=by)
        pull = self.double.open_pull(REPOSITORY, branch, "main", f"Merge {branch}", "", by=by)
        return dict(self.double.pull_request_payload(action, REPOSITORY, pull.number, by))

    def push_again(self, number: int, branch: str = "feature") -> dict[str, Any]:
        """Push another commit to a pull request and return the payload of its synchronize."""
        self.double.push(REPOSITORY, branch, {f"more-{next(_numbers)}.md": "More.\n"}, by="ada")
        return dict(self.double.pull_request_payload("synchronize", REPOSITORY, number, "ada"))

    def label_payload(self, title: str = "Teach it to subtract", body: str = "Please.", by: str = "ada") -> dict[str, Any]:
        """Open an issue with the trigger label and return the payload that says so."""
        issue = self.double.open_issue(REPOSITORY, title, body, by=by, labels=[LABEL])
        return dict(self.double.issues_labeled_payload(REPOSITORY, issue.number, LABEL, by))

    def run_for_pull(self, branch: str = "feature", files: dict[str, str | None] | None = None, **values: Any) -> VerificationRun:
        """Return a queued run for a pull request that was just opened."""
        pull = self.pull_payload(branch, files)["pull_request"]
        values.setdefault("head_seen_at", datetime.fromisoformat(pull["updated_at"]))
        return make_run(
            pull_number=pull["number"],
            head_sha=pull["head"]["sha"],
            base_sha=pull["base"]["sha"],
            head_branch=branch,
            **values,
        )

    def job_for_issue(self, **values: Any) -> Job:
        """Return a queued Job for an issue that was just labelled."""
        issue = self.label_payload()["issue"]
        return make_job(issue_number=issue["number"], issue_title=issue["title"], **values)
