"""JSON in GitHub's shape: the objects that REST answers and webhooks share."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from typing import Any

from tests.doubles.github.state import AppIdentity, Label, Repository, User

Json = dict[str, Any]

USER_URLS = {
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "organizations_url": "/orgs",
    "repos_url": "/repos",
    "events_url": "/events{/privacy}",
    "received_events_url": "/received_events",
}
REPOSITORY_URLS = {
    "forks_url": "/forks",
    "keys_url": "/keys{/key_id}",
    "collaborators_url": "/collaborators{/collaborator}",
    "teams_url": "/teams",
    "hooks_url": "/hooks",
    "issue_events_url": "/issues/events{/number}",
    "events_url": "/events",
    "assignees_url": "/assignees{/user}",
    "branches_url": "/branches{/branch}",
    "tags_url": "/tags",
    "blobs_url": "/git/blobs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "trees_url": "/git/trees{/sha}",
    "statuses_url": "/statuses/{sha}",
    "languages_url": "/languages",
    "stargazers_url": "/stargazers",
    "contributors_url": "/contributors",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "commits_url": "/commits{/sha}",
    "git_commits_url": "/git/commits{/sha}",
    "comments_url": "/comments{/number}",
    "issue_comment_url": "/issues/comments{/number}",
    "contents_url": "/contents/{+path}",
    "compare_url": "/compare/{base}...{head}",
    "merges_url": "/merges",
    "archive_url": "/{archive_format}{/ref}",
    "downloads_url": "/downloads",
    "issues_url": "/issues{/number}",
    "pulls_url": "/pulls{/number}",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "labels_url": "/labels{/name}",
    "releases_url": "/releases{/id}",
    "deployments_url": "/deployments",
}
REACTIONS = ("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")


@dataclass
class BasicPayloads:
    """Builds the JSON; knows the addresses and the App, and changes nothing."""

    api: str
    web: str
    app_identity: AppIdentity | None
    app_owner: User

    def repository_api(self, repository: Repository) -> str:
        """The address of the repository in the API."""
        return f"{self.api}/repos/{repository.full_name}"

    def user(self, user: User) -> Json:
        """A user, as it stands inside other objects."""
        url = f"{self.api}/users/{urllib.parse.quote(user.login, safe='')}"
        is_bot = user.kind == "Bot"
        page = f"apps/{user.login.removesuffix('[bot]')}" if is_bot else user.login
        return {
            "login": user.login,
            "id": user.id,
            "node_id": f"U_kgDO{user.id:08x}",
            "avatar_url": f"{self.web}/avatars/u/{user.id}?v=4",
            "gravatar_id": "",
            "url": url,
            "html_url": f"{self.web}/{page}",
            **{name: url + rest for name, rest in USER_URLS.items()},
            "type": user.kind,
            "user_view_type": "public",
            "site_admin": False,
        }

    def organization(self, user: User) -> Json:
        """An organisation, as webhooks carry it beside the repository."""
        url = f"{self.api}/orgs/{user.login}"
        return {
            "login": user.login,
            "id": user.id,
            "node_id": f"O_kgDO{user.id:08x}",
            "url": url,
            "repos_url": f"{url}/repos",
            "events_url": f"{url}/events",
            "hooks_url": f"{url}/hooks",
            "issues_url": f"{url}/issues",
            "members_url": f"{url}/members{{/member}}",
            "public_members_url": f"{url}/public_members{{/member}}",
            "avatar_url": f"{self.web}/avatars/u/{user.id}?v=4",
            "description": "",
        }

    def repository(self, repository: Repository) -> Json:
        """A repository."""
        url = self.repository_api(repository)
        html = f"{self.web}/{repository.full_name}"
        host = urllib.parse.urlsplit(self.web).netloc
        open_issues = sum(issue.state == "open" for issue in repository.issues.values())
        return {
            "id": repository.id,
            "node_id": f"R_kgDO{repository.id:08x}",
            "name": repository.name,
            "full_name": repository.full_name,
            "private": repository.private,
            "owner": self.user(repository.owner),
            "html_url": html,
            "description": None,
            "fork": repository.parent is not None,
            "url": url,
            **{name: url + rest for name, rest in REPOSITORY_URLS.items()},
            "created_at": repository.created_at,
            "updated_at": repository.pushed_at,
            "pushed_at": repository.pushed_at,
            "git_url": f"git://{host}/{repository.full_name}.git",
            "ssh_url": f"git@{host}:{repository.full_name}.git",
            "clone_url": f"{html}.git",
            "svn_url": html,
            "homepage": None,
            "size": 0,
            "stargazers_count": 0,
            "watchers_count": 0,
            "language": None,
            "has_issues": repository.has_issues,
            "has_projects": True,
            "has_downloads": True,
            "has_wiki": True,
            "has_pages": False,
            "has_discussions": False,
            "forks_count": 0,
            "mirror_url": None,
            "archived": False,
            "disabled": False,
            "open_issues_count": open_issues,
            "license": None,
            "allow_forking": True,
            "is_template": False,
            "web_commit_signoff_required": False,
            "topics": [],
            "visibility": "private" if repository.private else "public",
            "forks": 0,
            "open_issues": open_issues,
            "watchers": 0,
            "default_branch": repository.default_branch,
            "custom_properties": {},
        }

    def label(self, repository: Repository, label: Label) -> Json:
        """A label."""
        quoted = urllib.parse.quote(label.name, safe="")
        return {
            "id": label.id,
            "node_id": f"LA_kwDO{label.id:08x}",
            "url": f"{self.repository_api(repository)}/labels/{quoted}",
            "name": label.name,
            "color": label.color,
            "default": False,
            "description": None,
        }

    def association(self, repository: Repository, user: User) -> str:
        """How the user stands to the repository."""
        if user is repository.owner:
            return "OWNER"
        granted = repository.permissions.get(user.login, "none")
        return "NONE" if granted == "none" else "COLLABORATOR"

    def reactions(self, url: str) -> Json:
        """The reactions, of which there are none."""
        return {"url": f"{url}/reactions", "total_count": 0, **dict.fromkeys(REACTIONS, 0)}

    def app(self) -> Json:
        """The GitHub App; a stand-in when the double has none."""
        app = self.app_identity
        slug = app.slug if app else "no-app"
        return {
            "id": app.app_id if app else 1,
            "client_id": f"Iv1.{app.app_id if app else 1:016x}",
            "slug": slug,
            "node_id": f"A_kwHO{app.app_id if app else 1:08x}",
            "owner": self.user(self.app_owner),
            "name": slug,
            "description": "",
            "external_url": f"{self.web}/{slug}",
            "html_url": f"{self.web}/apps/{slug}",
            "created_at": "2024-01-01T00:00:00Z",
            "updated_at": "2024-01-01T00:00:00Z",
            "permissions": dict(app.permissions) if app else {},
            "events": ["check_run", "check_suite", "issues", "pull_request"],
        }
