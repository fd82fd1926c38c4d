"""Endpoints of issues, their comments and labels."""

from __future__ import annotations

from typing import Any

from tests.doubles.github.rest import Answer, Call, answers
from tests.doubles.github.state import Issue

TALK = ("issues", "pull_requests")


def _issue(call: Call) -> Issue:
    return call.world.issue(call.repository, call.number("issue_number"))


@answers("issues/list-for-repo", scopes=TALK)
def list_issues(call: Call) -> Answer:
    """GET issues; pull requests are among them, as on GitHub."""
    state = call.asked("state", "open")
    wanted = [name.lower() for name in (call.asked("labels") or "").split(",") if name]
    creator, since = call.asked("creator"), call.asked("since")
    found = [
        issue
        for issue in call.repository.issues.values()
        if state in ("all", issue.state)
        and set(wanted) <= {name.lower() for name in issue.label_names}
        and (creator is None or issue.user.login.lower() == creator.lower())
        and (since is None or issue.updated_at >= since)
    ]
    found.sort(key=lambda issue: issue.number, reverse=call.asked("direction", "desc") == "desc")
    return call.listed(found, lambda issue: call.world.payloads.issue(call.repository, issue))


@answers("issues/get", scopes=TALK)
def get_issue(call: Call) -> Answer:
    """GET an issue."""
    return Answer(200, call.world.payloads.issue(call.repository, _issue(call)))


@answers("issues/list-comments", scopes=TALK)
def list_comments(call: Call) -> Answer:
    """GET the comments of an issue, oldest first."""
    since = call.asked("since")
    found = [c for c in _issue(call).comments if since is None or c.updated_at >= since]
    return call.listed(found, lambda c: call.world.payloads.comment(call.repository, c))


@answers("issues/create-comment", scopes=TALK, level="write")
def create_comment(call: Call) -> Answer:
    """POST a comment."""
    comment = call.world.comment(
        call.repository,
        _issue(call),
        call.body["body"],
        call.caller.user,
        by_app=call.caller.by_app,
    )
    made = call.world.payloads.comment(call.repository, comment)
    return Answer(201, made, {"Location": made["url"]})


@answers("issues/list-events", scopes=TALK)
def list_events(call: Call) -> Answer:
    """GET what happened to an issue, oldest first; the double remembers its labels only."""
    return call.listed(_issue(call).events, lambda one: call.world.payloads.issue_event(call.repository, one))


@answers("issues/get-comment", scopes=TALK)
def get_comment(call: Call) -> Answer:
    """GET one comment."""
    comment = call.world.find_comment(call.repository, call.number("comment_id"))
    return Answer(200, call.world.payloads.comment(call.repository, comment))


@answers("issues/update-comment", scopes=TALK, level="write")
def update_comment(call: Call) -> Answer:
    """PATCH a comment."""
    comment = call.world.find_comment(call.repository, call.number("comment_id"))
    call.world.edit_comment(call.repository, comment, call.body["body"], call.caller.user)
    return Answer(200, call.world.payloads.comment(call.repository, comment))


@answers("issues/delete-comment", scopes=TALK, level="write")
def delete_comment(call: Call) -> Answer:
    """DELETE a comment."""
    comment = call.world.find_comment(call.repository, call.number("comment_id"))
    call.world.delete_comment(call.repository, comment, call.caller.user)
    return Answer(204)


def _labels(call: Call, issue: Issue) -> Answer:
    return Answer(200, [call.world.payloads.label(call.repository, one) for one in issue.labels])


@answers("issues/list-labels-on-issue", scopes=TALK)
def list_labels(call: Call) -> Answer:
    """GET the labels of an issue."""
    return _labels(call, _issue(call))


def _names(body: Any) -> list[str]:
    labels = body.get("labels", []) if isinstance(body, dict) else body
    return [label if isinstance(label, str) else label["name"] for label in labels]


@answers("issues/add-labels", scopes=TALK, level="write")
def add_labels(call: Call) -> Answer:
    """POST labels onto an issue."""
    issue = _issue(call)
    for name in _names(call.body):
        call.world.label(call.repository, issue, name, call.caller.user)
    return _labels(call, issue)


@answers("issues/remove-label", scopes=TALK, level="write")
def remove_label(call: Call) -> Answer:
    """DELETE a label from an issue."""
    issue = _issue(call)
    call.world.unlabel(call.repository, issue, call.values["name"], call.caller.user)
    return _labels(call, issue)
