"""Every sentence that a reader of a pull request meets, as functions of plain values."""

from __future__ import annotations

from collections.abc import Sequence

from booty_site.execution.policy import NAME, STARTER, Mistake
from booty_site.github.check_runs import IN_PROGRESS, Report
from booty_site.markdown import code, fenced, inert, tail
from booty_site.runs.suite import SuiteResult

TITLES = {
    "tests_failed": "Tests failed",
    "no_tests": "No tests found",
    "test_timeout": "A command took too long",
    "setup_failed": "Setup failed",
    "install_failed": "Install failed",
    "config_invalid": f"{NAME} is not valid",
    "head_gone": "The commit is gone",
    "refused": "Not allowed",
}


def in_progress() -> Report:
    return Report(IN_PROGRESS, "Verifying", "Booty is checking this commit. The result appears here.")


def concluded(state: str, verdict: str, failure_code: str, summary: str, details: str, event_id: str) -> Report:
    """Return what the check says at a run's end."""
    if state == "succeeded":
        if verdict == "neutral":
            return Report("neutral", "Not verified", inert(summary), details)
        return Report("success", "All tests passed", inert(summary), details)
    if state == "failed":
        return Report("failure", TITLES.get(failure_code, "Failed"), inert(summary), details)
    if state == "errored":
        return Report("failure", "Booty failed, not your change", our_fault(summary, failure_code, event_id))
    return Report("cancelled", "Superseded" if state == "superseded" else "Cancelled", inert(summary))


def failure_comment(
    head_sha: str, state: str, failure_code: str, summary: str, details: str, event_id: str, run_id: str, run_url: str
) -> str:
    """Return the comment on a pull request whose run failed or errored."""
    if state == "errored":
        title, text = "Booty could not verify this pull request", our_fault(summary, failure_code, event_id)
    else:
        title = TITLES.get(failure_code, "Failed")
        text = "\n\n".join(part for part in (inert(summary), details) if part)
    return f"### {title}\n\n{text}\n\n{footer(head_sha, run_id, run_url)}"


def fixed_comment(head_sha: str, run_id: str, run_url: str) -> str:
    """Return what a failure comment turns into once a later commit is good."""
    return f"### Fixed\n\nWhat failed earlier in this pull request passes now.\n\n{footer(head_sha, run_id, run_url)}"


def our_fault(summary: str, failure_code: str, event_id: str) -> str:
    report = f"It was reported to Sentry as event `{event_id}`." if event_id else "It is recorded with the run."
    return (
        f"{inert(summary)}\n\nThis is not the fault of the change (code `{failure_code}`). {report} "
        "Use Re-run on the check to try again; if it comes back, tell whoever runs Booty."
    )


def footer(head_sha: str, run_id: str, run_url: str) -> str:
    return f"<sub>Commit {head_sha[:10]} · [run {run_id}]({run_url})</sub>"


def rerun_not_allowed(login: str) -> str:
    return f"{login} may not write to this repository, so this re-run was not started. Ask someone who may to press Re-run."


def head_moved(head_sha: str) -> str:
    return f"The pull request's head is {head_sha[:10]} by now."


def pull_request_closed() -> str:
    return "The pull request was closed before its verification began."


def fork_not_run() -> str:
    return (
        "This pull request comes from a fork. Its code was not run, because this version of Booty has no sandbox for "
        "strangers' code yet. A maintainer can push the commits to a branch of this repository to have them verified."
    )


def commit_gone(head_sha: str) -> str:
    return f"Commit {head_sha[:10]} or its base is not in the repository any more. Push a new commit to have it verified."


def policy_missing() -> str:
    return f"There is no {NAME} in this commit, so nothing was run. Add one to have pull requests verified."


def starter() -> str:
    return f"A {NAME} to start from:\n\n```yaml\n{STARTER}```"


def policy_invalid(count: int) -> str:
    return f"{NAME} has {'a mistake' if count == 1 else f'{count} mistakes'}, so nothing was run."


def mistakes(found: Sequence[Mistake]) -> str:
    return "\n".join(f"- {code(str(mistake))}" for mistake in found)


def policy_is_new() -> str:
    return f"The base branch has no {NAME}: the one of this pull request was used."


def policy_changed() -> str:
    return f"This pull request changes {NAME}. The commands of the base branch were run; the new ones count once it is merged."


def base_policy_invalid() -> str:
    return f"The {NAME} of the base branch is not valid: the one of this pull request was used."


def suite_details(suite: SuiteResult, note: str) -> str:
    """Return the part below the summary: what failed, the end of its output, and the time of each step."""
    parts = [note] if note else []
    if suite.failing:
        parts.append("\n".join(f"- {code(name)}" for name in suite.failing))
    if suite.code is not None and suite.result is not None:
        parts.append(f"The end of the {suite.step} command's output:\n\n{fenced(tail(suite.result.output))}")
    if suite.steps:
        parts.append("Time: " + " · ".join(f"{step} {seconds:.1f} s" for step, seconds in suite.steps))
    return "\n\n".join(parts)
