"""JSON of webhooks: what GitHub sends for each event."""

from __future__ import annotations

from tests.doubles.github.check_payloads import CheckPayloads
from tests.doubles.github.issue_payloads import IssuePayloads
from tests.doubles.github.payloads import Json
from tests.doubles.github.state import (
    DEFAULT_EVENTS,
    CheckRun,
    CheckSuite,
    Comment,
    Issue,
    Label,
    Pull,
    Repository,
    User,
    WebhookTarget,
)


class Payloads(IssuePayloads, CheckPayloads):
    """Every JSON the double builds."""

    def _around(self, repository: Repository, sender: User) -> Json:
        """What every webhook of a repository ends with."""
        found: Json = {"repository": self.repository(repository)}
        if repository.owner.kind == "Organization":
            found["organization"] = self.organization(repository.owner)
        found["sender"] = self.user(sender)
        if self.app_identity is not None:
            number = self.app_identity.installation_id
            found["installation"] = {
                "id": number,
                "node_id": f"MDIzOkludGVncmF0aW9uSW5zdGFsbGF0aW9u{number}",
            }
        return found

    def issues_event(
        self,
        action: str,
        repository: Repository,
        issue: Issue,
        sender: User,
        label: Label | None = None,
    ) -> Json:
        """``issues``: opened, labeled, unlabeled, closed, reopened."""
        found: Json = {"action": action, "issue": self.issue(repository, issue)}
        if label is not None:
            found["label"] = self.label(repository, label)
        return found | self._around(repository, sender)

    def issue_comment_event(self, action: str, repository: Repository, comment: Comment, sender: User) -> Json:
        """``issue_comment``: created, edited, deleted."""
        issue = repository.issues[comment.number]
        return {
            "action": action,
            "issue": self.issue(repository, issue),
            "comment": self.comment(repository, comment),
            **self._around(repository, sender),
        }

    def pull_request_event(
        self,
        action: str,
        repository: Repository,
        pull: Pull,
        sender: User,
        *,
        before: str | None = None,
        label: Label | None = None,
        changes: Json | None = None,
    ) -> Json:
        """``pull_request``: opened, synchronize, closed, labeled and the rest."""
        found: Json = {
            "action": action,
            "number": pull.number,
            "pull_request": self.pull(repository, pull),
        }
        if action == "synchronize":
            found |= {"before": before or pull.base_sha, "after": pull.head_sha}
        if label is not None:
            found["label"] = self.label(repository, label)
        if changes is not None:
            found["changes"] = changes
        return found | self._around(repository, sender)

    def check_run_event(self, action: str, repository: Repository, run: CheckRun, sender: User) -> Json:
        """``check_run``: here the check suite stands inside as a whole."""
        suite = self.check_suite(repository, run.suite)
        del suite["head_commit"], suite["latest_check_runs_count"], suite["check_runs_url"]
        return {
            "action": action,
            "check_run": self.check_run(repository, run) | {"check_suite": suite},
            **self._around(repository, sender),
        }

    def check_suite_event(self, action: str, repository: Repository, suite: CheckSuite, sender: User) -> Json:
        """``check_suite``: rerequested."""
        return {
            "action": action,
            "check_suite": self.check_suite(repository, suite),
            **self._around(repository, sender),
        }

    def ping_event(self, repository: Repository | None, sender: User, target: WebhookTarget | None) -> Json:
        """``ping``: what a new webhook begins with."""
        hook_id = target.hook_id if target else 1
        for_app = self.app_identity is not None
        base = f"{self.api}/app/hook"
        if repository is not None and not for_app:
            base = f"{self.repository_api(repository)}/hooks/{hook_id}"
        hook: Json = {
            "type": "App" if for_app else "Repository",
            "id": hook_id,
            "name": "web",
            "active": True,
            "events": sorted((target.events if target else DEFAULT_EVENTS) - {"ping"}),
            "config": {
                "content_type": "json",
                "insecure_ssl": "0",
                "secret": "********",
                "url": target.url if target else "",
            },
            "updated_at": "2024-01-01T00:00:00Z",
            "created_at": "2024-01-01T00:00:00Z",
            "deliveries_url": f"{base}/deliveries",
        }
        if self.app_identity is not None:
            hook["app_id"] = self.app_identity.app_id
        else:
            hook |= {"url": base, "test_url": f"{base}/test", "ping_url": f"{base}/pings"}
            hook["last_response"] = {"code": None, "status": "unused", "message": None}
        found: Json = {"zen": "Keep it logically awesome.", "hook_id": hook_id, "hook": hook}
        if repository is None or for_app:
            return found
        return found | {
            "repository": self.repository(repository),
            "sender": self.user(sender),
        }
