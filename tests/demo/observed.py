"""What became of a scene: read from Booty's rows, from GitHub and from Sentry, and held against what must be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.demo.scenes import Expected, Sent
from tests.doubles.processes import wait_until
from tests.stack import Stack

RUN_SECONDS = 240


@dataclass
class Observed:
    """One line of the demo's table. Durations are in seconds."""

    title: str
    sent: Sent
    run_id: str = ""
    state: str = ""
    verdict: str = ""
    told: str = ""
    event_id: str = ""
    page: str = ""
    run_seconds: float | None = None
    told_seconds: float | None = None
    complaints: list[str] = field(default_factory=list)


def observe(stack: Stack, title: str, sent: Sent, expected: Expected) -> Observed:
    """Wait until a scene's run has ended and everything was told, and compare."""
    observed = Observed(title, sent)
    if sent.status != expected.status:
        observed.complaints.append(f"answered {sent.status} instead of {expected.status}: {sent.answer}")
    if sent.status != 202:
        observed.verdict = str(sent.answer.get("reason", ""))
        return observed
    run = settled_run(sent.answer["run"])
    observed.run_id, observed.state, observed.page = str(run.pk), run.state, run.page_url
    observed.verdict = getattr(run, "verdict", "") or ""
    if run.failure_code:
        observed.verdict = run.failure_code
    observed.run_seconds = run.duration.total_seconds()
    observed.event_id = run.sentry_event_id
    last = max(notice.sent_at for notice in run.notices.all())
    observed.told_seconds = (last - run.finished_at).total_seconds()
    observed.complaints += list(_compare(stack, run, observed, expected))
    return observed


def settled_run(run_id: str) -> Any:
    """Return a run's row once it is terminal and owes nothing any more."""
    from booty_site.runs import kinds

    models = [kind.model for kind in kinds.all_kinds()]

    def find() -> Any:
        return next(run for model in models for run in model._default_manager.filter(pk=run_id))

    wait_until(lambda: find().is_terminal, f"run {run_id} to end", RUN_SECONDS)
    wait_until(lambda: not find().notices.exclude(state="sent").exists(), f"the notices of run {run_id}", RUN_SECONDS)
    return find()


def _compare(stack: Stack, run: Any, observed: Observed, expected: Expected) -> Iterator[str]:
    if run.state != expected.state:
        yield f"the run ended {run.state} instead of {expected.state}: {run.summary}"
    if expected.verdict and run.verdict != expected.verdict:
        yield f"the verdict is {run.verdict} instead of {expected.verdict}"
    if run.failure_code != expected.code:
        yield f"the failure code is {run.failure_code!r} instead of {expected.code!r}"
    if run.kind == "verification":
        yield from _compare_check(stack, run, observed, expected)
    else:
        yield from _compare_issue(stack, run, observed, expected)
    yield from _compare_sentry(stack, run, expected)


def _compare_check(stack: Stack, run: Any, observed: Observed, expected: Expected) -> Iterator[str]:
    checks = stack.github.check_runs(run.repository, run.head_sha, "booty/verifier")
    if len(checks) != 1:
        yield f"{len(checks)} checks instead of one"
        return
    observed.told = f"check: {checks[0].conclusion}"
    if checks[0].conclusion != expected.check:
        yield f"the check is {checks[0].conclusion} instead of {expected.check}"
    comments = [comment.body for comment in stack.github.comments(run.repository, run.pull_number)]
    wanted = 1 if run.state in ("failed", "errored") else 0
    if len(comments) != wanted:
        yield f"{len(comments)} comments instead of {wanted}"
    if wanted:
        observed.told += ", comment"
    for text in expected.told:
        if text not in f"{checks[0].title} {checks[0].summary} {checks[0].text}":
            yield f"the check does not say {text!r}"
        if any(text not in body for body in comments):
            yield f"the comment does not say {text!r}"


def _compare_issue(stack: Stack, run: Any, observed: Observed, expected: Expected) -> Iterator[str]:
    comments = [comment.body for comment in stack.github.comments(run.repository, run.issue_number)]
    wanted = 2 if run.state in ("failed", "errored") else 1
    if len(comments) != wanted:
        yield f"{len(comments)} comments instead of {wanted}"
    observed.told = "status and outcome comment" if wanted == 2 else "status comment"
    for text in expected.told:
        if not any(text in body for body in comments):
            yield f"no comment says {text!r}"
    if run.state == "succeeded":
        pull = stack.github.pull(run.repository, run.pull_number)
        observed.told = f"pull request #{run.pull_number}, {observed.told}"
        if pull.draft:
            yield "the pull request is still a draft"


def _compare_sentry(stack: Stack, run: Any, expected: Expected) -> Iterator[str]:
    if stack.environment["SENTRY_DSN"] != stack.sentry.dsn:
        return  # the operator's own Sentry, which is not ours to read
    events = [event for event in stack.sentry.events() if (event.get("tags") or {}).get("job_id") == str(run.pk)]
    if len(events) != int(expected.sentry):
        yield f"{len(events)} Sentry events instead of {int(expected.sentry)}"
    if expected.sentry and events and events[0]["event_id"] != run.sentry_event_id:
        yield "the row does not name the Sentry event"
