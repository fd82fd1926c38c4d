"""A stateful double of GitHub: REST, GraphQL, webhooks and git over real HTTP."""

from tests.doubles.github.double import GitHubDouble
from tests.doubles.github.hooks import sign
from tests.doubles.github.records import DeliveredHook, RecordedRequest
from tests.doubles.github.state import (
    AppIdentity,
    CheckRun,
    Comment,
    Issue,
    IssueEvent,
    Pull,
    Repository,
    Status,
    User,
    WebhookTarget,
)

__all__ = [
    "AppIdentity",
    "CheckRun",
    "Comment",
    "DeliveredHook",
    "GitHubDouble",
    "Issue",
    "IssueEvent",
    "Pull",
    "RecordedRequest",
    "Repository",
    "Status",
    "User",
    "WebhookTarget",
    "sign",
]
