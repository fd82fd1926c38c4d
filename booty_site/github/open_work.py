"""What is open on GitHub right now and asks for a run, whether or not a webhook told of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from booty_site.github.client import GitHub, refusals
from booty_site.github.events import FOUND, IssueLabelled, PullRequestChanged

# The newest so many of each are looked at: what is older was looked at before.
NEWEST = 100


def open_pulls(github: GitHub) -> Iterator[PullRequestChanged]:
    """Yield the heads of a repository's open pull requests. Raises GitHubRefused."""
    with refusals("listing open pull requests"):
        pulls = github.repository.get_pulls(state="open", sort="updated", direction="desc")
        for pull in islice(pulls, NEWEST):
            yield PullRequestChanged(
                repository=github.full_name,
                sender=pull.user.login if pull.user else "",
                action=FOUND,
                number=pull.number,
                title=pull.title,
                head_sha=pull.head.sha,
                head_branch=pull.head.ref,
                head_repository=(pull.head.raw_data.get("repo") or {}).get("full_name", ""),
                base_sha=pull.base.sha,
                base_branch=pull.base.ref,
                updated_at=pull.updated_at or datetime.now(UTC),
            )


def labelled_issues(github: GitHub, label: str) -> Iterator[IssueLabelled]:
    """Yield a repository's open issues with a label; who put it on is another question. Raises GitHubRefused."""
    with refusals("listing labelled issues"):
        issues = github.repository.get_issues(state="open", labels=[label], sort="updated", direction="desc")
        for issue in islice(issues, NEWEST):
            if issue.pull_request is None:
                yield IssueLabelled(
                    repository=github.full_name,
                    sender="",
                    number=issue.number,
                    title=issue.title,
                    body=issue.body or "",
                    label=label,
                    default_branch=github.repository.default_branch,
                    found=True,
                )


@dataclass(frozen=True)
class IssueState:
    """What an issue is now."""

    is_open: bool
    labels: frozenset[str]
    updated_at: datetime

    def has_label(self, name: str) -> bool:
        return name.casefold() in self.labels


def issue_state(github: GitHub, number: int) -> IssueState:
    """Return what an issue is now, as GitHub says when asked. Raises GitHubRefused."""
    with refusals(f"reading issue #{number}"):
        issue = github.repository.get_issue(number)
        labels = frozenset(label.name.casefold() for label in issue.labels)
        return IssueState(issue.state == "open", labels, issue.updated_at or datetime.now(UTC))


def labelled_by(github: GitHub, number: int, label: str) -> tuple[str, datetime | None]:
    """Return who put a label on an issue last, and when; an empty text when GitHub does not say. Raises GitHubRefused."""
    by, at = "", None
    with refusals(f"asking who labelled #{number}"):
        for event in github.repository.get_issue(number).get_events():
            if event.event == "labeled" and event.label and event.label.name.casefold() == label.casefold():
                by, at = event.actor.login if event.actor else "", event.created_at
    return by, at
