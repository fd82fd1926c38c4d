"""The invariant, read from the servers' own records: one terminal row, its outcome on GitHub, and one event iff it errored."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.crash.service import CrashStack
from tests.crash.subjects import TABLES, Subject, answered_run, runs_of
from tests.doubles.github import Comment

TERMINAL = ("succeeded", "failed", "errored", "cancelled", "superseded")
TITLES = {
    "succeeded": "Booty opened a pull request",
    "failed": "Booty could not resolve this issue",
    "errored": "Booty failed",
}
MARK = b"BOOTY_COMMAND_MARK="


def settled(stack: CrashStack, subjects: list[Subject]) -> bool:
    """Tell whether every subject's run has ended and nothing is owed any more."""
    if not stack.github.wait_for_deliveries(0.01):
        return False
    with stack.database() as ask:
        return all(
            rows and all(row["state"] in TERMINAL and not row["unsent"] for row in rows)
            for rows in (runs_of(ask, subject) for subject in subjects)
        )


def progress(stack: CrashStack) -> int:
    """Return a number that grows while runs end and notices are sent; -1 while the database is away."""
    queries = (
        *(f"SELECT count(*) AS n FROM {table} WHERE finished_at IS NOT NULL" for table, _, _ in TABLES.values()),
        *(f"SELECT count(*) AS n FROM {notices} WHERE state = 'sent'" for _, _, notices in TABLES.values()),
    )
    try:
        with stack.database() as ask:
            return sum(int(ask(query)[0]["n"]) for query in queries)
    except Exception:  # noqa: BLE001  (two kinds of database, each with errors of its own)
        return -1


@dataclass(frozen=True)
class Seen:
    """How long the servers' records were before a fault."""

    deliveries: int
    violations: int
    errors: int
    events: int

    @classmethod
    def now(cls, stack: CrashStack) -> Seen:
        github = stack.github
        return cls(len(github.deliveries), len(github.violations), len(github.errors), len(stack.sentry.events()))


def violations(stack: CrashStack, subjects: list[Subject], seen: Seen, *, ends_may_differ: bool) -> Iterator[str]:
    """Yield every breach of the invariant, in words.

    With `ends_may_differ` a run may also have ended as errored instead, consistently: the fault was an error of
    Booty's own.
    """
    events = stack.sentry.distinct()
    by_run: dict[str, list[dict[str, Any]]] = {}
    for copies in events.values():
        by_run.setdefault(str((copies[0].get("tags") or {}).get("job_id", "")), []).append(copies[0])
    with stack.database() as ask:
        for subject in subjects:
            rows = runs_of(ask, subject)
            for complaint in _subject(stack, subject, rows, by_run, ends_may_differ=ends_may_differ):
                yield f"{subject.name} {subject.repository}#{subject.number}: {complaint}"
    yield from _untagged(stack.sentry.events()[seen.events :])
    yield from (f"a request does not fit GitHub's description: {text}" for text in stack.github.violations[seen.violations :])
    yield from (f"the double of GitHub failed: {text}" for text in stack.github.errors[seen.errors :])


def lost_deliveries(stack: CrashStack) -> Iterator[str]:
    """Yield every delivery that was answered with 202 but whose run is not there."""
    with stack.database() as ask:
        known = {str(UUID(str(row["id"]))) for table in ("jobs_job", "verifier_verificationrun") for row in _ids(ask, table)}
    for hook in stack.github.deliveries:
        if hook.status == 202 and answered_run(hook.answer) not in known:
            yield f"delivery {hook.delivery_id} was answered with 202, but its run is not there"


def leftovers(stack: CrashStack) -> list[str]:
    """Return what runs left on this machine: processes and folders."""
    left = [f"folder {path.name}" for path in stack.runs_folder.iterdir()]
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                environment = Path("/proc", name, "environ").read_bytes()
            except OSError:
                continue
            if MARK in environment and str(stack.runs_folder).encode() in environment:
                left.append(f"process {name}")
    return left


def _ids(ask: Callable[..., list[dict[str, Any]]], table: str) -> list[dict[str, Any]]:
    return ask(f"SELECT id FROM {table}")


def _subject(
    stack: CrashStack,
    subject: Subject,
    rows: list[dict[str, Any]],
    events: dict[str, list[dict[str, Any]]],
    *,
    ends_may_differ: bool,
) -> Iterator[str]:
    if subject.head_sha:
        # A Job that was tried again pushes again: what counts is the verdict on the head there is now.
        rows = [row for row in rows if row["head_sha"] == subject.head_sha]
    if len(rows) != 1:
        yield f"{len(rows)} rows instead of one: {[row['state'] for row in rows]}"
        return
    row = rows[0]
    run_id, state, code = str(UUID(str(row["id"]))), row["state"], row["failure_code"]
    if state not in TERMINAL:
        yield f"its row is still {state}, attempt {row['attempt']}, {row['setback']}"
        return
    if row["unsent"]:
        yield f"{row['unsent']} notices are still owed"
    if (state, code) != (subject.state, subject.code) and not (ends_may_differ and state == "errored"):
        yield f"it ended {state} {code} instead of {subject.state} {subject.code}: {row['summary']} {row['error_detail'][-300:]}"
    event = ""
    found = events.get(run_id, [])
    if len(found) != (1 if state == "errored" else 0):
        yield f"{len(found)} Sentry events for a run that ended {state}"
    elif found:
        event = str(found[0]["event_id"])
        yield from _event(subject, row, found[0])
    if subject.kind == "job":
        yield from _job(stack, subject, row, run_id, event)
    else:
        yield from _verification(stack, subject, row, run_id, event)


