from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booty_site.github import events

LABEL = "agent:builder"
REPOSITORY = {"full_name": "acme/calculator", "default_branch": "main", "something_new": {"GitHub": "added"}}
SENDER = {"login": "ada"}
LABELLED: dict[str, Any] = {
    "action": "labeled",
    "repository": REPOSITORY,
    "sender": SENDER,
    "label": {"name": LABEL},
    "issue": {"number": 5, "title": "Subtract", "body": None, "state": "open"},
}
PULL: dict[str, Any] = {
    "action": "opened",
    "number": 7,
    "repository": REPOSITORY,
    "sender": SENDER,
    "pull_request": {
        "number": 7,
        "title": "Subtract",
        "updated_at": "2026-11-23T10:00:00Z",
        "head": {"sha": "a" * 40, "ref": "feature", "repo": REPOSITORY},
        "base": {"sha": "b" * 40, "ref": "main", "repo": REPOSITORY},
    },
}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)


def asked(event: str, payload: object) -> events.Asked:
    return events.read(event, json.dumps(payload).encode(), trigger_label=LABEL)[0]


def changed(payload: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    payload = copy.deepcopy(payload)
    *folders, name = path.split(".")
    place: Any = payload
    for folder in folders:
        place = place[folder]
    place[name] = value
    return payload


def test_the_trigger_label_on_an_issue_asks_for_a_job() -> None:
    found = asked("issues", LABELLED)
    assert isinstance(found, events.IssueLabelled)
    assert (found.repository, found.number, found.body, found.default_branch) == ("acme/calculator", 5, "", "main")


def test_the_trigger_label_is_compared_as_github_does_without_regard_to_case() -> None:
    assert isinstance(asked("issues", changed(LABELLED, "label.name", "Agent:Builder")), events.IssueLabelled)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("label.name", "bug", "the label is not agent:builder"),
        ("issue.state", "closed", "closed"),
        ("issue.pull_request", {"url": "…"}, "on a pull request"),
        ("action", "assigned", "issues.assigned is not one"),
    ],
)
def test_an_issue_event_that_asks_for_nothing_says_why(path: str, value: object, reason: str) -> None:
    found = asked("issues", changed(LABELLED, path, value))
    assert isinstance(found, events.Nothing)
    assert reason in found.reason


@pytest.mark.parametrize("action", ["opened", "synchronize", "reopened"])
def test_a_changed_pull_request_asks_for_a_verification(action: str) -> None:
    found = asked("pull_request", changed(PULL, "action", action))
    assert isinstance(found, events.PullRequestChanged)
    assert (found.action, found.head_sha, found.from_fork) == (action, "a" * 40, False)


def test_a_head_in_another_repository_is_a_fork() -> None:
    found = asked("pull_request", changed(PULL, "pull_request.head.repo", {"full_name": "mallory/calculator"}))
    assert isinstance(found, events.PullRequestChanged)
    assert found.from_fork


def test_a_head_whose_repository_was_deleted_counts_as_a_fork() -> None:
    found = asked("pull_request", changed(PULL, "pull_request.head.repo", None))
    assert isinstance(found, events.PullRequestChanged)
    assert found.from_fork


@pytest.mark.parametrize("kind", ["check_run", "check_suite"])
def test_a_rerequested_check_asks_for_another_run(kind: str) -> None:
    check = {"head_sha": "a" * 40, "name": events.CHECK_NAME, "pull_requests": [{"number": 7}]}
    found = asked(kind, {"action": "rerequested", "repository": REPOSITORY, "sender": SENDER, kind: check})
    assert found == events.RerunRequested("acme/calculator", "ada", kind, "a" * 40, 7)


def test_a_rerequested_check_of_somebody_else_asks_for_nothing() -> None:
    check = {"head_sha": "a" * 40, "name": "lint", "pull_requests": []}
    payload = {"action": "rerequested", "repository": REPOSITORY, "sender": SENDER, "check_run": check}
    assert isinstance(asked("check_run", payload), events.Nothing)


def test_a_ping_needs_no_repository() -> None:
    assert asked("ping", {"zen": "Keep it logically awesome."}) == events.Ping()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("pull_request.head.sha", None),
        ("pull_request.head.sha", "HEAD; rm -rf"),
        ("pull_request.title", None),
        ("pull_request.number", "7"),
        ("pull_request.number", 0),
        ("pull_request.number", 2**40),
        ("repository.full_name", None),
        ("repository.full_name", "../../etc"),
        ("repository", None),
        ("sender", None),
        ("pull_request.base", {}),
    ],
)
def test_a_payload_with_a_wrong_or_missing_field_is_refused_by_name(path: str, value: object) -> None:
    with pytest.raises(events.PayloadInvalid) as refused:
        asked("pull_request", changed(PULL, path, value))
    assert str(refused.value)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff\xfe", b'"text"', b"[" * 100_000])
def test_what_is_not_a_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(events.PayloadInvalid):
        events.read("issues", body, trigger_label=LABEL)


@given(st.sampled_from(["issues", "pull_request", "check_run", "check_suite", "ping", "push"]), json_values)
def test_any_json_is_read_or_refused_but_never_breaks_the_reader(event: str, payload: object) -> None:
    try:
        asked(event, payload)
    except events.PayloadInvalid:
        return


@given(
    st.sampled_from(
        ["pull_request.head.sha", "pull_request.title", "pull_request.updated_at", "sender.login", "repository", "action"]
    ),
    json_values,
)
def test_any_value_in_a_field_that_is_read_is_accepted_or_refused(path: str, value: object) -> None:
    try:
        asked("pull_request", changed(PULL, path, value))
    except events.PayloadInvalid:
        return
