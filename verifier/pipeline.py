"""From a head commit to a verdict."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from booty_site import faults
from booty_site.errors import GitHubRefused
from booty_site.execution import policy as policies
from booty_site.execution.git import CommitGone, Git, Remote
from booty_site.github import pulls
from booty_site.github.connect import connect
from booty_site.runs import dispatch
from booty_site.runs.kinds import Outcome
from booty_site.runs.states import FailureCode, State
from booty_site.runs.suite import SuiteResult, run_suite
from booty_site.runs.workbench import Workbench
from verifier import messages, services
from verifier.models import Verdict, VerificationRun

RERUN_TRIGGERS = ("check_run.rerequested", "check_suite.rerequested")


@dataclass(frozen=True)
class Question:
    """What is to be judged: a head commit, against its base, in a repository."""

    remote: Remote
    head_sha: str
    base_sha: str
    by_agent: bool = False


@dataclass(frozen=True)
class Judgement:
    """The verdict on a commit: `summary` in a sentence, `details` in Markdown."""

    verdict: Verdict
    summary: str
    code: FailureCode | None = None
    details: str = ""


def verify_pull_request(run: VerificationRun, bench: Workbench) -> Outcome:
    """Judge the head commit of a run's pull request, unless its conditions say that there is nothing to judge."""
    github = connect(run.repository)
    if run.trigger in RERUN_TRIGGERS and not github.may_write(run.requested_by):
        return _outcome(Judgement(Verdict.FAILED, messages.rerun_not_allowed(run.requested_by), FailureCode.REFUSED))
    pull = pulls.state_of(github, run.pull_number)
    if not pull.is_open:
        return Outcome(State.CANCELLED, messages.pull_request_closed())
    if pull.head_sha != run.head_sha and pull.updated_at < run.head_seen_at:
        # The webhook knows more than the answer: ask again, rather than go by a head of the past.
        raise GitHubRefused("GitHub's answer is older than its webhook", public="GitHub did not know its own pull request yet.")
    if pull.head_sha != run.head_sha:
        following = services.follow(run, pull)
        if following is not None:
            dispatch.after_commit(following)
        return Outcome(State.SUPERSEDED, messages.head_moved(pull.head_sha))
    if run.from_fork:
        return _outcome(Judgement(Verdict.NEUTRAL, messages.fork_not_run()))
    question = Question(github.remote(), run.head_sha, run.base_sha, by_agent=run.from_agent)
    return _outcome(judge(question, bench))


def judge(question: Question, bench: Workbench) -> Judgement:
    """Check a commit out, read its policy, run its commands and say what came of it."""
    git = Git(bench.folders.git, lambda name, argv, cwd, env, stdin: bench.command(name, argv, cwd=cwd, env=env, stdin=stdin))
    git.prepare()
    try:
        git.fetch(question.remote, question.head_sha, question.base_sha)
    except CommitGone:
        return Judgement(Verdict.FAILED, messages.commit_gone(question.head_sha), FailureCode.HEAD_GONE)
    try:
        found = _policy(git, question)
    except policies.PolicyInvalid as error:
        return Judgement(
            Verdict.FAILED,
            messages.policy_invalid(len(error.mistakes)),
            FailureCode.CONFIG_INVALID,
            messages.mistakes(error.mistakes),
        )
    if found is None:
        if question.by_agent:
            return Judgement(Verdict.FAILED, messages.policy_missing(), FailureCode.CONFIG_INVALID, messages.starter())
        return Judgement(Verdict.NEUTRAL, messages.policy_missing(), details=messages.starter())
    policy, note = found
    git.check_out(question.head_sha, bench.folders.workspace)
    faults.reach("run.middle")
    return _judgement(run_suite(policy, bench, settings.BOOTY_COMMAND_ENV), note)


def _policy(git: Git, question: Question) -> tuple[policies.Policy, str] | None:
    """Return the policy to go by and a note on where it is from; None when the head has none.

    The head's file must be valid; what runs is the base's, so that a pull request can't change its own
    rules. A file that is new in the head is all there is, and runs.
    """
    head = policies.read_policy_file(git, question.head_sha)
    if head is None:
        return None
    proposed = policies.parse_policy(head)
    base = _read_base(git, question.base_sha)
    if base is None:
        return proposed, messages.policy_is_new()
    if base == head:
        return proposed, ""
    try:
        return policies.parse_policy(base), messages.policy_changed()
    except policies.PolicyInvalid:
        return proposed, messages.base_policy_invalid()


def _read_base(git: Git, commit: str) -> bytes | None:
    try:
        return policies.read_policy_file(git, commit)
    except policies.PolicyInvalid:
        return None


def _judgement(suite: SuiteResult, note: str) -> Judgement:
    details = messages.suite_details(suite, note)
    if suite.code is None:
        return Judgement(Verdict.PASSED, suite.sentence, details=details)
    return Judgement(Verdict.FAILED, suite.sentence, suite.code, details)


def _outcome(judgement: Judgement) -> Outcome:
    state = State.FAILED if judgement.verdict is Verdict.FAILED else State.SUCCEEDED
    values = {"verdict": judgement.verdict, "details": judgement.details}
    return Outcome(state, judgement.summary, judgement.code, values)
