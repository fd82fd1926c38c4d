"""Endpoints of the repository itself: commits, branches, who may do what."""

from __future__ import annotations

from tests.doubles.github import git
from tests.doubles.github.payloads import Json
from tests.doubles.github.refusals import Refusal, not_found
from tests.doubles.github.rest import LEVELS, Answer, Call, answers
from tests.doubles.github.rest_checks import commit_of
from tests.doubles.github.rest_pulls import file_json

CONTENTS = ("contents",)


@answers("repos/get")
def get_repository(call: Call) -> Answer:
    """GET the repository."""
    found = call.world.payloads.repository(call.repository)
    level = call.repository.permissions.get(call.caller.user.login, "none")
    found["permissions"] = _rights("write" if call.caller.by_app else level)
    found["network_count"] = found["subscribers_count"] = 0
    if call.repository.parent is not None:
        found["parent"] = call.world.payloads.repository(call.repository.parent)
        found["source"] = found["parent"]
    return Answer(200, found)


def _rights(level: str) -> Json:
    reached = LEVELS.index(level)
    return {
        "admin": reached >= LEVELS.index("admin"),
        "maintain": reached >= LEVELS.index("admin"),
        "push": reached >= LEVELS.index("write"),
        "triage": reached >= LEVELS.index("write"),
        "pull": reached >= LEVELS.index("read"),
    }


@answers("repos/get-collaborator-permission-level")
def get_permission(call: Call) -> Answer:
    """GET what a user may do here; "none" for one who may nothing."""
    user = call.world.users.get(call.values["username"].lower())
    if user is None:
        raise Refusal(404, f"{call.values['username']} is not a user")
    level = call.repository.permissions.get(user.login, "none")
    rights = {"permissions": _rights(level), "role_name": level}
    found = {
        "permission": level,
        "user": call.world.payloads.user(user) | rights,
        "role_name": level,
    }
    return Answer(200, found)


def _commit(call: Call, sha: str, *, with_files: bool) -> Json:
    facts = git.commit_facts(call.repository.path, sha)
    base = call.world.payloads.repository_api(call.repository)
    page = f"{call.world.payloads.web}/{call.repository.full_name}/commit"
    url = f"{base}/commits/{sha}"
    found: Json = {
        "sha": sha,
        "node_id": f"C_kwDO{sha}",
        "commit": {
            "author": facts.author,
            "committer": facts.committer,
            "message": facts.message,
            "tree": {"sha": facts.tree, "url": f"{base}/git/trees/{facts.tree}"},
            "url": f"{base}/git/commits/{sha}",
            "comment_count": 0,
            "verification": {
                "verified": False,
                "reason": "unsigned",
                "signature": None,
                "payload": None,
                "verified_at": None,
            },
        },
        "url": url,
        "html_url": f"{page}/{sha}",
        "comments_url": f"{url}/comments",
        "author": None,
        "committer": None,
        "parents": [
            {"sha": parent, "url": f"{base}/commits/{parent}", "html_url": f"{page}/{parent}"} for parent in facts.parents
        ],
    }
    if with_files:
        files = git.commit_files(call.repository.path, facts)
        added = sum(file.additions for file in files)
        deleted = sum(file.deletions for file in files)
        found["stats"] = {"total": added + deleted, "additions": added, "deletions": deleted}
        found["files"] = [file_json(call, sha, file) for file in files]
    return found


@answers("repos/get-commit", scopes=CONTENTS)
def get_commit(call: Call) -> Answer:
    """GET a commit by hash, branch or tag."""
    return Answer(200, _commit(call, commit_of(call), with_files=True))


@answers("git/get-ref", scopes=CONTENTS)
def get_ref(call: Call) -> Answer:
    """GET ``heads/branch`` (or any other ref by its whole name)."""
    kind, _, name = call.values["ref"].partition("/")
    sha = git.branch_sha(call.repository.path, name) if kind == "heads" else None
    if kind in ("tags", "pull"):
        sha = git.sha_of(call.repository.path, call.values["ref"])
    if sha is None:
        raise not_found()
    base = call.world.payloads.repository_api(call.repository)
    found = {
        "ref": f"refs/{call.values['ref']}",
        "node_id": f"REF_kwDO{call.repository.id:08x}",
        "url": f"{base}/git/refs/{call.values['ref']}",
        "object": {"sha": sha, "type": "commit", "url": f"{base}/git/commits/{sha}"},
    }
    return Answer(200, found)


@answers("git/delete-ref", scopes=CONTENTS, level="write")
def delete_ref(call: Call) -> Answer:
    """DELETE ``heads/branch``; open pull requests from it are closed."""
    kind, _, branch = call.values["ref"].partition("/")
    repository = call.repository
    if kind != "heads" or git.branch_sha(repository.path, branch) is None:
        raise Refusal(422, "Reference does not exist")
    if branch == repository.default_branch:
        raise Refusal(422, "Cannot delete the default branch")
    git.git(repository.path, "update-ref", "-d", f"refs/heads/{branch}")
    call.world.after_push(repository, call.caller.user)
    return Answer(204)


@answers("repos/get-branch", scopes=CONTENTS)
def get_branch(call: Call) -> Answer:
    """GET a branch."""
    branch = call.values["branch"]
    sha = git.branch_sha(call.repository.path, branch)
    if sha is None:
        raise Refusal(404, "Branch not found")
    url = f"{call.world.payloads.repository_api(call.repository)}/branches/{branch}"
    page = f"{call.world.payloads.web}/{call.repository.full_name}/tree/{branch}"
    found = {
        "name": branch,
        "commit": _commit(call, sha, with_files=False),
        "_links": {"self": url, "html": page},
        "protected": False,
        "protection": {
            "enabled": False,
            "required_status_checks": {
                "enforcement_level": "off",
                "contexts": [],
                "checks": [],
            },
        },
        "protection_url": f"{url}/protection",
    }
    return Answer(200, found)
