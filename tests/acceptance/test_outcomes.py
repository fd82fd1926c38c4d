"""Every outcome once through real processes: a web server, a forking worker, a reconciler, a broker, git."""

from __future__ import annotations

import os
import signal
from uuid import UUID

import redis
from rq import Queue
from rq.job import Job as RQJob
from rq.job import JobStatus

from booty_site.execution.process import _marked_processes
from tests.acceptance.conftest import Service
from tests.doubles.processes import session_members, wait_until
from tests.factories import REPOSITORY
from tests.repositories import CALCULATOR


def rq_status(service: Service, table: str, run_id: object) -> JobStatus:
    (row,) = service.rows(f"SELECT dispatches FROM {table} WHERE id = ?", run_id)
    with redis.Redis.from_url(service.stack.environment["REDIS_URL"]) as connection:
        return RQJob.fetch(f"booty-{UUID(str(run_id))}-{row['dispatches']}", connection=connection).get_status()


def test_a_good_pull_request_succeeds_and_its_rq_job_is_finished(service: Service) -> None:
    number = service.open_pull("good", {"NOTES.md": "A note.\n"})
    run = service.wait_for_pull(number, "succeeded", "failed", "errored")
    (check,) = service.github.check_runs(REPOSITORY, run["head_sha"])
    assert (run["state"], check.conclusion) == ("succeeded", "success")
    wait_until(lambda: rq_status(service, "verifier_verificationrun", run["id"]) == JobStatus.FINISHED, "the RQ job to finish")


def test_a_red_pull_request_fails_without_an_event_in_sentry(service: Service) -> None:
    events = len(service.sentry.events())
    number = service.open_pull("red", {"calculator.py": CALCULATOR.replace("a * b", "a ** b")})
    run = service.wait_for_pull(number, "succeeded", "failed", "errored")
    assert (run["state"], run["failure_code"]) == ("failed", "tests_failed")
    assert len(service.comments(number)) == 1
    assert len(service.sentry.events()) == events
    wait_until(lambda: rq_status(service, "verifier_verificationrun", run["id"]) == JobStatus.FINISHED, "the RQ job to finish")


def test_an_issue_becomes_a_pull_request_which_is_verified_through_the_ordinary_webhook(service: Service) -> None:
    issue = service.open_issue("Teach it to subtract")
    job = service.wait_for_issue(issue, "succeeded", "failed", "errored")
    assert job["state"] == "succeeded"
    run = service.wait_for_pull(job["pull_number"], "succeeded", "failed", "errored")
    assert (run["state"], run["head_sha"]) == ("succeeded", job["commit_sha"])
    assert not service.github.pull(REPOSITORY, job["pull_number"]).draft


def test_an_errored_job_is_one_event_one_comment_and_a_failed_rq_job_that_name_each_other(service: Service) -> None:
    service.sentry.flush()
    service.github.fail("GET", r"\.git/info/refs", status=500, times=None)
    try:
        issue = service.open_issue("Do nothing, the repository is away")
        job = service.wait_for_issue(issue, "succeeded", "failed", "errored")
    finally:
        service.github.clear_faults()
    assert (job["state"], job["failure_code"]) == ("errored", "workspace_unavailable")
    (event,) = service.sentry.wait_for_events(1)
    assert event["event_id"] == job["sentry_event_id"]
    assert (event["release"], event["environment"]) == ("booty@9.9.9", "acceptance")
    assert event["tags"]["issue_number"] == str(issue)
    outcome = next(body for body in service.comments(issue) if "Booty failed on this issue" in body)
    assert event["event_id"] in outcome
    wait_until(lambda: rq_status(service, "jobs_job", job["id"]) == JobStatus.FAILED, "the RQ job to fail")
    with redis.Redis.from_url(service.stack.environment["REDIS_URL"]) as connection:
        assert len(Queue("jobs", connection=connection).failed_job_registry) == 1
    assert len(service.sentry.events()) == 1


def test_an_errored_verification_is_one_event_one_check_and_one_comment(service: Service) -> None:
    service.sentry.flush()
    service.github.fail("GET", r"\.git/info/refs", status=500, times=None)
    try:
        number = service.open_pull("away", {"away.md": "away\n"})
        run = service.wait_for_pull(number, "succeeded", "failed", "errored")
    finally:
        service.github.clear_faults()
    assert run["state"] == "errored"
    (event,) = service.sentry.wait_for_events(1)
    assert (event["event_id"], event["tags"]["head_sha"]) == (run["sentry_event_id"], run["head_sha"])
    (check,) = service.github.check_runs(REPOSITORY, run["head_sha"])
    assert check.conclusion == "failure"
    assert event["event_id"] in str(check.summary)
    assert event["event_id"] in service.comments(number)[0]
    wait_until(lambda: rq_status(service, "verifier_verificationrun", run["id"]) == JobStatus.FAILED, "the RQ job to fail")
    assert len(service.sentry.events()) == 1


