"""Comments: one for each purpose, looked up before it is made, edited in place."""

from __future__ import annotations

from dataclasses import dataclass

from github import UnknownObjectException
from github.IssueComment import IssueComment

from booty_site import fence
from booty_site.github.client import GitHub, refusals

MAX_LENGTH = 65_536


@dataclass(frozen=True)
class Posted:
    id: int
    url: str


def marker(purpose: str) -> str:
    """Return the hidden line by which a comment of a purpose is found again."""
    return f"<!-- booty:{purpose} -->"


def put(github: GitHub, number: int, purpose: str, body: str, *, known_id: int | None = None) -> Posted:
    """Make or edit the comment of a purpose on an issue or pull request; doing it twice does no harm.

    It is found by `known_id`, or by its marker among the comments that Booty itself wrote.
    """
    text = f"{marker(purpose)}\n{body}"[:MAX_LENGTH]
    with refusals(f"commenting on #{number}"):
        comment = _find(github, number, purpose, known_id)
        if comment is None or comment.body != text:
            fence.require()
        if comment is None:
            comment = github.repository.get_issue(number).create_comment(text)
        elif comment.body != text:
            comment.edit(text)
        return Posted(comment.id, comment.html_url)


def _find(github: GitHub, number: int, purpose: str, known_id: int | None) -> IssueComment | None:
    issue = github.repository.get_issue(number)
    if known_id is not None:
        comment = issue.get_comment(known_id)
        try:
            comment.complete()
        except UnknownObjectException:
            pass  # someone deleted it; there may be another
        else:
            return comment
    first_line = marker(purpose)
    for comment in issue.get_comments():
        if comment.body.startswith(first_line) and comment.user.login == github.login:
            return comment
    return None
