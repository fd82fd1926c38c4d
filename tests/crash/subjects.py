"""What is asked of Booty while it is being broken, and how each of it ends when nothing is."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.crash.service import LOCKED, REPOSITORY, CrashStack
from tests.demo.scenes import LABEL
from tests.repositories import CALCULATOR

_numbers = itertools.count(1)


@dataclass
class Subject:
    """An issue or a pull request; `state` and `code` are how its run ends undisturbed."""

    name: str
    kind: str
    repository: str
    number: int
    state: str
    code: str = ""
    head_sha: str = ""


def _job(name: str, repository: str, title: str, state: str, code: str = "") -> Callable[[CrashStack], Subject]:
    def open_issue(stack: CrashStack) -> Subject:
        issue = stack.github.open_issue(repository, title, "", by="ada", labels=[LABEL])
        return Subject(name, "job", repository, issue.number, state, code)

    return open_issue


def _pull(
    name: str, repository: str, files: dict[str, str | None], state: str, code: str = ""
) -> Callable[[CrashStack], Subject]:
    def open_pull(stack: CrashStack) -> Subject:
        branch = f"branch-{next(_numbers)}"
        sha = stack.github.push(repository, branch, {**files, f"{branch}.md": "A note.\n"}, by="ada")
        pull = stack.github.open_pull(repository, branch, "main", f"Merge {branch}", "", by="ada")
        return Subject(name, "verification", repository, pull.number, state, code, sha)

    return open_pull


RED = CALCULATOR.replace("a * b", "a ** b")
MAKERS: dict[str, Callable[[CrashStack], Subject]] = {
    "good_job": _job("good_job", REPOSITORY, "Teach it to subtract", "succeeded"),
    "slow_job": _job("slow_job", REPOSITORY, "Teach it to subtract slowly", "succeeded"),
    "idle_job": _job("idle_job", REPOSITORY, "Change nothing", "failed", "no_changes"),
    "locked_job": _job("locked_job", LOCKED, "Teach it to subtract", "errored", "workspace_unavailable"),
    "good_pull": _pull("good_pull", REPOSITORY, {}, "succeeded"),
    "red_pull": _pull("red_pull", REPOSITORY, {"calculator.py": RED}, "failed", "tests_failed"),
    "locked_pull": _pull("locked_pull", LOCKED, {}, "errored", "workspace_unavailable"),
}
TABLES = {
    "job": ("jobs_job", "issue_number", "jobs_jobnotice"),
    "verification": ("verifier_verificationrun", "pull_number", "verifier_verificationnotice"),
}


def runs_of(ask: Callable[..., list[dict[str, Any]]], subject: Subject) -> list[dict[str, Any]]:
    """Return the rows of a subject, each with its owed notices counted."""
    table, number, notices = TABLES[subject.kind]
    owed = f"(SELECT count(*) FROM {notices} n WHERE n.run_id = r.id AND n.state <> 'sent') AS unsent"
    query = f"SELECT r.*, {owed} FROM {table} r WHERE repository = ? AND {number} = ? ORDER BY created_at"
    return ask(query, subject.repository, subject.number)


def follow_ups(stack: CrashStack, subjects: list[Subject]) -> list[Subject]:
    """Return the pull requests that Jobs of these subjects opened: each is verified like any other."""
    found = []
    for subject in subjects:
        if subject.kind != "job":
            continue
        branch = f"agent/issue-{subject.number}"
        for pull in stack.github.pulls(subject.repository):
            if pull.head_ref == branch:
                found.append(
                    Subject("agent_pull", "verification", subject.repository, pull.issue.number, "succeeded", "", pull.head_sha)
                )
    return found


def answered_run(answer: str) -> str:
    """Return the id of the run that a webhook's answer names, an empty text when it names none."""
    try:
        return str(json.loads(answer).get("run", ""))
    except ValueError:
        return ""