def test_a_newer_commit_supersedes_a_run_under_way_and_stops_its_command(service: Service) -> None:
    number = service.open_pull("slow", {".booty.yml": None, "slow.md": "slow\n"})
    first = service.wait_for_pull(number, "succeeded", "failed", "errored")
    assert first["verdict"] == "neutral"
    slow = "schema_version: 1\ntest_command: sleep 600\n"
    service.github.push(REPOSITORY, "sleepy-base", {".booty.yml": slow}, by="ada")
    service.github.push(REPOSITORY, "sleepy", {".booty.yml": slow, "x.md": "x\n"}, by="ada")
    number = service.github.open_pull(REPOSITORY, "sleepy", "sleepy-base", "Sleep", "", by="ada").number
    commands = "SELECT c.* FROM verifier_verificationcommand c JOIN verifier_verificationrun r ON r.id = c.run_id"
    wait_until(lambda: bool(service.rows(f"{commands} WHERE r.pull_number = ? AND c.name = 'test'", number)), "the test to start")
    old = service.run_of_pull(number)
    service.github.push(REPOSITORY, "sleepy", {".booty.yml": None}, by="ada")
    service.wait_for_pull(number, "succeeded", "failed", "errored")
    (ended,) = service.rows("SELECT state FROM verifier_verificationrun WHERE id = ?", old["id"])
    assert ended["state"] == "superseded"
    (check,) = service.github.check_runs(REPOSITORY, old["head_sha"])
    assert check.conclusion == "cancelled"
    wait_until(
        lambda: service.rows(f"{commands} WHERE r.id = ? AND c.name = 'test'", old["id"])[0]["ending"] == "stopped",
        "the command to be stopped",
    )


def test_a_killed_worker_process_is_replaced_and_the_run_still_ends_once(service: Service) -> None:
    service.sentry.flush()
    issue = service.open_issue("Please wait for the kill")
    commands = (
        "SELECT c.* FROM jobs_jobcommand c JOIN jobs_job j ON j.id = c.run_id WHERE j.issue_number = ? AND c.name = 'engine'"
    )
    wait_until(lambda: bool(service.rows(commands, issue)), "the engine to start")
    job = service.run_of_issue(issue)
    worker = next(program for program in service.stack.programs if program.name == "worker")
    horse = int(job["worker"].rpartition(":")[2])
    assert horse in session_members(worker.pid)
    first_token = str(UUID(str(job["lease_token"])))
    assert _marked_processes(f"{first_token}:")
    os.kill(horse, signal.SIGKILL)
    wait_until(lambda: service.run_of_issue(issue)["attempt"] == 2, "a second attempt")
    wait_until(lambda: len(service.rows(commands, issue)) == 2, "the engine to start again")
    assert service.run_of_issue(issue)["state"] == "running"
    assert not _marked_processes(f"{first_token}:")
    service.stack.manage(
        "shell",
        "--command",
        f"from jobs.models import Job; from booty_site.runs import lifecycle; "
        f"lifecycle.cancel(Job.objects.get(issue_number={issue}), by='operator')",
    )
    service.wait_for_issue(issue, "cancelled")
    (status,) = service.comments(issue)
    assert "Cancelled by operator." in status
    assert service.sentry.events() == []


def test_a_job_whose_engine_changes_nothing_fails_and_is_told_so(service: Service) -> None:
    issue = service.open_issue("Change nothing at all")
    job = service.wait_for_issue(issue, "succeeded", "failed", "errored")
    assert (job["state"], job["failure_code"]) == ("failed", "no_changes")
    assert len(service.comments(issue)) == 2
    wait_until(lambda: rq_status(service, "jobs_job", job["id"]) == JobStatus.FINISHED, "the RQ job to finish")


def test_a_cancelled_verification_stops_its_command_and_cancels_its_check(service: Service) -> None:
    slow = "schema_version: 1\ntest_command: sleep 600\n"
    service.github.push(REPOSITORY, "lazy-base", {".booty.yml": slow}, by="ada")
    service.github.push(REPOSITORY, "lazy", {".booty.yml": slow, "y.md": "y\n"}, by="ada")
    number = service.github.open_pull(REPOSITORY, "lazy", "lazy-base", "Be lazy", "", by="ada").number
    commands = "SELECT c.* FROM verifier_verificationcommand c JOIN verifier_verificationrun r ON r.id = c.run_id"
    wait_until(lambda: bool(service.rows(f"{commands} WHERE r.pull_number = ? AND c.name = 'test'", number)), "the test to start")
    service.stack.manage(
        "shell",
        "--command",
        "from verifier.models import VerificationRun; from booty_site.runs import lifecycle; "
        f"lifecycle.cancel(VerificationRun.objects.get(pull_number={number}), by='operator')",
    )
    run = service.wait_for_pull(number, "cancelled")
    (check,) = service.github.check_runs(REPOSITORY, run["head_sha"])
    assert check.conclusion == "cancelled"
    assert service.comments(number) == []
    wait_until(
        lambda: service.rows(f"{commands} WHERE r.pull_number = ? AND c.name = 'test'", number)[0]["ending"] == "stopped",
        "the command to be stopped",
    )
