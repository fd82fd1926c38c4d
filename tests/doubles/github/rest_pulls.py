"""Endpoints of pull requests."""

from __future__ import annotations

import urllib.parse

from tests.doubles.github import git
from tests.doubles.github.payloads import Json
from tests.doubles.github.refusals import Refusal
from tests.doubles.github.rest import Answer, Call, answers
from tests.doubles.github.state import Pull

PULLS = ("pull_requests",)


def _pull(call: Call) -> Pull:
    return call.world.pull(call.repository, call.number("pull_number"))


@answers("pulls/list", scopes=PULLS)
def list_pulls(call: Call) -> Answer:
    """GET pull requests; ``head`` only counts in its ``owner:branch`` form."""
    state, base, head = call.asked("state", "open"), call.asked("base"), call.asked("head")
    found = [
        pull
        for pull in call.repository.pulls.values()
        if state in ("all", pull.state)
        and base in (None, pull.base_ref)
        # GitHub leaves a head without an owner out of account, in silence.
        and (head is None or ":" not in head or head.lower() == f"{pull.head_owner}:{pull.head_ref}".lower())
    ]
    newest = "desc" if call.asked("sort", "created") == "created" else "asc"
    descending = call.asked("direction", newest) == "desc"
    found.sort(key=lambda pull: pull.number, reverse=descending)
    return call.listed(found, lambda pull: call.world.payloads.pull(call.repository, pull, whole=False))


@answers("pulls/create", scopes=PULLS, level="write")
def create_pull(call: Call) -> Answer:
    """POST a pull request."""
    if "title" not in call.body:
        raise Refusal(422, "The double opens pull requests by title only")
    pull = call.world.open_pull(
        call.repository,
        head=call.body["head"],
        base=call.body["base"],
        title=call.body["title"],
        body=call.body.get("body"),
        by=call.caller.user,
        draft=call.body.get("draft", False),
        head_repo=_whole_name(call),
        maintainer_can_modify=call.body.get("maintainer_can_modify", False),
    )
    made = call.world.payloads.pull(call.repository, pull)
    return Answer(201, made, {"Location": made["url"]})


def _whole_name(call: Call) -> str | None:
    """The head repository may be named without its owner."""
    name: str | None = call.body.get("head_repo")
    if name is None or "/" in name:
        return name
    return f"{call.repository.owner.login}/{name}"


@answers("pulls/get", scopes=PULLS)
def get_pull(call: Call) -> Answer:
    """GET a pull request."""
    return Answer(200, call.world.payloads.pull(call.repository, _pull(call)))


@answers("pulls/update", scopes=PULLS, level="write")
def update_pull(call: Call) -> Answer:
    """PATCH a pull request; a draft stays one, that takes GraphQL."""
    pull = _pull(call)
    call.world.edit_pull(call.repository, pull, call.body, call.caller.user)
    return Answer(200, call.world.payloads.pull(call.repository, pull))


@answers("pulls/list-files", scopes=PULLS)
def list_files(call: Call) -> Answer:
    """GET the changed files."""
    pull = _pull(call)
    files = git.changed_files(call.repository.path, pull.base_sha, pull.head_sha)
    return call.listed(files, lambda file: file_json(call, pull.head_sha, file))


def file_json(call: Call, sha: str, file: git.ChangedFile) -> Json:
    """One changed file, as pull requests and commits list it."""
    quoted = urllib.parse.quote(file.filename)
    page = f"{call.world.payloads.web}/{call.repository.full_name}"
    base = call.world.payloads.repository_api(call.repository)
    found: Json = {
        "sha": sha,
        "filename": file.filename,
        "status": file.status,
        "additions": file.additions,
        "deletions": file.deletions,
        "changes": file.additions + file.deletions,
        "blob_url": f"{page}/blob/{sha}/{quoted}",
        "raw_url": f"{page}/raw/{sha}/{quoted}",
        "contents_url": f"{base}/contents/{quoted}?ref={sha}",
    }
    if file.previous_filename is not None:
        found["previous_filename"] = file.previous_filename
    return found
