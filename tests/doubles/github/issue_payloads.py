"""JSON of issues, comments and pull requests."""

from __future__ import annotations

from tests.doubles.github import git
from tests.doubles.github.payloads import BasicPayloads, Json
from tests.doubles.github.state import Comment, Issue, IssueEvent, Pull, Repository

# Inside pull requests a repository also tells how it may be merged into.
MERGING = {
    "allow_auto_merge": False,
    "allow_merge_commit": True,
    "allow_rebase_merge": True,
    "allow_squash_merge": True,
    "allow_update_branch": False,
    "delete_branch_on_merge": False,
}


class IssuePayloads(BasicPayloads):
    """Adds what people talk in: issues, comments, pull requests."""

    def _shared(self, repository: Repository, issue: Issue) -> Json:
        """What issues and pull requests both have."""
        return {
            "number": issue.number,
            "title": issue.title,
            "user": self.user(issue.user),
            "labels": [self.label(repository, label) for label in issue.labels],
            "state": issue.state,
            "locked": issue.locked,
            "assignee": None,
            "assignees": [],
            "milestone": None,
            "comments": len(issue.comments),
            "created_at": issue.created_at,
            "updated_at": issue.updated_at,
            "closed_at": issue.closed_at,
            "author_association": self.association(repository, issue.user),
            "active_lock_reason": None,
            "body": issue.body,
        }

    def issue_html(self, repository: Repository, issue: Issue) -> str:
        """The page of an issue or a pull request."""
        kind = "pull" if issue.is_pull else "issues"
        return f"{self.web}/{repository.full_name}/{kind}/{issue.number}"

    def issue(self, repository: Repository, issue: Issue) -> Json:
        """An issue; for a pull request, its issue side."""
        url = f"{self.repository_api(repository)}/issues/{issue.number}"
        page = self.issue_html(repository, issue)
        found: Json = {
            "url": url,
            "repository_url": self.repository_api(repository),
            "labels_url": f"{url}/labels{{/name}}",
            "comments_url": f"{url}/comments",
            "events_url": f"{url}/events",
            "html_url": page,
            "id": issue.id,
            "node_id": f"I_kwDO{issue.id:08x}",
            **self._shared(repository, issue),
            "reactions": self.reactions(url),
            "timeline_url": f"{url}/timeline",
            "performed_via_github_app": None,
            "state_reason": "completed" if issue.state == "closed" else None,
        }
        pull = repository.pulls.get(issue.number)
        if pull is not None:
            found["draft"] = pull.draft
            found["pull_request"] = {
                "url": f"{self.repository_api(repository)}/pulls/{issue.number}",
                "html_url": page,
                "diff_url": f"{page}.diff",
                "patch_url": f"{page}.patch",
                "merged_at": pull.merged_at,
            }
        return found

    def comment(self, repository: Repository, comment: Comment) -> Json:
        """A comment on an issue or a pull request."""
        issue = repository.issues[comment.number]
        base = f"{self.repository_api(repository)}/issues"
        url = f"{base}/comments/{comment.id}"
        return {
            "url": url,
            "html_url": f"{self.issue_html(repository, issue)}#issuecomment-{comment.id}",
            "issue_url": f"{base}/{comment.number}",
            "id": comment.id,
            "node_id": f"IC_kwDO{comment.id:08x}",
            "user": self.user(comment.user),
            "created_at": comment.created_at,
            "updated_at": comment.updated_at,
            "body": comment.body,
            "author_association": self.association(repository, comment.user),
            "reactions": self.reactions(url),
            "performed_via_github_app": self.app() if comment.by_app else None,
        }

    def issue_event(self, repository: Repository, event: IssueEvent) -> Json:
        """What happened to an issue, as its list of events tells it."""
        return {
            "id": event.id,
            "node_id": f"LE_lADO{event.id:08x}",
            "url": f"{self.repository_api(repository)}/issues/events/{event.id}",
            "actor": self.user(event.actor),
            "event": event.event,
            "commit_id": None,
            "commit_url": None,
            "created_at": event.created_at,
            "label": {"name": event.label.name, "color": event.label.color},
            "performed_via_github_app": self.app() if event.by_app else None,
        }

    def _side(self, owner: str, ref: str, sha: str, repository: Repository | None) -> Json:
        return {
            "label": f"{owner}:{ref}",
            "ref": ref,
            "sha": sha,
            "user": self.user(repository.owner) if repository else None,
            "repo": self.repository(repository) | MERGING if repository else None,
        }

    def pull(self, repository: Repository, pull: Pull, *, whole: bool = True) -> Json:
        """A pull request; in lists GitHub leaves the counts out (``whole`` false)."""
        base = self.repository_api(repository)
        url = f"{base}/pulls/{pull.number}"
        page = self.issue_html(repository, pull.issue)
        issue_url = f"{base}/issues/{pull.number}"
        addresses = {
            "self": url,
            "html": page,
            "issue": issue_url,
            "comments": f"{issue_url}/comments",
            "review_comments": f"{url}/comments",
            "review_comment": f"{base}/pulls/comments{{/number}}",
            "commits": f"{url}/commits",
            "statuses": f"{base}/statuses/{pull.head_sha}",
        }
        shared = self._shared(repository, pull.issue)
        count = shared.pop("comments")
        found: Json = {
            "url": url,
            "id": pull.id,
            "node_id": pull.node_id,
            "html_url": page,
            "diff_url": f"{page}.diff",
            "patch_url": f"{page}.patch",
            "issue_url": issue_url,
            **shared,
            "merged_at": pull.merged_at,
            "merge_commit_sha": None,
            "requested_reviewers": [],
            "requested_teams": [],
            "draft": pull.draft,
            "commits_url": addresses["commits"],
            "review_comments_url": addresses["review_comments"],
            "review_comment_url": addresses["review_comment"],
            "comments_url": addresses["comments"],
            "statuses_url": addresses["statuses"],
            "head": self._side(pull.head_owner, pull.head_ref, pull.head_sha, pull.head_repo),
            "base": self._side(repository.owner.login, pull.base_ref, pull.base_sha, repository),
            "_links": {name: {"href": address} for name, address in addresses.items()},
            "auto_merge": None,
        }
        if whole:
            found |= self._counts(repository, pull) | {"comments": count}
        return found

    def _counts(self, repository: Repository, pull: Pull) -> Json:
        files = git.changed_files(repository.path, pull.base_sha, pull.head_sha)
        return {
            "merged": pull.merged_at is not None,
            "mergeable": None if pull.merged_at else True,
            "rebaseable": None,
            "mergeable_state": "draft" if pull.draft else "clean",
            "merged_by": None,
            "review_comments": 0,
            "maintainer_can_modify": pull.maintainer_can_modify,
            "commits": git.commits_between(repository.path, pull.base_sha, pull.head_sha),
            "additions": sum(file.additions for file in files),
            "deletions": sum(file.deletions for file in files),
            "changed_files": len(files),
        }
