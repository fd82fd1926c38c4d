"""The double as tests and the demonstration use it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.doubles.github import git
from tests.doubles.github.controls import Controls
from tests.doubles.github.payloads import Json
from tests.doubles.github.state import (
    CheckRun,
    Comment,
    Issue,
    Pull,
    Repository,
    Status,
    User,
)


class GitHubDouble(Controls):
    """A GitHub of one's own; see the methods for what happens on it."""

    def _user(self, login: str) -> User:
        if login == self._world.app_user.login:
            return self._world.app_user
        return self._world.user(login)

    def add_user(self, login: str, *, kind: str = "User", token: str | None = None) -> User:
        """Add a user (or ``kind="Organization"``), who may have a token too."""
        with self._world.lock:
            user = self._world.user(login, kind=kind)
            if token is not None:
                self._authenticator.people[token] = user
            return user

    def add_repository(
        self,
        full_name: str,
        *,
        default_branch: str = "main",
        source: Path | None = None,
        fork_of: str | None = None,
        installed: bool = True,
    ) -> Repository:
        """Add a repository, cloned from a local one or with a first commit only."""
        with self._world.lock:
            return self._world.add_repository(
                full_name,
                default_branch=default_branch,
                source=source,
                fork_of=fork_of,
                installed=installed,
            )

    def remove_repository(self, full_name: str) -> None:
        """Remove a repository (or a fork, whose pull requests lose their head)."""
        with self._world.lock:
            self._world.remove_repository(self._world.repository(full_name))

    def set_permission(self, full_name: str, login: str, permission: str) -> None:
        """Grant a user admin, write, read or none."""
        with self._world.lock:
            self._world.repository(full_name).permissions[self._user(login).login] = permission

    def set_installed(self, full_name: str, installed: bool) -> None:
        """Install the App on a repository or take it off."""
        with self._world.lock:
            self._world.repository(full_name).installed = installed

    def set_issues_enabled(self, full_name: str, enabled: bool) -> None:
        """Switch the issues of a repository on or off."""
        with self._world.lock:
            self._world.repository(full_name).has_issues = enabled

    def open_issue(self, full_name: str, title: str, body: str, by: str, labels: Iterable[str] = ()) -> Issue:
        """Open an issue; fires opened, then labeled for each label."""
        with self._world.lock:
            repository = self._world.repository(full_name)
            issue = self._world.open_issue(repository, title, body, self._user(by))
            for label in labels:
                self._world.label(repository, issue, label, self._user(by))
            return issue

    def label_issue(self, full_name: str, number: int, label: str, by: str) -> None:
        """Put a label on an issue or pull request."""
        with self._world.lock:
            repository, issue = self._found(full_name, number)
            self._world.label(repository, issue, label, self._user(by))

    def unlabel_issue(self, full_name: str, number: int, label: str, by: str) -> None:
        """Take a label off."""
        with self._world.lock:
            repository, issue = self._found(full_name, number)
            self._world.unlabel(repository, issue, label, self._user(by))

    def comment(self, full_name: str, number: int, body: str, by: str) -> Comment:
        """Comment as a person."""
        with self._world.lock:
            repository, issue = self._found(full_name, number)
            return self._world.comment(repository, issue, body, self._user(by), by_app=False)

    def edit_issue(self, full_name: str, number: int, *, title: str | None = None, body: str | None = None) -> None:
        """Change the texts of an issue or pull request, without a webhook."""
        with self._world.lock:
            _, issue = self._found(full_name, number)
            issue.title = issue.title if title is None else title
            issue.body = issue.body if body is None else body

    def close_issue(self, full_name: str, number: int, by: str) -> None:
        """Close an issue."""
        with self._world.lock:
            repository, issue = self._found(full_name, number)
            self._world.set_issue_state(repository, issue, "closed", self._user(by))

    def reopen_issue(self, full_name: str, number: int, by: str) -> None:
        """Reopen an issue."""
        with self._world.lock:
            repository, issue = self._found(full_name, number)
            self._world.set_issue_state(repository, issue, "open", self._user(by))

    def lock_issue(self, full_name: str, number: int, locked: bool = True) -> None:
        """Lock a conversation, or open it again."""
        with self._world.lock:
            self._found(full_name, number)[1].locked = locked

    def open_pull(
        self,
        full_name: str,
        head: str,
        base: str,
        title: str,
        body: str,
        by: str,
        draft: bool = False,
        head_repo: str | None = None,
    ) -> Pull:
        """Open a pull request, from a fork when ``head_repo`` names one."""
        with self._world.lock:
            return self._world.open_pull(
                self._world.repository(full_name),
                head=head,
                base=base,
                title=title,
                body=body,
                by=self._user(by),
                draft=draft,
                head_repo=head_repo,
            )

    def close_pull(self, full_name: str, number: int, by: str, *, merged: bool = False) -> None:
        """Close a pull request, or mark it as merged."""
        with self._world.lock:
            repository, pull = self._found_pull(full_name, number)
            if merged:
                self._world.merge_pull(repository, pull, self._user(by))
            else:
                self._world.set_pull_state(repository, pull, "closed", self._user(by))

    def reopen_pull(self, full_name: str, number: int, by: str) -> None:
        """Reopen a pull request."""
        with self._world.lock:
            repository, pull = self._found_pull(full_name, number)
            self._world.set_pull_state(repository, pull, "open", self._user(by))

    def mark_ready(self, full_name: str, number: int, by: str) -> None:
        """Mark a draft as ready for review."""
        with self._world.lock:
            repository, pull = self._found_pull(full_name, number)
            self._world.set_draft(repository, pull, False, self._user(by))

    def push(
        self,
        full_name: str,
        branch: str,
        files: Mapping[str, str | None],
        by: str,
        message: str = "Change files",
    ) -> str:
        """Push one commit with these files to a branch; returns its hash.

        A new branch starts at the default branch; a file of None is removed.
        """
        with self._world.lock:
            repository = self._world.repository(full_name)
            sha = git.commit_files_to_branch(repository.path, branch, repository.default_branch, files, message)
            self._world.after_push(repository, self._user(by))
            return sha

    def synchronize(self, full_name: str, number: int, by: str | None = None) -> bool:
        """Notice a push made straight into the bare repository; False when none was."""
        with self._world.lock:
            repository, pull = self._found_pull(full_name, number)
            user = self._user(by) if by else pull.issue.user
            return self._world.synchronize(repository, pull, user)

    def rerequest_check(self, full_name: str, check_run_id: int, by: str) -> None:
        """Press "Re-run" at a check run."""
        payload = self.check_run_rerequested_payload(full_name, check_run_id, by)
        self._emit("check_run", payload, self._world.repository(full_name))

    def rerequest_suite(self, full_name: str, head_sha: str, by: str) -> None:
        """Press "Re-run all checks" at a commit."""
        payload = self.check_suite_rerequested_payload(full_name, head_sha, by)
        self._emit("check_suite", payload, self._world.repository(full_name))

    # What a webhook would say, without sending it.

    def issues_labeled_payload(self, full_name: str, number: int, label: str, by: str) -> Json:
        """``issues`` with action labeled; the label must be on the issue."""
        with self._world.lock:
            repository, issue = self._found(full_name, number)
            found = next(one for one in issue.labels if one.name.lower() == label.lower())
            user = self._user(by)
            return self._world.payloads.issues_event("labeled", repository, issue, user, found)

    def pull_request_payload(self, action: str, full_name: str, number: int, by: str, *, before: str | None = None) -> Json:
        """``pull_request`` with any action."""
        with self._world.lock:
            repository, pull = self._found_pull(full_name, number)
            return self._world.payloads.pull_request_event(action, repository, pull, self._user(by), before=before)

    def check_run_rerequested_payload(self, full_name: str, check_run_id: int, by: str) -> Json:
        """``check_run`` with action rerequested."""
        with self._world.lock:
            repository = self._world.repository(full_name)
            run = self._world.check_run(repository, check_run_id)
            user = self._user(by)
            return self._world.payloads.check_run_event("rerequested", repository, run, user)

    def check_suite_rerequested_payload(self, full_name: str, head_sha: str, by: str) -> Json:
        """``check_suite`` with action rerequested."""
        with self._world.lock:
            repository = self._world.repository(full_name)
            suite = self._world.suite(repository, head_sha)
            user = self._user(by)
            return self._world.payloads.check_suite_event("rerequested", repository, suite, user)

    def ping_payload(self, full_name: str | None = None) -> Json:
        """``ping``, which a new webhook begins with."""
        with self._world.lock:
            repository = self._world.repository(full_name) if full_name else None
            owner = repository.owner if repository else self._world.payloads.app_owner
            return self._world.payloads.ping_event(repository, owner, self._deliverer.target)

    # What is so now, for assertions.

    def _found(self, full_name: str, number: int) -> tuple[Repository, Issue]:
        repository = self._world.repository(full_name)
        return repository, self._world.issue(repository, number)

    def _found_pull(self, full_name: str, number: int) -> tuple[Repository, Pull]:
        repository = self._world.repository(full_name)
        return repository, self._world.pull(repository, number)

    def repository(self, full_name: str) -> Repository:
        """Return a repository; ``path`` is its bare git repository."""
        with self._world.lock:
            return self._world.repository(full_name)

    def clone_url(self, full_name: str, token: str | None = None) -> str:
        """Return the address to clone, with the token in it when given."""
        base = f"{self.web_url}/{full_name}.git"
        return base.replace("://", f"://x-access-token:{token}@", 1) if token else base

    def issue(self, full_name: str, number: int) -> Issue:
        """Return an issue (or the issue side of a pull request)."""
        with self._world.lock:
            return self._found(full_name, number)[1]

    def pull(self, full_name: str, number: int) -> Pull:
        """Return a pull request."""
        with self._world.lock:
            return self._found_pull(full_name, number)[1]

    def pulls(self, full_name: str, *, state: str = "all") -> list[Pull]:
        """Return the pull requests, oldest first."""
        with self._world.lock:
            found = self._world.repository(full_name).pulls.values()
            return [pull for pull in found if state in ("all", pull.state)]

    def comments(self, full_name: str, number: int) -> list[Comment]:
        """Return the comments of an issue or pull request, oldest first."""
        with self._world.lock:
            return list(self._found(full_name, number)[1].comments)

    def check_runs(self, full_name: str, sha: str | None = None, name: str | None = None) -> list[CheckRun]:
        """Return the check runs, oldest first; of one commit or of all."""
        with self._world.lock:
            found = self._world.repository(full_name).check_runs.values()
            return [r for r in found if sha in (None, r.head_sha) and name in (None, r.name)]

    def statuses(self, full_name: str, sha: str | None = None, context: str | None = None) -> list[Status]:
        """Return the commit statuses, oldest first."""
        with self._world.lock:
            found = self._world.repository(full_name).statuses
            return [s for s in found if sha in (None, s.sha) and context in (None, s.context)]

    def branch_sha(self, full_name: str, branch: str) -> str | None:
        """Return the tip of a branch, or None."""
        with self._world.lock:
            return git.branch_sha(self._world.repository(full_name).path, branch)