def _event(subject: Subject, row: dict[str, Any], event: dict[str, Any]) -> Iterator[str]:
    if row["sentry_event_id"] != event["event_id"]:
        yield f"its row names the event {row['sentry_event_id']!r} instead of {event['event_id']}"
    number = "issue_number" if subject.kind == "job" else "pr_number"
    wanted = {"repository": subject.repository, number: str(subject.number)}
    tags = event.get("tags") or {}
    if any(tags.get(name) != value for name, value in wanted.items()):
        yield f"its event's tags are {tags}"


def _own(stack: CrashStack, subject: Subject) -> list[Comment]:
    return [comment for comment in stack.github.comments(subject.repository, subject.number) if comment.by_app]


def _names(body: str, run_id: str, event: str) -> Iterator[str]:
    if run_id not in body:
        yield f"a comment does not name the run: {body[:200]!r}"
    if event and event not in body:
        yield f"a comment does not name the event: {body[:300]!r}"


def _job(stack: CrashStack, subject: Subject, row: dict[str, Any], run_id: str, event: str) -> Iterator[str]:
    comments = _own(stack, subject)
    status = [comment for comment in comments if comment.body.startswith("<!-- booty:status -->")]
    outcome = [comment for comment in comments if comment.body.startswith(f"<!-- booty:job:{run_id} -->")]
    wanted = 1 if row["state"] in ("failed", "errored") else 0
    if (len(status), len(outcome), len(comments)) != (1, wanted, 1 + wanted):
        yield f"{len(status)} status and {len(outcome)} outcome comments of {len(comments)}, instead of 1 and {wanted}"
        return
    for comment in comments:
        yield from _names(comment.body, run_id, event)
    if TITLES.get(row["state"], "") not in status[0].body:
        yield f"the status comment does not tell that it {row['state']}: {status[0].body[:200]!r}"
    if row["status_comment_id"] != status[0].id:
        yield f"the row names the status comment {row['status_comment_id']} instead of {status[0].id}"
    if outcome and row["outcome_comment_id"] != outcome[0].id:
        yield f"the row names the outcome comment {row['outcome_comment_id']} instead of {outcome[0].id}"
    if outcome and row["outcome_comment_url"] not in status[0].body:
        yield "the status comment does not link the outcome"
    branch = f"agent/issue-{subject.number}"
    pulls = [pull for pull in stack.github.pulls(subject.repository) if pull.head_ref == branch]
    if len(pulls) > 1 or (row["state"] == "succeeded" and len(pulls) != 1):
        yield f"{len(pulls)} pull requests"
    if row["state"] == "succeeded" and pulls and (pulls[0].draft or row["pull_number"] != pulls[0].issue.number):
        yield "its pull request is a draft, or not the one that the row names"


def _verification(stack: CrashStack, subject: Subject, row: dict[str, Any], run_id: str, event: str) -> Iterator[str]:
    checks = stack.github.check_runs(subject.repository, subject.head_sha, "booty/verifier")
    conclusion = "success" if row["state"] == "succeeded" else "failure"
    if len(checks) != 1:
        yield f"{len(checks)} checks instead of one"
        return
    if (checks[0].external_id, checks[0].status, checks[0].conclusion) != (run_id, "completed", conclusion):
        yield f"its check is {checks[0].status} {checks[0].conclusion} instead of completed {conclusion}"
    if row["check_run_id"] != checks[0].id:
        yield f"the row names the check {row['check_run_id']} instead of {checks[0].id}"
    if event and event not in str(checks[0].summary):
        yield f"the check does not name the event: {checks[0].summary!r}"
    comments = _own(stack, subject)
    if len(comments) != (1 if row["state"] in ("failed", "errored") else 0):
        yield f"{len(comments)} comments for a run that ended {row['state']}"
    for comment in comments:
        yield from _names(comment.body, run_id, event)
        if row["comment_id"] != comment.id:
            yield f"the row names the comment {row['comment_id']} instead of {comment.id}"


def _untagged(events: list[dict[str, Any]]) -> Iterator[str]:
    for event in events:
        kinds = [value.get("type") for value in (event.get("exception") or {}).get("values") or []]
        # What the web server or a reconciler meets is no run's; a run's own error must carry its tags.
        if not event.get("tags") and event.get("transaction", "").startswith(("jobs.tasks", "verifier.tasks")):
            yield f"an event without tags from a work horse: {kinds}"
