"""From a labelled issue to a pull request."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from booty_site import faults
from booty_site.errors import GitHubRefused, WorkspaceUnavailable
from booty_site.execution import policy as policies
from booty_site.execution.git import Author, CommitGone, Git, PushRefused, Remote
from booty_site.github import open_work, pulls
from booty_site.github.client import GitHub
from booty_site.github.connect import connect
from booty_site.redaction import redact
from booty_site.runs import lifecycle, notices
from booty_site.runs.kinds import Outcome
from booty_site.runs.states import FailureCode, State
from booty_site.runs.suite import SuiteResult, run_suite
from booty_site.runs.workbench import Workbench
from jobs import messages
from jobs.engines import EngineResult, Task, chosen_engine
from jobs.models import FOUND_TRIGGER, LABELLED_TRIGGER, Job

GATED_TRIGGERS = (LABELLED_TRIGGER, FOUND_TRIGGER)


class Refusal(Exception):
    """The job ends as failed here: not an error of Booty's, but nothing to go on with."""

    def __init__(self, code: FailureCode, summary: str, details: str = "") -> None:
        super().__init__(summary)
        self.code, self.summary, self.details = code, summary, details


@dataclass(frozen=True)
class Ground:
    """Where the work starts: the base commit, its policy, and the branch as it is on GitHub now."""

    remote: Remote
    base_sha: str
    policy: policies.Policy
    branch_sha: str


def build(job: Job, bench: Workbench) -> Outcome:
    """Let the engine work on an issue, test what it wrote, and open or update the pull request."""
    github = connect(job.repository)
    git = Git(bench.folders.git, lambda name, argv, cwd, env, stdin: bench.command(name, argv, cwd=cwd, env=env, stdin=stdin))
    try:
        _require_permission(job, github)
        withdrawn = _withdrawn(job, github)
        if withdrawn:
            return Outcome(State.CANCELLED, withdrawn)
        ground = _ground(job, github, git)
        git.check_out(ground.base_sha, bench.folders.workspace)
        faults.reach("run.middle")
        prompt = messages.prompt(job.repository, job.issue_number, job.issue_title, job.issue_body, ground.policy.test_command)
        engine = chosen_engine().run(Task(prompt, bench.folders.workspace), bench)
        commit = _commit(job, git, ground, bench, engine)
        suite = run_suite(ground.policy, bench, settings.BOOTY_COMMAND_ENV)
        return _publish(job, github, git, ground, commit, engine, suite, bench)
    except Refusal as refusal:
        return Outcome(State.FAILED, refusal.summary, refusal.code, {"details": refusal.details})


def _require_permission(job: Job, github: GitHub) -> None:
    if job.trigger in GATED_TRIGGERS and not github.may_write(job.requested_by):
        raise Refusal(FailureCode.REFUSED, messages.label_not_allowed(job.requested_by))


def _withdrawn(job: Job, github: GitHub) -> str:
    """Return how the issue was withdrawn since its label was put on; its webhook may come late, or never."""
    if job.trigger not in GATED_TRIGGERS:
        return ""
    issue = open_work.issue_state(github, job.issue_number)
    if job.labelled_at is not None and issue.updated_at < job.labelled_at:
        # The webhook knows more than the answer: ask again, rather than go by the past.
        raise GitHubRefused("GitHub's answer is older than its webhook", public="GitHub did not know its own issue yet.")
    if not issue.is_open:
        return messages.issue_closed()
    return "" if issue.has_label(settings.TRIGGER_LABEL) else messages.label_removed(settings.TRIGGER_LABEL)


def _ground(job: Job, github: GitHub, git: Git) -> Ground:
    remote = github.remote()
    git.prepare()
    try:
        base_sha = git.fetch_branch(remote, job.base_branch)
    except CommitGone:
        raise WorkspaceUnavailable(
            f"there is no branch {job.base_branch}",
            public=f"The repository has no branch {job.base_branch}. Check TARGET_BRANCH.",
        ) from None
    policy = _policy(git, base_sha)
    try:
        branch_sha = git.fetch_branch(remote, job.branch)
    except CommitGone:
        return Ground(remote, base_sha, policy, "")
    if git.people_of(base_sha, branch_sha) - {settings.BOOTY_AUTHOR_EMAIL}:
        raise Refusal(FailureCode.REFUSED, messages.branch_has_other_commits(job.branch))
    return Ground(remote, base_sha, policy, branch_sha)


def _policy(git: Git, base_sha: str) -> policies.Policy:
    try:
        content = policies.read_policy_file(git, base_sha)
        if content is None:
            raise Refusal(FailureCode.CONFIG_INVALID, messages.policy_missing(), messages.starter())
        return policies.parse_policy(content)
    except policies.PolicyInvalid as error:
        raise Refusal(FailureCode.CONFIG_INVALID, messages.policy_invalid(), messages.mistakes(error.mistakes)) from None


def _commit(job: Job, git: Git, ground: Ground, bench: Workbench, engine: EngineResult) -> str:
    message = messages.commit_message(job.issue_number, job.issue_title)
    author = Author(settings.BOOTY_AUTHOR_NAME, settings.BOOTY_AUTHOR_EMAIL)
    commit = git.commit_workspace(ground.base_sha, bench.folders.workspace, message, author)
    if commit is None:
        raise Refusal(FailureCode.NO_CHANGES, messages.no_changes(engine.finished), messages.engine_said(redact(engine.summary)))
    return commit


def _publish(
    job: Job, github: GitHub, git: Git, ground: Ground, commit: str, engine: EngineResult, suite: SuiteResult, bench: Workbench
) -> Outcome:
    try:
        git.push(ground.remote, commit, job.branch, expected=ground.branch_sha)
    except PushRefused:
        raise Refusal(FailureCode.REFUSED, messages.branch_moved(job.branch)) from None
    changes = git.change_summary(ground.base_sha, commit)
    body = redact(messages.pull_body(job.issue_number, engine.summary, changes, suite, job.page_url))
    bench.check()
    pull = pulls.put_draft(github, job.branch, job.base_branch, messages.pull_title(job.issue_title), body)
    values = {"commit_sha": commit, "changes": changes, "pull_number": pull.number, "pull_url": pull.url}
    # At once, so that the row knows its pull request whatever happens to this process.
    Job.objects.filter(pk=job.pk).update(pull_number=pull.number, pull_url=pull.url)
    if not lifecycle.still_held(job):
        notices.owe_again(job)  # what was told of its end does not name the pull request yet
    if suite.code is not None:
        details = messages.red_details(suite, pull.number, draft=pull.draft)
        return Outcome(State.FAILED, suite.sentence, suite.code, {**values, "details": details})
    bench.check()
    pulls.mark_ready(github, pull.number)
    return Outcome(State.SUCCEEDED, messages.pull_ready(pull.number), None, values)
