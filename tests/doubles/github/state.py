"""What the double remembers: plain records without behaviour of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

DEFAULT_PERMISSIONS: Mapping[str, str] = {
    "checks": "write",
    "contents": "write",
    "issues": "write",
    "metadata": "read",
    "pull_requests": "write",
    "statuses": "write",
}
DEFAULT_EVENTS = frozenset({"issues", "pull_request", "check_run", "check_suite", "ping"})


def now() -> str:
    """Return the time the way GitHub writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class AppIdentity:
    """A GitHub App that is installed once; ``public_key_pem`` checks its JWTs."""

    app_id: int
    public_key_pem: str
    installation_id: int
    slug: str = "booty"
    permissions: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_PERMISSIONS))
    token_seconds: int = 3600


@dataclass(frozen=True)
class WebhookTarget:
    """Where webhooks go, the secret they are signed with, and which ones."""

    url: str
    secret: str
    events: frozenset[str] = DEFAULT_EVENTS
    hook_id: int = 109948940
    timeout: float = 10.0


@dataclass(eq=False)
class User:
    """A person, a bot or the owner of repositories."""

    id: int
    login: str
    kind: str = "User"


@dataclass(eq=False)
class Label:
    """A label of one repository."""

    id: int
    name: str
    color: str = "ededed"


@dataclass(eq=False)
class Comment:
    """A comment on an issue or on a pull request's conversation."""

    id: int
    number: int
    user: User
    body: str
    by_app: bool
    created_at: str = field(default_factory=now)
    updated_at: str = field(default_factory=now)


@dataclass(eq=False)
class IssueEvent:
    """A label that was put on an issue (``labeled``) or taken off (``unlabeled``)."""

    id: int
    event: str
    actor: User
    label: Label
    by_app: bool
    created_at: str = field(default_factory=now)


@dataclass(eq=False)
class Issue:
    """An issue, or the issue side of a pull request."""

    id: int
    number: int
    title: str
    body: str | None
    user: User
    is_pull: bool = False
    state: str = "open"
    locked: bool = False
    labels: list[Label] = field(default_factory=list)
    events: list[IssueEvent] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    created_at: str = field(default_factory=now)
    updated_at: str = field(default_factory=now)
    closed_at: str | None = None

    @property
    def label_names(self) -> list[str]:
        """The names of the labels, in the order they were put on."""
        return [label.name for label in self.labels]


@dataclass(eq=False)
class Pull:
    """A pull request; what it shares with issues is in ``issue``."""

    id: int
    issue: Issue
    head_repo: Repository | None = field(repr=False)
    head_owner: str
    head_ref: str
    head_sha: str
    base_ref: str
    base_sha: str
    draft: bool = False
    merged_at: str | None = None
    maintainer_can_modify: bool = False

    @property
    def number(self) -> int:
        """The number, shared with issues."""
        return self.issue.number

    @property
    def title(self) -> str:
        """The title."""
        return self.issue.title

    @property
    def body(self) -> str | None:
        """The description."""
        return self.issue.body

    @property
    def state(self) -> str:
        """Open or closed."""
        return self.issue.state

    @property
    def comments(self) -> list[Comment]:
        """The comments of the conversation."""
        return self.issue.comments

    @property
    def node_id(self) -> str:
        """The name GraphQL knows it by."""
        return f"PR_kwDO{self.id:08x}"


@dataclass(eq=False)
class CheckSuite:
    """All check runs of the App for one commit."""

    id: int
    head_sha: str
    created_at: str = field(default_factory=now)


@dataclass(eq=False)
class CheckRun:
    """A check run; ``requests`` has each body that made or changed it."""

    id: int
    name: str
    head_sha: str
    suite: CheckSuite
    status: str = "queued"
    conclusion: str | None = None
    external_id: str = ""
    details_url: str | None = None
    started_at: str = field(default_factory=now)
    completed_at: str | None = None
    title: str | None = None
    summary: str | None = None
    text: str | None = None
    annotations: list[dict[str, Any]] = field(default_factory=list)
    actions: list[dict[str, Any]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)


@dataclass(eq=False)
class Status:
    """A commit status."""

    id: int
    sha: str
    state: str
    context: str
    description: str | None
    target_url: str | None
    creator: User
    created_at: str = field(default_factory=now)


@dataclass(eq=False)
class Repository:
    """A repository: its bare git repository and all GitHub keeps beside it."""

    id: int
    full_name: str
    owner: User
    path: Path
    default_branch: str
    parent: Repository | None = field(default=None, repr=False)
    installed: bool = True
    has_issues: bool = True
    private: bool = True
    issues: dict[int, Issue] = field(default_factory=dict, repr=False)
    pulls: dict[int, Pull] = field(default_factory=dict, repr=False)
    labels: dict[str, Label] = field(default_factory=dict, repr=False)
    check_runs: dict[int, CheckRun] = field(default_factory=dict, repr=False)
    suites: dict[str, CheckSuite] = field(default_factory=dict, repr=False)
    statuses: list[Status] = field(default_factory=list, repr=False)
    permissions: dict[str, str] = field(default_factory=dict)
    created_at: str = field(default_factory=now)
    pushed_at: str = field(default_factory=now)

    @property
    def name(self) -> str:
        """The name without the owner."""
        return self.full_name.split("/", 1)[1]
