"""The GitHub double, driven by real PyGithub and real git: what is asked and what is answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from github import GithubException
from github.Repository import Repository as RemoteRepository

from tests.doubles.github import GitHubDouble, RecordedRequest, sign
from tests.integration.github_double.common import (
    NAME,
    SECRET,
    TOKEN,
    Received,
    refused,
    run_git,
)


def test_a_label_reaches_the_webhook_signed(double: GitHubDouble, received: Received) -> None:
    issue = double.open_issue(NAME, "Broken", "It is broken.", "ann")
    double.label_issue(NAME, issue.number, "booty", "ann")

    assert double.wait_for_deliveries()
    headers, body = received[-1]
    assert headers["X-GitHub-Event"] == "issues"
    assert headers["X-Hub-Signature-256"] == sign(SECRET, body)
    assert double.deliveries[-1].payload["label"]["name"] == "booty"


def test_the_app_comments_under_its_own_name(double: GitHubDouble, by_app: RemoteRepository) -> None:
    double.open_issue(NAME, "Broken", "It is broken.", "ann")

    comment = by_app.get_issue(1).create_comment("Looking at it.")
    comment.edit("Done.")

    (kept,) = double.comments(NAME, 1)
    assert (kept.user.login, kept.body, kept.by_app) == ("booty[bot]", "Done.", True)
    assert double.violations == []


def test_a_draft_becomes_ready_through_graphql(double: GitHubDouble, by_app: RemoteRepository) -> None:
    double.push(NAME, "booty/issue-1", {"a.txt": "a\n"}, "ann")
    pull = by_app.create_pull(base="main", head="booty/issue-1", title="A", body="", draft=True)
    assert double.pull(NAME, pull.number).draft

    pull.mark_ready_for_review()

    assert not double.pull(NAME, pull.number).draft
    assert double.wait_for_deliveries()
    actions = [(hook.event, hook.action) for hook in double.deliveries]
    assert actions == [("pull_request", "opened"), ("pull_request", "ready_for_review")]


def test_a_second_pull_for_the_same_branches_is_refused(double: GitHubDouble, by_token: RemoteRepository) -> None:
    double.push(NAME, "topic", {"a.txt": "a\n"}, "ann")
    double.open_pull(NAME, "topic", "main", "A", "", "ann")

    with pytest.raises(GithubException) as error:
        by_token.create_pull(base="main", head="topic", title="B", body="")

    assert refused(error) == 422
    assert "already exists for octo:topic" in str(error.value)


def test_a_push_over_http_moves_the_pull_and_tells_of_it(double: GitHubDouble, tmp_path: Path) -> None:
    before = double.push(NAME, "topic", {"a.txt": "a\n"}, "ann")
    double.open_pull(NAME, "topic", "main", "A", "", "ann")
    clone = tmp_path / "clone"
    run_git(tmp_path, "clone", "--branch", "topic", double.clone_url(NAME, TOKEN), str(clone))
    run_git(clone, "commit", "--allow-empty", "-m", "More")

    run_git(clone, "push", "origin", "topic")

    after = run_git(clone, "rev-parse", "HEAD").stdout.strip()
    assert double.pull(NAME, 1).head_sha == after
    assert run_git(clone, "ls-remote", "origin", "refs/pull/1/head").stdout.startswith(after)
    assert double.wait_for_deliveries()
    told = double.deliveries[-1].payload
    assert (told["action"], told["before"], told["after"]) == ("synchronize", before, after)


def test_a_clone_needs_the_token(double: GitHubDouble, tmp_path: Path) -> None:
    done = run_git(tmp_path, "clone", double.clone_url(NAME, "wrong"), "clone", check=False)

    assert done.returncode != 0
    assert "Authentication failed" in done.stderr


def test_a_check_run_goes_from_progress_to_its_result(double: GitHubDouble, by_app: RemoteRepository) -> None:
    sha = double.push(NAME, "topic", {"a.txt": "a\n"}, "ann")

    run = by_app.create_check_run("booty", sha, status="in_progress")
    run.edit(conclusion="failure", output={"title": "No", "summary": "It does not work."})

    (kept,) = double.check_runs(NAME, sha, "booty")
    assert (kept.status, kept.conclusion, kept.title) == ("completed", "failure", "No")
    assert [found.id for found in by_app.get_commit(sha).get_check_runs()] == [run.id]


def test_check_runs_are_for_the_app_only(double: GitHubDouble, by_token: RemoteRepository) -> None:
    sha = double.push(NAME, "topic", {"a.txt": "a\n"}, "ann")

    with pytest.raises(GithubException) as error:
        by_token.create_check_run("booty", sha)

    assert refused(error) == 403


def test_a_summary_that_is_too_long_is_refused_and_noted(double: GitHubDouble, by_app: RemoteRepository) -> None:
    sha = double.push(NAME, "topic", {"a.txt": "a\n"}, "ann")

    with pytest.raises(GithubException) as error:
        by_app.create_check_run("booty", sha, output={"title": "T", "summary": "x" * 65536})

    assert refused(error) == 422
    assert len(double.violations) == 1


def test_a_field_github_does_not_know_is_noted(double: GitHubDouble, by_token: RemoteRepository) -> None:
    double.push(NAME, "topic", {"a.txt": "a\n"}, "ann")
    pull = double.open_pull(NAME, "topic", "main", "A", "", "ann", draft=True)

    with pytest.raises(GithubException) as error:
        by_token.requester.requestJsonAndCheck("PATCH", f"/repos/{NAME}/pulls/{pull.number}", input={"draft": False})

    assert refused(error) == 400
    assert "there is no field draft" in double.violations[0]


def test_an_expired_installation_token_is_refused(double: GitHubDouble, by_app: RemoteRepository) -> None:
    double.expire_installation_tokens()

    with pytest.raises(GithubException) as error:
        by_app.get_branch("main")

    assert refused(error) == 401


def test_a_dropped_reply_leaves_the_work_done(double: GitHubDouble, by_token: RemoteRepository) -> None:
    double.open_issue(NAME, "Broken", "It is broken.", "ann")
    issue = by_token.get_issue(1)
    double.drop_reply("POST", "/comments$")

    with pytest.raises(OSError, match="Connection aborted"):
        issue.create_comment("Once.")

    assert [comment.body for comment in double.comments(NAME, 1)] == ["Once."]


def test_a_callback_sees_the_world_before_the_request_takes_effect(double: GitHubDouble, by_token: RemoteRepository) -> None:
    double.open_issue(NAME, "Broken", "It is broken.", "ann")
    seen: list[tuple[Any, int]] = []

    def look(request: RecordedRequest) -> None:
        seen.append((request.body, len(double.comments(NAME, 1))))

    double.on_request("POST", "/comments$", look)
    by_token.get_issue(1).create_comment("Hello.")

    assert seen == [({"body": "Hello."}, 0)]


def test_the_token_is_not_kept_with_the_request(double: GitHubDouble, by_token: RemoteRepository) -> None:
    assert by_token.full_name == NAME
    (request,) = double.requests
    assert request.scheme == "token"
    assert TOKEN not in repr(request)


def test_it_comes_back_at_the_same_address(double: GitHubDouble, by_token: RemoteRepository) -> None:
    double.stop()
    with pytest.raises(OSError, match=r"refused|aborted"):
        by_token.get_branch("main")

    double.start()

    assert by_token.get_branch("main").name == "main"
