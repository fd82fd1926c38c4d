"""Pull requests: what is asked of one, and the one that Booty opens for an issue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from github import GithubException
from github.PullRequest import PullRequest

from booty_site import fence
from booty_site.github.client import GitHub, refusals

UNPROCESSABLE = 422


@dataclass(frozen=True)
class OpenPull:
    number: int
    url: str
    draft: bool


@dataclass(frozen=True)
class PullState:
    """What a pull request is now."""

    is_open: bool
    head_sha: str
    head_branch: str
    head_repository: str
    base_sha: str
    base_branch: str
    title: str
    updated_at: datetime


def state_of(github: GitHub, number: int) -> PullState:
    """Return what a pull request is now, as GitHub says when asked."""
    with refusals(f"reading pull request #{number}"):
        pull = github.repository.get_pull(number)
        head_repository = (pull.head.raw_data.get("repo") or {}).get("full_name", "")
        return PullState(
            is_open=pull.state == "open",
            head_sha=pull.head.sha,
            head_branch=pull.head.ref,
            head_repository=head_repository,
            base_sha=pull.base.sha,
            base_branch=pull.base.ref,
            title=pull.title,
            updated_at=pull.updated_at or datetime.now(UTC),
        )


def put_draft(github: GitHub, branch: str, base: str, title: str, body: str) -> OpenPull:
    """Open the draft pull request of a branch, or update the open one there is."""
    with refusals("opening the pull request"):
        pull = _find(github, branch)
        if pull is None:
            fence.require()
            try:
                pull = github.repository.create_pull(base=base, head=branch, title=title, body=body, draft=True)
            except GithubException as error:
                # An answer that was lost on the way leaves a pull request that a second try collides with.
                pull = _find(github, branch) if error.status == UNPROCESSABLE else None
                if pull is None:
                    raise
        elif (pull.title, pull.body) != (title, body):
            fence.require()
            pull.edit(title=title, body=body)
        return OpenPull(pull.number, pull.html_url, pull.draft)


def mark_ready(github: GitHub, number: int) -> None:
    """Turn a draft into a pull request that is ready for review; one that is ready stays as it is."""
    with refusals(f"marking pull request #{number} as ready"):
        pull = github.repository.get_pull(number)
        if pull.draft:
            fence.require()
            pull.mark_ready_for_review()


def _find(github: GitHub, branch: str) -> PullRequest | None:
    owner = github.full_name.split("/", 1)[0]
    return next(iter(github.repository.get_pulls(state="open", head=f"{owner}:{branch}")), None)
