"""Pull requests: opening, following pushes, drafts, closing."""

from __future__ import annotations

from tests.doubles.github import git
from tests.doubles.github.payloads import Json
from tests.doubles.github.refusals import Refusal, invalid, not_found
from tests.doubles.github.state import Pull, Repository, User, now
from tests.doubles.github.world import BODY_LIMIT, BasicWorld


class World(BasicWorld):
    """Adds pull requests to the world."""

    def pull(self, repository: Repository, number: int) -> Pull:
        """Return a pull request, or refuse."""
        found = repository.pulls.get(number)
        if found is None:
            raise not_found()
        return found

    def pull_by_node(self, node_id: str) -> tuple[Repository, Pull] | None:
        """Return the pull request GraphQL names, with its repository."""
        for repository in self.repositories.values():
            for pull in repository.pulls.values():
                if pull.node_id == node_id:
                    return repository, pull
        return None

    def _head(self, repository: Repository, head: str, head_repo: str | None) -> tuple[Repository, str]:
        """Find the repository and branch a head like ``owner:branch`` means."""
        owner, colon, branch = head.rpartition(":")
        if head_repo:
            return self.repository(head_repo), branch
        if not colon or owner.lower() == repository.owner.login.lower():
            return repository, branch
        for other in self.repositories.values():
            if other.owner.login.lower() == owner.lower() and other.parent is repository:
                return other, branch
        raise invalid("PullRequest", "head")

    def open_pull(
        self,
        repository: Repository,
        *,
        head: str,
        base: str,
        title: str,
        body: str | None,
        by: User,
        draft: bool = False,
        head_repo: str | None = None,
        maintainer_can_modify: bool = False,
    ) -> Pull:
        """Open a pull request, or refuse as GitHub does."""
        check_pull_texts(title, body)
        source, branch = self._head(repository, head, head_repo)
        head_sha = git.branch_sha(source.path, branch)
        if head_sha is None:
            raise invalid("PullRequest", "head")
        base_sha = git.branch_sha(repository.path, base)
        if base_sha is None:
            raise invalid("PullRequest", "base")
        label = f"{source.owner.login}:{branch}"
        for other in repository.pulls.values():
            same = (other.head_repo, other.head_ref, other.base_ref) == (source, branch, base)
            if same and other.state == "open":
                words = f"A pull request already exists for {label}."
                raise invalid("PullRequest", None, "custom", words)
        if source is not repository:
            # The objects of a fork are reachable from the base on GitHub too.
            git.git(repository.path, "fetch", "--quiet", "--no-tags", str(source.path), head_sha)
        if git.commits_between(repository.path, base_sha, head_sha) == 0:
            words = f"No commits between {base} and {head}"
            raise invalid("PullRequest", None, "custom", words)
        issue = self.number_issue(repository, title, body, by, is_pull=True)
        pull = Pull(
            id=self.next_id(),
            issue=issue,
            head_repo=source,
            head_owner=source.owner.login,
            head_ref=branch,
            head_sha=head_sha,
            base_ref=base,
            base_sha=base_sha,
            draft=draft,
            maintainer_can_modify=maintainer_can_modify,
        )
        repository.pulls[pull.number] = pull
        git.set_pull_ref(repository.path, source.path, head_sha, pull.number)
        self.suite(repository, head_sha)
        self._tell("opened", repository, pull, by)
        return pull

    def _tell(
        self,
        action: str,
        repository: Repository,
        pull: Pull,
        by: User,
        *,
        before: str | None = None,
        changes: Json | None = None,
    ) -> None:
        payload = self.payloads.pull_request_event(action, repository, pull, by, before=before, changes=changes)
        self.emit("pull_request", payload, repository)

    def edit_pull(self, repository: Repository, pull: Pull, body: Json, by: User) -> None:
        """Change title, text, base or state by an API call."""
        check_pull_texts(body.get("title", pull.title), body.get("body", pull.body))
        changes: Json = {}
        for field in ("title", "body"):
            if field in body and body[field] != getattr(pull.issue, field):
                changes[field] = {"from": getattr(pull.issue, field)}
                setattr(pull.issue, field, body[field])
        if "base" in body and body["base"] != pull.base_ref:
            base_sha = git.branch_sha(repository.path, body["base"])
            if base_sha is None:
                raise invalid("PullRequest", "base")
            changes["base"] = {"ref": {"from": pull.base_ref}, "sha": {"from": pull.base_sha}}
            pull.base_ref, pull.base_sha = body["base"], base_sha
        pull.maintainer_can_modify = body.get("maintainer_can_modify", pull.maintainer_can_modify)
        if changes:
            pull.issue.updated_at = now()
            self._tell("edited", repository, pull, by, changes=changes)
        if "state" in body:
            self.set_pull_state(repository, pull, body["state"], by)

    def set_pull_state(self, repository: Repository, pull: Pull, state: str, by: User) -> None:
        """Close or reopen a pull request."""
        if state == "open" and pull.state == "closed":
            where = pull.head_repo.path if pull.head_repo else None
            tip = git.branch_sha(where, pull.head_ref) if where else None
            if tip is None or pull.merged_at:
                words = "state cannot be changed. The head branch was deleted or it was merged."
                raise invalid("PullRequest", "state", "invalid", words)
            if tip != pull.head_sha:
                self._move(repository, pull, tip)
        self.set_issue_state(repository, pull.issue, state, by)

    def merge_pull(self, repository: Repository, pull: Pull, by: User) -> None:
        """Mark a pull request as merged; git is not touched."""
        pull.merged_at = now()
        self.set_issue_state(repository, pull.issue, "closed", by)

    def set_draft(self, repository: Repository, pull: Pull, draft: bool, by: User) -> None:
        """Mark as ready for review, or as a draft again."""
        if pull.state != "open":
            raise Refusal(422, "Pull request is closed")
        if pull.draft == draft:
            return
        pull.draft = draft
        pull.issue.updated_at = now()
        self._tell("converted_to_draft" if draft else "ready_for_review", repository, pull, by)

    def _move(self, repository: Repository, pull: Pull, sha: str) -> None:
        source = pull.head_repo or repository
        pull.head_sha = sha
        pull.base_sha = git.branch_sha(repository.path, pull.base_ref) or pull.base_sha
        pull.issue.updated_at = now()
        git.set_pull_ref(repository.path, source.path, sha, pull.number)
        self.suite(repository, sha)

    def synchronize(self, repository: Repository, pull: Pull, by: User) -> bool:
        """Follow the head branch; tells whether anything changed."""
        if pull.state != "open" or pull.head_repo is None:
            return False
        tip = git.branch_sha(pull.head_repo.path, pull.head_ref)
        if tip == pull.head_sha:
            return False
        if tip is None:
            # GitHub closes a pull request when its branch goes away.
            self.set_issue_state(repository, pull.issue, "closed", by)
            return True
        before = pull.head_sha
        self._move(repository, pull, tip)
        self._tell("synchronize", repository, pull, by, before=before)
        return True

    def after_push(self, pushed: Repository, by: User) -> None:
        """Let every pull request follow what was pushed to one repository."""
        pushed.pushed_at = now()
        for repository in self.repositories.values():
            for pull in list(repository.pulls.values()):
                if pull.head_repo is pushed:
                    self.synchronize(repository, pull, by)
                if repository is pushed and pull.state == "open":
                    self._notice_merge(repository, pull, by)

    def _notice_merge(self, repository: Repository, pull: Pull, by: User) -> None:
        """A push that brings the head into the base branch merges the pull."""
        tip = git.branch_sha(repository.path, pull.base_ref)
        if tip and git.is_ancestor(repository.path, pull.head_sha, tip):
            self.merge_pull(repository, pull, by)

    def remove_repository(self, repository: Repository) -> None:
        """Forget a repository; pull requests from it keep no head repository."""
        del self.repositories[repository.full_name.lower()]
        for other in self.repositories.values():
            for pull in other.pulls.values():
                if pull.head_repo is repository:
                    pull.head_repo = None


def check_pull_texts(title: str, body: str | None) -> None:
    """Refuse a title or a text GitHub would not take."""
    if not title.strip():
        raise invalid("PullRequest", "title", "missing_field")
    if len(title) > 256:
        words = "title is too long (maximum is 256 characters)"
        raise invalid("PullRequest", "title", "custom", words)
    if body and len(body) > BODY_LIMIT:
        words = f"body is too long (maximum is {BODY_LIMIT} characters)"
        raise invalid("PullRequest", "body", "custom", words)
