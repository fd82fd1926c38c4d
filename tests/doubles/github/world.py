"""The double's state and the ways it changes; every change tells its webhook.

Callers hold ``World.lock``. Payloads are built inside it, so what a webhook says
is what was true when the thing happened, in the order it happened.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path

from tests.doubles.github import git
from tests.doubles.github.events import Payloads
from tests.doubles.github.payloads import Json
from tests.doubles.github.refusals import Refusal, invalid, not_found
from tests.doubles.github.state import (
    AppIdentity,
    CheckRun,
    CheckSuite,
    Comment,
    Issue,
    IssueEvent,
    Label,
    Repository,
    Status,
    User,
    now,
)

BODY_LIMIT = 65536
BOT_LOGIN = "booty-bot"

Emit = Callable[[str, Json, Repository], None]


class BasicWorld:
    """Users, repositories, issues, comments, checks and statuses."""

    def __init__(self, root: Path, app: AppIdentity | None, web: str, emit: Emit) -> None:
        self.lock = threading.RLock()
        self.root = root
        self.app = app
        self.emit = emit
        self.users: dict[str, User] = {}
        self.repositories: dict[str, Repository] = {}
        self._ids = itertools.count(1001)
        owner = self.user("booty-makers")
        self.payloads = Payloads(f"{web}/api/v3", web, app, owner)
        self.token_user = self.user(BOT_LOGIN)
        self.app_user = self.user(f"{app.slug}[bot]" if app else "no-app[bot]", kind="Bot")

    def next_id(self) -> int:
        """Return a number never given before."""
        return next(self._ids)

    def user(self, login: str, *, kind: str = "User") -> User:
        """Return the user with this login; a new one when there is none."""
        found = self.users.get(login.lower())
        if found is None:
            found = self.users[login.lower()] = User(self.next_id(), login, kind)
        return found

    def repository(self, full_name: str) -> Repository:
        """Return a repository, or refuse as GitHub would."""
        found = self.repositories.get(full_name.lower())
        if found is None:
            raise not_found()
        return found

    def add_repository(
        self,
        full_name: str,
        *,
        default_branch: str,
        source: Path | None,
        fork_of: str | None,
        installed: bool,
    ) -> Repository:
        """Make a repository and its bare git repository."""
        owner, name = full_name.split("/")
        parent = self.repository(fork_of) if fork_of else None
        path = self.root / owner / f"{name}.git"
        git.make_bare(path, parent.path if parent and source is None else source, default_branch)
        made = Repository(
            id=self.next_id(),
            full_name=full_name,
            owner=self.user(owner),
            path=path,
            default_branch=default_branch,
            parent=parent,
            installed=installed,
        )
        made.permissions |= {made.owner.login: "admin", BOT_LOGIN: "write"}
        self.repositories[full_name.lower()] = made
        return made

    def issue(self, repository: Repository, number: int) -> Issue:
        """Return an issue (or the issue side of a pull), or refuse."""
        found = repository.issues.get(number)
        if found is None:
            raise not_found()
        return found

    def number_issue(self, repository: Repository, title: str, body: str | None, by: User, *, is_pull: bool) -> Issue:
        """Give the next number to a new issue or pull request."""
        number = max(repository.issues, default=0) + 1
        issue = Issue(self.next_id(), number, title, body, by, is_pull=is_pull)
        repository.issues[number] = issue
        return issue

    def open_issue(self, repository: Repository, title: str, body: str, by: User) -> Issue:
        """Open an issue."""
        issue = self.number_issue(repository, title, body, by, is_pull=False)
        self.tell_issue("opened", repository, issue, by)
        return issue

    def tell_issue(
        self,
        action: str,
        repository: Repository,
        issue: Issue,
        by: User,
        label: Label | None = None,
    ) -> None:
        """Send the webhook about an issue; of a pull request, the pull's own."""
        pull = repository.pulls.get(issue.number)
        if pull is not None:
            payload = self.payloads.pull_request_event(action, repository, pull, by, label=label)
            self.emit("pull_request", payload, repository)
        else:
            payload = self.payloads.issues_event(action, repository, issue, by, label)
            self.emit("issues", payload, repository)

    def set_issue_state(self, repository: Repository, issue: Issue, state: str, by: User) -> None:
        """Close or reopen an issue."""
        if issue.state == state:
            return
        issue.state = state
        issue.updated_at = now()
        issue.closed_at = now() if state == "closed" else None
        self.tell_issue("closed" if state == "closed" else "reopened", repository, issue, by)

    def label(self, repository: Repository, issue: Issue, name: str, by: User) -> None:
        """Put a label on; a label that is on already does nothing."""
        key = name.lower()
        if any(label.name.lower() == key for label in issue.labels):
            return
        label = repository.labels.get(key)
        if label is None:
            label = repository.labels[key] = Label(self.next_id(), name)
        issue.labels.append(label)
        self._labelled("labeled", repository, issue, label, by)

    def unlabel(self, repository: Repository, issue: Issue, name: str, by: User) -> None:
        """Take a label off, or refuse when it is not on."""
        for label in issue.labels:
            if label.name.lower() == name.lower():
                issue.labels.remove(label)
                self._labelled("unlabeled", repository, issue, label, by)
                return
        raise Refusal(404, "Label does not exist")

    def _labelled(self, action: str, repository: Repository, issue: Issue, label: Label, by: User) -> None:
        issue.updated_at = now()
        issue.events.append(IssueEvent(self.next_id(), action, by, label, by_app=by is self.app_user))
        self.tell_issue(action, repository, issue, by, label)

    def comment(self, repository: Repository, issue: Issue, body: str, by: User, *, by_app: bool) -> Comment:
        """Comment on an issue or a pull request."""
        if not repository.has_issues and not issue.is_pull:
            raise Refusal(410, "Issues has been disabled in this repository.")
        if issue.locked:
            raise Refusal(403, "Unable to create comment because issue is locked.")
        check_comment_body(body)
        comment = Comment(self.next_id(), issue.number, by, body, by_app)
        issue.comments.append(comment)
        issue.updated_at = now()
        self._tell_comment("created", repository, comment, by)
        return comment

    def edit_comment(self, repository: Repository, comment: Comment, body: str, by: User) -> Comment:
        """Change the text of a comment."""
        check_comment_body(body)
        changes: Json = {"body": {"from": comment.body}}
        comment.body = body
        comment.updated_at = now()
        self._tell_comment("edited", repository, comment, by, changes)
        return comment

    def delete_comment(self, repository: Repository, comment: Comment, by: User) -> None:
        """Take a comment away."""
        self._tell_comment("deleted", repository, comment, by)
        repository.issues[comment.number].comments.remove(comment)

    def _tell_comment(
        self,
        action: str,
        repository: Repository,
        comment: Comment,
        by: User,
        changes: Json | None = None,
    ) -> None:
        payload = self.payloads.issue_comment_event(action, repository, comment, by)
        if changes is not None:
            payload["changes"] = changes
        self.emit("issue_comment", payload, repository)

    def find_comment(self, repository: Repository, number: int) -> Comment:
        """Return a comment by its id, or refuse."""
        for issue in repository.issues.values():
            for comment in issue.comments:
                if comment.id == number:
                    return comment
        raise not_found()

    def suite(self, repository: Repository, sha: str) -> CheckSuite:
        """Return the check suite of a commit; GitHub makes it with the push."""
        found = repository.suites.get(sha)
        if found is None:
            found = repository.suites[sha] = CheckSuite(self.next_id(), sha)
        return found

    def add_check_run(self, repository: Repository, name: str, sha: str) -> CheckRun:
        """Make a check run for a commit the repository has."""
        if not is_whole_sha(sha) or git.sha_of(repository.path, sha) != sha:
            raise Refusal(422, f"No commit found for SHA: {sha}")
        run = CheckRun(self.next_id(), name, sha, self.suite(repository, sha))
        repository.check_runs[run.id] = run
        return run

    def check_run(self, repository: Repository, number: int) -> CheckRun:
        """Return a check run by its id, or refuse."""
        found = repository.check_runs.get(number)
        if found is None:
            raise not_found()
        return found

    def add_status(self, repository: Repository, sha: str, body: Json, by: User) -> Status:
        """Set a commit status."""
        if not is_whole_sha(sha) or git.sha_of(repository.path, sha) != sha:
            raise Refusal(422, f"No commit found for SHA: {sha}")
        description = body.get("description")
        if description is not None and len(description) > 140:
            raise invalid("Status", None, "custom", "description is too long (maximum is 140 characters)")
        status = Status(
            id=self.next_id(),
            sha=sha,
            state=body["state"],
            context=body.get("context", "default"),
            description=description,
            target_url=body.get("target_url"),
            creator=by,
        )
        repository.statuses.append(status)
        return status


def is_whole_sha(text: str) -> bool:
    """Tell a whole commit hash from an abbreviation or a branch."""
    return len(text) == 40 and set(text) <= set("0123456789abcdef")


def check_comment_body(body: str) -> None:
    """Refuse a comment that is empty or too long."""
    if not body.strip():
        raise invalid("IssueComment", "data", "unprocessable", "Body can't be blank")
    if len(body) > BODY_LIMIT:
        raise invalid(
            "IssueComment",
            "data",
            "unprocessable",
            f"Body is too long (maximum is {BODY_LIMIT} characters)",
        )
