"""From a pull request to its check: every end that a verification can have, on real git and a GitHub that checks requests."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from booty_site.errors import WorkspaceUnavailable
from booty_site.github.check_runs import MAX_TEXT
from booty_site.runs.states import State
from tests.conftest import QUICK_TESTS
from tests.doubles.github import CheckRun, GitHubDouble
from tests.factories import REPOSITORY, GitHubWorld, make_run
from tests.repositories import CALCULATOR, policy
from verifier import services
from verifier.models import CHECK, VerificationRun
from verifier.notifier import VerificationNotifier
from verifier.tasks import process_verifier_job

pytestmark = pytest.mark.django_db(transaction=True)
BROKEN_CALCULATOR = CALCULATOR.replace("a * b", "a ** b")


def verified(run: VerificationRun) -> VerificationRun:
    process_verifier_job(str(run.pk))
    run.refresh_from_db()
    assert not run.notices.filter(sent_at=None).exists()
    return run


def the_check(world: GitHubWorld, run: VerificationRun) -> CheckRun:
    (check,) = world.double.check_runs(run.repository, run.head_sha, "booty/verifier")
    return check


def said(check: CheckRun) -> str:
    """Return all that a check shows."""
    return f"{check.title}\n{check.summary}\n{check.text}"


def comments(world: GitHubWorld, run: VerificationRun) -> list[str]:
    return [comment.body for comment in world.double.comments(run.repository, run.pull_number)]


def test_a_good_pull_request_concludes_success_without_a_comment(world: GitHubWorld) -> None:
    run = verified(world.run_for_pull())
    check = the_check(world, run)
    assert (run.state, run.verdict, run.failure_code) == (State.SUCCEEDED, "passed", "")
    assert (check.conclusion, check.external_id, check.details_url) == ("success", str(run.pk), run.page_url)
    assert comments(world, run) == []
    assert run.check_run_id == check.id


def test_the_check_is_in_progress_while_the_run_goes_on(world: GitHubWorld) -> None:
    run = verified(world.run_for_pull())
    first, last = the_check(world, run).requests
    assert (first["status"], last["status"]) == ("in_progress", "completed")


def test_failing_tests_are_named_in_check_and_comment(world: GitHubWorld) -> None:
    run = verified(world.run_for_pull(files={"calculator.py": BROKEN_CALCULATOR}))
    check = the_check(world, run)
    assert (run.state, run.verdict, run.failure_code) == (State.FAILED, "failed", "tests_failed")
    assert (check.conclusion, check.title) == ("failure", "Tests failed")
    assert "1 test failed: test_calculator.py::test_multiply." in said(check)
    (comment,) = comments(world, run)
    assert "test_calculator.py::test_multiply" in comment
    assert str(run.pk) in comment


def test_later_runs_edit_the_one_comment_and_turn_it_to_fixed(world: GitHubWorld) -> None:
    run = verified(world.run_for_pull(files={"calculator.py": BROKEN_CALCULATOR}))
    for content, expected in ((CALCULATOR.replace("a + b", "a - b"), "test_add"), (CALCULATOR, "### Fixed")):
        sha = world.double.push(REPOSITORY, "feature", {"calculator.py": content}, by="ada")
        run = verified(make_run(pull_number=run.pull_number, head_sha=sha, base_sha=run.base_sha))
        (comment,) = comments(world, run)
        assert expected in comment
    assert run.verdict == "passed"


def test_a_broken_policy_is_told_with_key_and_line_and_nothing_is_run(world: GitHubWorld) -> None:
    run = verified(world.run_for_pull(files={".booty.yml": policy(test=QUICK_TESTS) + "tst_command: x\n"}))
    assert (run.state, run.failure_code) == (State.FAILED, "config_invalid")
    assert ".booty.yml:4: unknown key 'tst_command'" in said(the_check(world, run))
    assert not run.commands.filter(name="test").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("#" + "x" * 10_000_000, "bytes long; at most 65,536 are read"),
        ("a: &a [x]\nb: [*a, *a]\n", "aliases (*name) are not allowed"),
    ],
    ids=["ten megabytes", "yaml bomb"],
)
def test_a_hostile_policy_is_refused_with_what_to_do(world: GitHubWorld, content: str, told: str) -> None:
    run = verified(world.run_for_pull(files={".booty.yml": content}))
    assert run.failure_code == "config_invalid"
    assert told in said(the_check(world, run))


def test_a_policy_that_is_a_symbolic_link_is_refused(world: GitHubWorld, tmp_path: Any) -> None:
    from tests.repositories import git

    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(world.double.repository(REPOSITORY).path), str(clone))
    git(clone, "checkout", "--quiet", "-b", "linked")
    (clone / ".booty.yml").unlink()
    (clone / ".booty.yml").symlink_to("/etc/passwd")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--message", "Link it")
    git(clone, "push", "--quiet", "origin", "linked")
    sha, base = git(clone, "rev-parse", "HEAD"), git(clone, "rev-parse", "HEAD~1")
    pull = world.double.open_pull(REPOSITORY, "linked", "main", "Link", "", by="ada")
    run = verified(make_run(pull_number=pull.number, head_sha=sha, base_sha=base))
    assert run.failure_code == "config_invalid"
    assert "is a symbolic link. Make it a regular file." in said(the_check(world, run))
    assert "root:" not in str(the_check(world, run))


def test_a_pull_request_that_changes_the_policy_is_judged_by_the_commands_of_its_base(world: GitHubWorld) -> None:
    files: dict[str, str | None] = {".booty.yml": policy(test="true"), "calculator.py": BROKEN_CALCULATOR}
    run = verified(world.run_for_pull(files=files))
    assert run.failure_code == "tests_failed"
    assert "The commands of the base branch were run" in said(the_check(world, run))


def without_policy(world: GitHubWorld) -> str:
    return world.double.push(REPOSITORY, "main", {".booty.yml": None}, by="ada")


def test_a_repository_without_a_policy_is_neutral_and_gets_a_starter_to_copy(world: GitHubWorld) -> None:
    without_policy(world)
    run = verified(world.run_for_pull())
    check = the_check(world, run)
    assert (run.state, run.verdict, check.conclusion) == (State.SUCCEEDED, "neutral", "neutral")
    assert "schema_version: 1" in said(check)


def test_an_agents_pull_request_without_a_policy_fails(world: GitHubWorld) -> None:
    without_policy(world)
    run = verified(world.run_for_pull("agent/issue-3"))
    assert (run.state, run.failure_code) == (State.FAILED, "config_invalid")


def test_a_policy_that_is_new_in_the_head_is_used_and_said_to_be_new(world: GitHubWorld) -> None:
    without_policy(world)
    run = verified(world.run_for_pull(files={".booty.yml": policy(test=QUICK_TESTS)}))
    assert run.verdict == "passed"
    assert "The base branch has no .booty.yml" in said(the_check(world, run))


def test_a_fork_is_neutral_says_why_and_its_code_is_not_run(world: GitHubWorld) -> None:
    run = verified(world.run_for_pull(head_repository="mallory/calculator"))
    assert (run.verdict, the_check(world, run).conclusion) == ("neutral", "neutral")
    assert "comes from a fork" in said(the_check(world, run))
    assert not run.commands.exists()


@pytest.mark.parametrize(
    ("values", "code", "title"),
    [
        ({"setup": "exit 7"}, "setup_failed", "Setup failed"),
        ({"install": "echo no such package; exit 1"}, "install_failed", "Install failed"),
        ({"test": "sleep 60", "timeout": 1}, "test_timeout", "A command took too long"),
        ({"test": "echo no tests ran in 0.01s; exit 5"}, "no_tests", "No tests found"),
    ],
)
def test_each_failing_command_has_its_own_code(world: GitHubWorld, values: dict[str, Any], code: str, title: str) -> None:
    world.double.push(REPOSITORY, "main", {".booty.yml": policy(**({"test": QUICK_TESTS} | values))}, by="ada")
    run = verified(world.run_for_pull())
    assert (run.state, run.failure_code) == (State.FAILED, code)
    assert (the_check(world, run).conclusion, the_check(world, run).title) == ("failure", title)


def test_a_base_that_is_gone_is_told_as_such(world: GitHubWorld) -> None:
    run = world.run_for_pull()
    VerificationRun.objects.filter(pk=run.pk).update(base_sha="d" * 40)
    assert verified(run).failure_code == "head_gone"


def test_a_run_whose_pull_request_has_moved_on_is_superseded_and_its_check_cancelled(world: GitHubWorld) -> None:
    run = world.run_for_pull()
    world.double.push(REPOSITORY, "feature", {"x.md": "x"}, by="ada")
    assert verified(run).state == State.SUPERSEDED
    assert the_check(world, run).conclusion == "cancelled"
    following = VerificationRun.objects.active().get()
    assert following.head_sha == world.double.branch_sha(REPOSITORY, "feature")
    assert comments(world, run) == []


def test_a_run_whose_pull_request_was_closed_is_cancelled(world: GitHubWorld) -> None:
    run = world.run_for_pull()
    world.double.close_pull(REPOSITORY, run.pull_number, by="ada")
    assert verified(run).state == State.CANCELLED


def test_a_repository_that_can_not_be_fetched_is_our_fault_and_says_what_to_check(world: GitHubWorld) -> None:
    run = world.run_for_pull()
    world.double.fail("GET", r"\.git/info/refs", status=403, times=None)
    with pytest.raises(WorkspaceUnavailable):
        process_verifier_job(str(run.pk))
    run.refresh_from_db()
    assert (run.state, run.failure_code, run.verdict) == (State.ERRORED, "workspace_unavailable", "")
    check = the_check(world, run)
    assert (check.conclusion, check.title) == ("failure", "Booty failed, not your change")
    assert "Check that it exists and that Booty may read it." in said(check)


def test_a_rerun_asked_for_by_someone_without_write_access_is_refused(world: GitHubWorld) -> None:
    world.double.add_user("mallory")
    run = verified(world.run_for_pull(trigger="check_run.rerequested", requested_by="mallory"))
    assert (run.state, run.failure_code) == (State.FAILED, "refused")


def test_a_rerun_posts_a_check_of_its_own_on_the_same_commit(world: GitHubWorld) -> None:
    first = verified(world.run_for_pull())
    again, _ = services.retry(first, trigger="check_run.rerequested", by="ada")
    verified(again)
    checks = world.double.check_runs(REPOSITORY, first.head_sha, "booty/verifier")
    assert [check.external_id for check in checks] == [str(first.pk), str(again.pk)]


def test_every_command_is_recorded_with_its_exit_code_time_and_output(world: GitHubWorld) -> None:
    run = verified(world.run_for_pull(files={"calculator.py": BROKEN_CALCULATOR}))
    test = run.commands.get(name="test")
    assert test.argv == ["/bin/sh", "-c", QUICK_TESTS]
    assert (test.ending, test.exit_code, test.attempt) == ("exited", 1, 1)
    assert test.seconds
    assert "FAILED test_calculator.py::test_multiply" in test.output
    assert run.commands.filter(name="fetch", exit_code=0).exists()


def test_no_secret_and_no_path_of_the_host_reaches_the_commands_or_github(world: GitHubWorld, settings: Settings) -> None:
    spy = "env; cat /proc/$PPID/comm; pwd; exit 1"
    world.double.push(REPOSITORY, "main", {".booty.yml": policy(test=spy)}, by="ada")
    run = verified(world.run_for_pull())
    shown = run.commands.get(name="test").output + str(the_check(world, run)) + "".join(comments(world, run))
    for secret in (settings.WEBHOOK_SECRET, settings.SECRET_KEY, "GITHUB_APP_PRIVATE_KEY", "WEBHOOK_SECRET", "DATABASE_URL"):
        assert secret not in shown
    assert "booty-run-" not in shown


def test_a_handed_on_variable_reaches_the_commands(
    world: GitHubWorld, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACKAGE_MIRROR", "the operator's own")
    settings.BOOTY_COMMAND_ENV = ("PACKAGE_MIRROR",)
    world.double.push(REPOSITORY, "main", {".booty.yml": policy(test='test "$PACKAGE_MIRROR" = "the operator\'s own"')}, by="ada")
    assert verified(world.run_for_pull()).verdict == "passed"


def test_gigantic_hostile_output_still_makes_a_check_and_a_comment(world: GitHubWorld) -> None:
    line = "yes '```</details> @everyone \x1b[31m' | head -c 5000000; exit 1"
    world.double.push(REPOSITORY, "main", {".booty.yml": policy(test=line.replace("\x1b", "\\033"))}, by="ada")
    run = verified(world.run_for_pull())
    assert len(the_check(world, run).text or "") <= MAX_TEXT
    assert len(comments(world, run)) == 1


def test_a_run_past_its_own_limit_errs_with_a_code_of_its_own(world: GitHubWorld, settings: Settings) -> None:
    from booty_site.errors import RunTimedOut

    settings.BOOTY_RUN_TIMEOUT = 4
    world.double.push(REPOSITORY, "main", {".booty.yml": policy(test="sleep 60")}, by="ada")
    run = world.run_for_pull()
    with pytest.raises(RunTimedOut):
        process_verifier_job(str(run.pk))
    run.refresh_from_db()
    assert (run.state, run.failure_code) == (State.ERRORED, "run_timed_out")


def test_with_a_token_instead_of_an_app_the_verdict_is_a_commit_status(
    tmp_path: Any, settings: Settings, calculator_source: Any
) -> None:
    import secrets

    settings.GITHUB_APP_ID, settings.GITHUB_APP_PRIVATE_KEY, settings.GITHUB_TOKEN = 0, "", "ghp_" + secrets.token_hex(18)
    with GitHubDouble(tmp_path / "github", token=settings.GITHUB_TOKEN) as double:
        settings.GITHUB_API_URL, settings.GITHUB_WEB_URL = double.api_url, double.web_url
        double.add_repository(REPOSITORY, source=calculator_source)
        double.add_user("ada")
        double.set_permission(REPOSITORY, "ada", "write")
        run = verified(GitHubWorld(double).run_for_pull(files={"calculator.py": BROKEN_CALCULATOR}))
        states = [(status.state, status.context) for status in double.statuses(REPOSITORY, run.head_sha)]
        assert sorted(states) == [("failure", "booty/verifier"), ("pending", "booty/verifier")]
        assert len(double.comments(REPOSITORY, run.pull_number)) == 1
        assert double.violations == []


def test_a_lost_reply_to_the_check_does_not_make_a_second_check(world: GitHubWorld) -> None:
    world.double.drop_reply("POST", r"/check-runs$", times=1)
    run = verified(world.run_for_pull())
    assert the_check(world, run).conclusion == "success"


def test_names_of_tests_that_mention_people_or_hold_control_characters_are_told_as_text(world: GitHubWorld) -> None:
    line = r"printf 'FAILED @acme/all::<b>\0\033[31m - x\n'; exit 1"
    world.double.push(REPOSITORY, "main", {".booty.yml": policy(test=line)}, by="ada")
    run = verified(world.run_for_pull())
    assert run.failure_code == "tests_failed"
    (comment,) = comments(world, run)
    first_sentence = comment.split("\n- ")[0]
    assert "acme/all" in first_sentence
    assert "@acme" not in first_sentence
    assert "<b>" not in first_sentence


def test_a_head_commit_that_does_not_exist_gives_way_to_the_one_that_does(world: GitHubWorld) -> None:
    run = world.run_for_pull()
    real = run.head_sha
    VerificationRun.objects.filter(pk=run.pk).update(head_sha="e" * 40, subject="made up")
    assert verified(run).state == State.SUPERSEDED
    assert VerificationRun.objects.active().get().head_sha == real


def test_a_run_superseded_while_it_is_announced_does_not_leave_a_check_in_progress(
    world: GitHubWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    from booty_site.runs import lifecycle, reconciler

    run = world.run_for_pull()

    def superseded_meanwhile(request: Any) -> None:
        if not lifecycle.supersede(VerificationRun.objects.active(), reason="A newer commit took its place."):
            return
        connection.close()

    world.double.on_request("POST", "/check-runs$", superseded_meanwhile)
    process_verifier_job(str(run.pk))
    reconciler.look()
    assert the_check(world, run).conclusion == "cancelled"


def test_secrets_in_the_output_of_tests_reach_neither_check_nor_comment_nor_row(world: GitHubWorld, settings: Settings) -> None:
    token = "ghs_" + "A1b2C3d4" * 5
    line = f"echo {settings.WEBHOOK_SECRET} {token} {settings.BASE_DIR}; exit 1"
    world.double.push(REPOSITORY, "main", {".booty.yml": policy(test=line)}, by="ada")
    run = verified(world.run_for_pull())
    told = said(the_check(world, run)) + "".join(comments(world, run)) + run.details
    assert "[redacted]" in told
    for secret in (settings.WEBHOOK_SECRET, token, str(settings.BASE_DIR)):
        assert secret not in told


def test_an_answer_of_github_that_is_older_than_its_webhook_is_asked_for_again(world: GitHubWorld) -> None:
    run = world.run_for_pull(head_seen_at=timezone.now() + timedelta(minutes=1))
    VerificationRun.objects.filter(pk=run.pk).update(head_sha="a" * 40)
    process_verifier_job(str(run.pk))
    run.refresh_from_db()
    assert (run.state, VerificationRun.objects.count()) == (State.WAITING, 1)


def test_an_old_check_that_is_told_late_does_not_hide_the_newer_runs(world: GitHubWorld) -> None:
    old = world.run_for_pull()
    VerificationRun.objects.filter(pk=old.pk).update(
        state=State.ERRORED, failure_code="crashed", finished_at=timezone.now(), created_at=timezone.now() - timedelta(hours=1)
    )
    old.refresh_from_db()
    services.retry(old, trigger="admin", by="operator")
    VerificationNotifier().deliver(old, CHECK)
    assert world.double.check_runs(old.repository, old.head_sha) == []
