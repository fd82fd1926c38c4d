"""Git on the host, against a real `git http-backend` that asks for a token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from booty_site.errors import WorkspaceUnavailable
from booty_site.execution.git import Author, CommitGone, FileRefused, Git, PushRefused, Remote
from booty_site.execution.process import CommandResult, run_command
from tests.factories import REPOSITORY, GitHubWorld
from tests.repositories import commit, git, make_calculator

AUTHOR = Author("Booty", "booty@example.org")


@pytest.fixture
def executed() -> list[tuple[Sequence[str], CommandResult]]:
    return []


@pytest.fixture
def here(tmp_path: Path, executed: list[tuple[Sequence[str], CommandResult]]) -> Git:
    def execute(name: str, argv: Sequence[str], cwd: Path, env: Mapping[str, str], stdin: str) -> CommandResult:
        result = run_command(argv, cwd=cwd, env=env, stdin=stdin, timeout=60)
        executed.append((argv, result))
        return result

    tool = Git(tmp_path / "git", execute)
    tool.prepare()
    return tool


@pytest.fixture
def remote(world: GitHubWorld) -> Remote:
    from booty_site.github.connect import connect

    return connect(REPOSITORY).remote()


def test_a_commit_is_fetched_with_the_token_and_the_token_is_in_no_argument(
    here: Git, remote: Remote, world: GitHubWorld, executed: list[tuple[Sequence[str], CommandResult]]
) -> None:
    sha = world.double.branch_sha(REPOSITORY, "main")
    assert sha
    here.fetch(remote, sha)
    assert here.resolve(sha) == sha
    assert remote.token
    assert not any(remote.token in word for argv, _ in executed for word in argv)


def test_without_the_token_nothing_is_fetched(here: Git, remote: Remote, world: GitHubWorld) -> None:
    sha = world.double.branch_sha(REPOSITORY, "main")
    assert sha
    with pytest.raises(WorkspaceUnavailable):
        here.fetch(Remote(remote.url), sha)


def test_a_commit_that_is_not_there_is_told_from_a_repository_that_is_not_there(here: Git, remote: Remote) -> None:
    with pytest.raises(CommitGone):
        here.fetch(remote, "0123456789" * 4)
    with pytest.raises(WorkspaceUnavailable):
        here.fetch(Remote(remote.url.replace("calculator", "nothing"), remote.token), "0123456789" * 4)


@pytest.mark.parametrize("name", ["--upload-pack=touch /tmp/x", "HEAD", "", "a" * 39])
def test_what_is_no_commit_id_never_reaches_git(here: Git, remote: Remote, name: str) -> None:
    with pytest.raises(CommitGone):
        here.fetch(remote, name)


@pytest.fixture
def local(tmp_path: Path) -> Path:
    return make_calculator(tmp_path / "local", None)


def fetched(here: Git, folder: Path) -> str:
    sha = git(folder, "rev-parse", "HEAD")
    here.fetch(Remote(str(folder)), sha)
    return sha


def test_a_file_is_read_out_of_a_commit(here: Git, local: Path) -> None:
    assert here.read_file(fetched(here, local), "README.md", limit=100) == b"# Calculator\n"
    assert here.read_file(fetched(here, local), "nothing", limit=100) is None


def test_a_symbolic_link_is_refused_and_not_followed(here: Git, local: Path) -> None:
    (local / ".booty.yml").symlink_to("/etc/passwd")
    git(local, "add", "--all")
    git(local, "commit", "--quiet", "--message", "A link")
    with pytest.raises(FileRefused, match="is a symbolic link"):
        here.read_file(fetched(here, local), ".booty.yml", limit=100)


def test_a_file_over_the_limit_is_refused_unread(here: Git, local: Path) -> None:
    commit(local, {"big": "x" * 1000}, "Big")
    with pytest.raises(FileRefused, match="1,000 bytes long; at most 100"):
        here.read_file(fetched(here, local), "big", limit=100)


def test_a_checkout_holds_the_files_and_a_git_that_works(here: Git, local: Path, tmp_path: Path) -> None:
    sha, workspace = fetched(here, local), tmp_path / "workspace"
    here.check_out(sha, workspace)
    assert (workspace / "calculator.py").exists()
    assert git(workspace, "rev-parse", "HEAD") == sha
    assert git(workspace, "status", "--porcelain") == ""


def test_files_that_an_archive_would_leave_out_are_checked_out(here: Git, local: Path, tmp_path: Path) -> None:
    commit(local, {".gitattributes": "test_calculator.py export-ignore\n"}, "Leave the tests out of archives")
    here.check_out(fetched(here, local), tmp_path / "workspace")
    assert (tmp_path / "workspace" / "test_calculator.py").exists()


def test_the_diff_of_a_workspace_becomes_a_commit(here: Git, local: Path, tmp_path: Path) -> None:
    sha, workspace = fetched(here, local), tmp_path / "workspace"
    here.check_out(sha, workspace)
    (workspace / "new.py").write_text("x = 1\n")
    (workspace / "README.md").unlink()
    (workspace / "__pycache__").mkdir()
    (workspace / "__pycache__" / "x.pyc").write_bytes(b"")
    made = here.commit_workspace(sha, workspace, "Change it\n", AUTHOR)
    assert made
    assert here.people_of(sha, made) == {AUTHOR.email}
    summary = here.change_summary(sha, made)
    assert "new.py" in summary
    assert "README.md" in summary
    assert "pycache" not in summary


def test_an_unchanged_workspace_makes_no_commit(here: Git, local: Path, tmp_path: Path) -> None:
    sha = fetched(here, local)
    here.check_out(sha, tmp_path / "workspace")
    assert here.commit_workspace(sha, tmp_path / "workspace", "Nothing\n", AUTHOR) is None


def test_hooks_and_settings_planted_in_a_workspace_have_no_power_over_git_on_the_host(
    here: Git, local: Path, tmp_path: Path
) -> None:
    sha, workspace, trap = fetched(here, local), tmp_path / "workspace", tmp_path / "trapped"
    here.check_out(sha, workspace)
    script = workspace / "trap.sh"
    script.write_text(f"#!/bin/sh\ntouch {trap}\n")
    script.chmod(0o755)
    for name, value in (("core.fsmonitor", str(script)), ("core.hooksPath", str(workspace)), ("filter.x.clean", str(script))):
        git(workspace, "config", name, value)
    (workspace / "pre-commit").symlink_to(script)
    (workspace / ".gitattributes").write_text("* filter=x\n")
    trap.unlink(missing_ok=True)
    assert here.commit_workspace(sha, workspace, "Changed\n", AUTHOR)
    assert not trap.exists()
    git(workspace, "status")
    assert trap.exists(), "the trap must work where its settings are read, or this test proves nothing"


def test_a_push_over_a_branch_that_moved_is_refused(here: Git, remote: Remote, world: GitHubWorld, tmp_path: Path) -> None:
    base = here.fetch_branch(remote, "main")
    here.check_out(base, tmp_path / "workspace")
    (tmp_path / "workspace" / "new.py").write_text("x = 1\n")
    made = here.commit_workspace(base, tmp_path / "workspace", "Change\n", AUTHOR)
    assert made
    here.push(remote, made, "agent/issue-1", expected="")
    assert world.double.branch_sha(REPOSITORY, "agent/issue-1") == made
    with pytest.raises(PushRefused):
        here.push(remote, base, "agent/issue-1", expected="")
    assert world.double.branch_sha(REPOSITORY, "agent/issue-1") == made


def test_a_branch_that_is_not_there_is_gone(here: Git, remote: Remote) -> None:
    with pytest.raises(CommitGone):
        here.fetch_branch(remote, "nothing")


def test_a_protocol_that_runs_programs_is_not_allowed(here: Git, tmp_path: Path) -> None:
    with pytest.raises(WorkspaceUnavailable):
        here.fetch(Remote(f"ext::sh -c touch% {tmp_path}/x"), "a" * 40)
    assert not (tmp_path / "x").exists()
