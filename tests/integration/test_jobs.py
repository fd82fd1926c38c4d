"""From a labelled issue to a pull request: every end that a Job can have."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection
from pytest_django import Settings

from booty_site.errors import EngineFailed, WorkspaceUnavailable
from booty_site.runs.states import State
from jobs import services
from jobs.models import Job
from jobs.tasks import process_job
from tests.doubles.processes import wait_until
from tests.factories import LABEL, REPOSITORY, GitHubWorld, make_job
from tests.repositories import git

pytestmark = pytest.mark.django_db(transaction=True)
Engine = Callable[[str], None]
SUBTRACT = "cat > /dev/null; printf '\\n\\ndef subtract(a, b):\\n    return a - b\\n' >> calculator.py; echo I added subtract."
BREAK = "cat > /dev/null; echo 'def add(a, b): return 0' >> calculator.py"


def built(job: Job) -> Job:
    process_job(str(job.pk))
    job.refresh_from_db()
    assert not job.notices.filter(sent_at=None).exists()
    return job


def comments(world: GitHubWorld, job: Job) -> list[str]:
    return [comment.body for comment in world.double.comments(job.repository, job.issue_number)]


def test_an_issue_becomes_a_pull_request_that_is_ready_for_review(world: GitHubWorld, engine: Engine) -> None:
    engine(SUBTRACT)
    job = built(world.job_for_issue())
    (pull,) = world.double.pulls(REPOSITORY)
    assert (job.state, job.pull_number, job.branch) == (State.SUCCEEDED, pull.number, f"agent/issue-{job.issue_number}")
    assert (pull.draft, pull.issue.title) == (False, job.issue_title)
    for text in (f"Fixes #{job.issue_number}", "calculator.py", "I added subtract.", "All tests passed."):
        assert text in str(pull.issue.body)
    assert world.double.branch_sha(REPOSITORY, job.branch) == job.commit_sha
    (status,) = comments(world, job)
    assert f"#{pull.number}" in status
    assert "Booty opened a pull request" in status


def test_the_pull_request_is_a_draft_until_its_tests_have_passed(world: GitHubWorld, engine: Engine) -> None:
    engine(SUBTRACT)
    built(world.job_for_issue())
    created = next(r for r in world.double.requests if r.method == "POST" and r.path.endswith("/pulls"))
    assert isinstance(created.body, dict)
    assert created.body["draft"] is True


def test_the_engine_gets_the_issue_on_standard_input_and_the_workspace_as_its_folder(world: GitHubWorld, engine: Engine) -> None:
    engine("cat > prompt.txt; ls > files.txt; env > env.txt")
    job = built(world.job_for_issue(issue_body="Please, with `sugar`."))
    shown = world.double.repository(REPOSITORY).path
    prompt = git(shown, "show", f"{job.commit_sha}:prompt.txt")
    assert "Please, with `sugar`." in prompt
    assert job.issue_title in prompt
    assert "python3 run_tests.py" in prompt
    assert "calculator.py" in git(shown, "show", f"{job.commit_sha}:files.txt")
    environment = git(shown, "show", f"{job.commit_sha}:env.txt")
    assert {line.split("=")[0] for line in environment.splitlines()} <= {
        *("PATH", "HOME", "LANG", "TERM", "CI", "PWD", "SHLVL", "_", "OLDPWD", "BOOTY_COMMAND_MARK"),
    }


def test_red_tests_leave_a_draft_and_say_what_is_red(world: GitHubWorld, engine: Engine) -> None:
    engine(BREAK)
    job = built(world.job_for_issue())
    (pull,) = world.double.pulls(REPOSITORY)
    assert (job.state, job.failure_code, pull.draft) == (State.FAILED, "tests_failed", True)
    outcome, status = sorted(comments(world, job), key=lambda body: "status" in body.splitlines()[0])
    assert "test_calculator.py::test_add" in outcome
    assert f"draft #{pull.number}" in outcome
    assert job.outcome_comment_url in status


@pytest.mark.parametrize(("line", "told"), [("cat > /dev/null", "without changing a file"), ("exit 9", "ended with an error")])
def test_no_change_is_its_own_outcome_whatever_the_exit_code(world: GitHubWorld, engine: Engine, line: str, told: str) -> None:
    engine(f"echo All fixed, trust me; {line}")
    job = built(world.job_for_issue())
    assert (job.state, job.failure_code) == (State.FAILED, "no_changes")
    assert world.double.pulls(REPOSITORY) == []
    outcome = next(body for body in comments(world, job) if "no_changes" in body)
    assert told in outcome
    assert "All fixed, trust me" in outcome


def test_the_diff_counts_even_when_the_engine_says_that_it_failed(world: GitHubWorld, engine: Engine) -> None:
    engine(f"{SUBTRACT}; exit 1")
    assert built(world.job_for_issue()).state == State.SUCCEEDED


def test_an_engine_that_is_not_there_is_our_fault(world: GitHubWorld, settings: Settings) -> None:
    settings.BOOTY_ENGINE_COMMAND = ("/nowhere/agent",)
    job = world.job_for_issue()
    with pytest.raises(EngineFailed):
        process_job(str(job.pk))
    job.refresh_from_db()
    assert (job.state, job.failure_code, job.summary) == (
        State.ERRORED,
        "engine_failed",
        "The coding engine could not be started.",
    )


def test_an_engine_past_its_time_is_stopped_and_told(world: GitHubWorld, engine: Engine, settings: Settings) -> None:
    settings.BOOTY_ENGINE_TIMEOUT = 1
    engine("sleep 60")
    job = world.job_for_issue()
    with pytest.raises(EngineFailed):
        process_job(str(job.pk))
    job.refresh_from_db()
    assert job.summary == "The coding engine was stopped after 1 s."


def test_a_label_by_someone_without_write_access_starts_nothing(world: GitHubWorld, engine: Engine) -> None:
    engine(SUBTRACT)
    world.double.add_user("mallory")
    job = built(world.job_for_issue(requested_by="mallory"))
    assert (job.state, job.failure_code) == (State.FAILED, "refused")
    assert world.double.pulls(REPOSITORY) == []
    assert not job.commands.exists()


def test_a_repository_without_a_policy_is_told_what_to_add(world: GitHubWorld, engine: Engine) -> None:
    engine(SUBTRACT)
    world.double.push(REPOSITORY, "main", {".booty.yml": None}, by="ada")
    job = built(world.job_for_issue())
    assert job.failure_code == "config_invalid"
    assert any("schema_version: 1" in body for body in comments(world, job))


def test_a_second_job_updates_the_one_pull_request_and_the_one_status_comment(world: GitHubWorld, engine: Engine) -> None:
    engine(BREAK)
    first = built(world.job_for_issue())
    engine(SUBTRACT)
    second, new = services.retry(first, trigger="issues.labeled", by="ada")
    assert new
    built(second)
    (pull,) = world.double.pulls(REPOSITORY)
    assert (second.state, second.pull_number, pull.draft) == (State.SUCCEEDED, first.pull_number, False)
    status = [body for body in comments(world, first) if body.startswith("<!-- booty:status -->")]
    assert len(status) == 1
    assert "another try" in status[0]
    assert "Booty opened a pull request" in status[0]


def test_commits_of_others_on_the_branch_are_not_overwritten(world: GitHubWorld, engine: Engine) -> None:
    engine(SUBTRACT)
    job = world.job_for_issue()
    theirs = world.double.push(REPOSITORY, job.branch, {"theirs.md": "mine"}, by="ada")
    assert built(job).failure_code == "refused"
    assert world.double.branch_sha(REPOSITORY, job.branch) == theirs


def test_an_amended_commit_of_bootys_is_someone_elses_work(world: GitHubWorld, engine: Engine, tmp_path: Path) -> None:
    engine(SUBTRACT)
    first = built(world.job_for_issue())
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--branch", first.branch, str(world.double.repository(REPOSITORY).path), str(clone))
    (clone / "mine.md").write_text("mine")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--amend", "--no-edit")
    git(clone, "push", "--quiet", "--force", "origin", first.branch)
    second, _ = services.retry(first, trigger="issues.labeled", by="ada")
    assert built(second).failure_code == "refused"


def test_a_label_by_a_bot_that_is_no_user_is_refused(world: GitHubWorld, engine: Engine) -> None:
    engine(SUBTRACT)
    assert built(world.job_for_issue(requested_by="other-app[bot]")).failure_code == "refused"


def test_a_job_cancelled_before_its_pull_request_opens_none(world: GitHubWorld, engine: Engine) -> None:
    from booty_site.runs import lifecycle

    engine(SUBTRACT)
    job = world.job_for_issue()

    def cancel(request: object) -> None:
        lifecycle.cancel(Job.objects.get(pk=job.pk), by="operator")
        wait_until(lambda: not any(thread.name == "heartbeat" for thread in threading.enumerate()), "the heartbeat to notice")
        connection.close()

    world.double.on_request("POST", r"\.git/git-receive-pack", cancel)
    process_job(str(job.pk))
    job.refresh_from_db()
    assert job.state == State.CANCELLED
    assert world.double.pulls(REPOSITORY) == []


def test_a_branch_that_does_not_exist_is_told_by_name(world: GitHubWorld, engine: Engine) -> None:
    engine(SUBTRACT)
    job = world.job_for_issue(base_branch="develop")
    with pytest.raises(WorkspaceUnavailable):
        process_job(str(job.pk))
    job.refresh_from_db()
    assert "no branch develop" in job.summary


def test_a_title_with_markup_and_mentions_stays_text(world: GitHubWorld, engine: Engine) -> None:
    engine(SUBTRACT)
    issue = world.double.open_issue(REPOSITORY, "<script>\n@everyone " + "x" * 200, "", by="ada", labels=[LABEL])
    job = built(make_job(issue_number=issue.number, issue_title=issue.title))
    title = world.double.pull(REPOSITORY, job.pull_number or 0).issue.title
    assert len(title) <= 72
    assert "\n" not in title


def test_a_job_that_already_ended_is_not_run_again(world: GitHubWorld, engine: Engine) -> None:
    engine(SUBTRACT)
    job = built(world.job_for_issue())
    process_job(str(job.pk))
    job.refresh_from_db()
    assert job.attempt == 1
