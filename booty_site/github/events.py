"""From a webhook's payload to what was asked: only the fields that are read are modelled.

GitHub's payloads carry hundreds of fields and gain new ones; whatever is not named here is ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, TypeVar

import msgspec

T = TypeVar("T")

REPOSITORY_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}\Z")
COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
CHECK_NAME = "booty/verifier"
EARLIEST_YEAR, LATEST_YEAR = 2008, 2999
# The action of what was found open on GitHub, without a webhook.
FOUND = "found"
PULL_ACTIONS = ("opened", "synchronize", "reopened", "ready_for_review")


class PayloadInvalid(Exception):
    """The payload lacks something that its event must have; the text names it."""


@dataclass(frozen=True)
class Ping:
    """GitHub asks whether anyone listens."""


@dataclass(frozen=True)
class Nothing:
    """Nothing was asked of Booty, for this reason."""

    reason: str


@dataclass(frozen=True)
class IssueLabelled:
    repository: str
    sender: str
    number: int
    title: str
    body: str
    label: str
    default_branch: str
    labelled_at: datetime | None = None
    found: bool = False


@dataclass(frozen=True)
class IssueWithdrawn:
    """An issue was closed or lost the trigger label: it is not to be worked on any more. `how` says which."""

    repository: str
    sender: str
    number: int
    how: str
    at: datetime | None


@dataclass(frozen=True)
class PullRequestClosed:
    repository: str
    sender: str
    number: int
    at: datetime


@dataclass(frozen=True)
class PullRequestChanged:
    repository: str
    sender: str
    action: str
    number: int
    title: str
    head_sha: str
    head_branch: str
    head_repository: str
    base_sha: str
    base_branch: str
    updated_at: datetime

    @property
    def from_fork(self) -> bool:
        return self.head_repository.lower() != self.repository.lower()


@dataclass(frozen=True)
class RerunRequested:
    """Someone pressed "Re-run" on our check or on all of our checks."""

    repository: str
    sender: str
    event: str
    head_sha: str
    pull_number: int | None


Asked = Ping | Nothing | IssueLabelled | IssueWithdrawn | PullRequestChanged | PullRequestClosed | RerunRequested


class _Named(msgspec.Struct):
    login: str


class _Repository(msgspec.Struct):
    full_name: str
    default_branch: str = ""


class _Label(msgspec.Struct):
    name: str


class _Issue(msgspec.Struct):
    number: int
    title: str
    body: str | None = None
    state: str = "open"
    pull_request: dict[str, object] | None = None
    updated_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class _Ref(msgspec.Struct):
    sha: str
    ref: str
    repo: _Repository | None = None


class _Pull(msgspec.Struct):
    number: int
    title: str
    head: _Ref
    base: _Ref
    updated_at: Annotated[datetime, msgspec.Meta(tz=True)]


class _PullNumber(msgspec.Struct):
    number: int


class _Check(msgspec.Struct):
    head_sha: str
    name: str = CHECK_NAME
    pull_requests: list[_PullNumber] = []


class _Envelope(msgspec.Struct):
    repository: _Repository | None = None
    sender: _Named | None = None
    action: str = ""


class _IssuesEvent(msgspec.Struct):
    repository: _Repository
    sender: _Named
    issue: _Issue
    label: _Label | None = None


class _PullRequestEvent(msgspec.Struct):
    repository: _Repository
    sender: _Named
    pull_request: _Pull


class _CheckRunEvent(msgspec.Struct):
    repository: _Repository
    sender: _Named
    check_run: _Check


class _CheckSuiteEvent(msgspec.Struct):
    repository: _Repository
    sender: _Named
    check_suite: _Check


@dataclass(frozen=True)
class Origin:
    """Where a delivery came from, as far as its payload says."""

    repository: str
    sender: str


def read(event: str, payload: bytes, *, trigger_label: str) -> tuple[Asked, Origin]:
    """Return what a payload of an event asks for, and where it came from. Raises PayloadInvalid."""
    envelope = _decode(payload, _Envelope)
    origin = Origin(
        envelope.repository.full_name if envelope.repository else "",
        envelope.sender.login if envelope.sender else "",
    )
    return _asked(event, envelope.action, payload, trigger_label), origin


def _asked(event: str, action: str, payload: bytes, trigger_label: str) -> Asked:
    if event == "ping":
        return Ping()
    if event == "issues" and action == "labeled":
        return _issue_labelled(_decode(payload, _IssuesEvent), trigger_label)
    if event == "issues" and action in ("closed", "unlabeled"):
        return _issue_withdrawn(_decode(payload, _IssuesEvent), action, trigger_label)
    if event == "pull_request" and action == "closed":
        closed = _decode(payload, _PullRequestEvent)
        pull = closed.pull_request
        return PullRequestClosed(_repository(closed.repository), closed.sender.login, _number(pull.number), pull.updated_at)
    if event == "pull_request" and action in PULL_ACTIONS:
        return _pull_changed(_decode(payload, _PullRequestEvent), action)
    if event == "check_run" and action == "rerequested":
        check_event = _decode(payload, _CheckRunEvent)
        if check_event.check_run.name != CHECK_NAME:
            return Nothing(f"the check is not {CHECK_NAME}")
        return _rerun(check_event.repository, check_event.sender, event, check_event.check_run)
    if event == "check_suite" and action == "rerequested":
        suite_event = _decode(payload, _CheckSuiteEvent)
        return _rerun(suite_event.repository, suite_event.sender, event, suite_event.check_suite)
    return Nothing(f"event {event}{'.' if action else ''}{action} is not one that Booty acts on"[:200])


def _issue_labelled(event: _IssuesEvent, trigger_label: str) -> Asked:
    if event.label is None or event.label.name.casefold() != trigger_label.casefold():
        return Nothing(f"the label is not {trigger_label}")
    if event.issue.pull_request is not None:
        return Nothing("the label is on a pull request, not on an issue")
    if event.issue.state != "open":
        return Nothing("the issue is closed")
    return IssueLabelled(
        repository=_repository(event.repository),
        sender=event.sender.login,
        number=_number(event.issue.number),
        title=event.issue.title,
        body=event.issue.body or "",
        label=event.label.name,
        default_branch=event.repository.default_branch,
        # GitHub does not say when the label was put on; the issue's last change at that moment is just that.
        labelled_at=event.issue.updated_at,
    )


def _issue_withdrawn(event: _IssuesEvent, action: str, trigger_label: str) -> Asked:
    if action == "unlabeled" and (event.label is None or event.label.name.casefold() != trigger_label.casefold()):
        return Nothing(f"the label is not {trigger_label}")
    if event.issue.pull_request is not None:
        return Nothing("the label is on a pull request, not on an issue")
    how = "the issue was closed" if action == "closed" else f"the label {trigger_label} was removed"
    return IssueWithdrawn(
        _repository(event.repository), event.sender.login, _number(event.issue.number), how, event.issue.updated_at
    )


def _pull_changed(event: _PullRequestEvent, action: str) -> Asked:
    pull = event.pull_request
    if not EARLIEST_YEAR <= pull.updated_at.year <= LATEST_YEAR:
        raise PayloadInvalid("pull_request.updated_at is not a date of GitHub's time")
    return PullRequestChanged(
        repository=_repository(event.repository),
        sender=event.sender.login,
        action=action,
        number=_number(pull.number),
        title=pull.title,
        head_sha=_commit(pull.head.sha),
        head_branch=pull.head.ref,
        # A deleted fork has no repository any more.
        head_repository=_repository(pull.head.repo) if pull.head.repo else "",
        base_sha=_commit(pull.base.sha),
        base_branch=pull.base.ref,
        updated_at=pull.updated_at,
    )


def _rerun(repository: _Repository, sender: _Named, event: str, check: _Check) -> Asked:
    return RerunRequested(
        repository=_repository(repository),
        sender=sender.login,
        event=event,
        head_sha=_commit(check.head_sha),
        pull_number=_number(check.pull_requests[0].number) if check.pull_requests else None,
    )


def _decode(payload: bytes, form: type[T]) -> T:
    try:
        return msgspec.json.decode(payload, type=form)
    except msgspec.ValidationError as error:
        raise PayloadInvalid(str(error)) from None
    except (ValueError, RecursionError):
        raise PayloadInvalid("the body is not JSON") from None


def _repository(repository: _Repository) -> str:
    if not REPOSITORY_NAME.match(repository.full_name):
        raise PayloadInvalid("repository.full_name is not owner/name")
    return repository.full_name


def _commit(sha: str) -> str:
    if not COMMIT.match(sha):
        raise PayloadInvalid("a commit id is not 40 or 64 hexadecimal digits")
    return sha


def _number(number: int) -> int:
    if not 0 < number < 2**31:
        raise PayloadInvalid("a number is out of range")
    return number
