"""Tiny pages for people who follow the links during a demonstration."""

from __future__ import annotations

import html
import re

from tests.doubles.github.pulls import World
from tests.doubles.github.state import Issue, Pull, Repository

PAGE = re.compile(r"/(?P<owner>[^/]+)/(?P<name>[^/]+?)/(?P<kind>pull|issues)/(?P<number>\d+)/?")
FRONT = re.compile(r"/(?P<owner>[^/]+)/(?P<name>[^/]+?)/?")
RUN = re.compile(r"/(?P<owner>[^/]+)/(?P<name>[^/]+)/runs/(?P<number>\d+)/?")
COMMIT = re.compile(r"/(?P<owner>[^/]+)/(?P<name>[^/]+)/commit/(?P<sha>[0-9a-f]{40})/?")
STYLE = (
    "body{font-family:sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}"
    "article{border:1px solid #ccc;border-radius:6px;padding:.2rem 1rem;margin:1rem 0}"
    "pre{white-space:pre-wrap}"
)


def page(world: World, path: str) -> str | None:
    """Return the page at a path, or None when there is none; the lock is held."""
    if path == "/":
        names = [repository.full_name for repository in world.repositories.values()]
        links = "".join(f"<li>{_link('/' + name, name)}</li>" for name in names)
        return _frame("Repositories", f"<ul>{links}</ul>")
    for pattern, build in ((PAGE, _issue), (RUN, _run), (COMMIT, _commit), (FRONT, _front)):
        match = pattern.fullmatch(path)
        if match:
            repository = world.repositories.get(f"{match['owner']}/{match['name']}".lower())
            return build(repository, match) if repository else None
    return None


def _frame(title: str, body: str) -> str:
    safe = html.escape(title)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{safe}</title><style>{STYLE}</style><h1>{safe}</h1>{body}</html>"
    )


def _link(target: str, text: str) -> str:
    return f'<a href="{html.escape(target)}">{html.escape(text)}</a>'


def _block(heading: str, text: str | None, anchor: str = "") -> str:
    name = f' id="{anchor}"' if anchor else ""
    return f"<article{name}><h3>{html.escape(heading)}</h3><pre>{html.escape(text or '')}</pre></article>"


def _issue(repository: Repository, match: re.Match[str]) -> str | None:
    issue = repository.issues.get(int(match["number"]))
    if issue is None:
        return None
    pull = repository.pulls.get(issue.number)
    parts = [f"<p>{html.escape(_state_words(issue, pull))}</p>"]
    parts.append(_block(issue.user.login, issue.body))
    parts += [_block(comment.user.login, comment.body, f"issuecomment-{comment.id}") for comment in issue.comments]
    if pull is not None:
        parts.append(_checks(repository, pull.head_sha))
    return _frame(f"{issue.title} #{issue.number}", "".join(parts))


def _state_words(issue: Issue, pull: Pull | None) -> str:
    words = [issue.state]
    if pull is not None:
        words[0] = "merged" if pull.merged_at else issue.state
        words.append("draft" if pull.draft else "ready for review")
        words.append(f"{pull.head_owner}:{pull.head_ref} into {pull.base_ref}")
        words.append(f"head {pull.head_sha}")
    if issue.labels:
        words.append("labels: " + ", ".join(issue.label_names))
    return " · ".join(words)


def _checks(repository: Repository, sha: str) -> str:
    rows = []
    for run in repository.check_runs.values():
        if run.head_sha == sha:
            words = f"{run.name}: {run.conclusion or run.status} {run.title or ''}"
            rows.append(_link(f"/{repository.full_name}/runs/{run.id}", words))
    for status in repository.statuses:
        if status.sha == sha:
            words = f"{status.context}: {status.state} {status.description or ''}"
            rows.append(html.escape(words))
    return "<h2>Checks</h2><ul>" + "".join(f"<li>{row}</li>" for row in rows) + "</ul>"


def _run(repository: Repository, match: re.Match[str]) -> str | None:
    run = repository.check_runs.get(int(match["number"]))
    if run is None:
        return None
    state = f"<p>{html.escape(run.conclusion or run.status)} · {run.head_sha}</p>"
    details = _link(run.details_url, "Details") if run.details_url else ""
    texts = _block(run.title or run.name, run.summary) + _block("Details", run.text)
    return _frame(run.name, state + texts + details)


def _commit(repository: Repository, match: re.Match[str]) -> str:
    return _frame(match["sha"], _checks(repository, match["sha"]))


def _front(repository: Repository, _: re.Match[str]) -> str:
    rows = []
    for issue in repository.issues.values():
        kind = "pull" if issue.is_pull else "issues"
        target = f"/{repository.full_name}/{kind}/{issue.number}"
        words = f"#{issue.number} {issue.title} ({issue.state})"
        rows.append(f"<li>{_link(target, words)}</li>")
    return _frame(repository.full_name, f"<ul>{''.join(rows)}</ul>")
