"""Questions to, and changes of, the bare repositories by the git program."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
STATUS_WORDS = {"A": "added", "M": "modified", "D": "removed", "R": "renamed", "C": "copied"}


class GitError(Exception):
    """The git program refused."""


@dataclass(frozen=True)
class ChangedFile:
    """One file of a difference."""

    filename: str
    status: str
    additions: int
    deletions: int
    previous_filename: str | None


@dataclass(frozen=True)
class CommitFacts:
    """What GitHub tells of a commit."""

    sha: str
    tree: str
    parents: list[str]
    author: dict[str, str]
    committer: dict[str, str]
    message: str


def environment() -> dict[str, str]:
    """Return an environment in which no one's own git settings count."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return kept | {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "Double",
        "GIT_AUTHOR_EMAIL": "double@example.invalid",
        "GIT_COMMITTER_NAME": "Double",
        "GIT_COMMITTER_EMAIL": "double@example.invalid",
    }


def git(path: Path, *arguments: str, input_text: str | None = None, index: Path | None = None) -> str:
    """Run git in a repository and return what it printed, without the last newline."""
    done = subprocess.run(
        ["git", "-C", str(path), *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        input=input_text,
        env=environment() | ({"GIT_INDEX_FILE": str(index)} if index else {}),
        check=False,
    )
    if done.returncode:
        raise GitError(done.stderr.strip() or f"git {arguments[0]} failed")
    return done.stdout.removesuffix("\n")


def make_bare(path: Path, source: Path | None, default_branch: str) -> None:
    """Make the bare repository, from a local one or with a first commit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if source is None:
        git(path.parent, "init", "--quiet", "--bare", str(path))
        blob = git(path, "hash-object", "-w", "--stdin", input_text=f"# {path.stem}\n")
        tree = git(path, "mktree", input_text=f"100644 blob {blob}\tREADME.md\n")
        commit = git(path, "commit-tree", tree, "-m", "Initial commit")
        git(path, "update-ref", f"refs/heads/{default_branch}", commit)
    else:
        git(path.parent, "clone", "--quiet", "--bare", "--no-hardlinks", str(source), str(path))
    git(path, "symbolic-ref", "HEAD", f"refs/heads/{default_branch}")
    for name, value in (
        ("http.receivepack", "true"),
        ("uploadpack.allowAnySHA1InWant", "true"),
        # GitHub keeps the refs of pull requests to itself.
        ("receive.hideRefs", "refs/pull"),
        # No tidying in the background while tests look at the folder.
        ("receive.autogc", "false"),
        ("gc.auto", "0"),
    ):
        git(path, "config", name, value)


def commit_files_to_branch(path: Path, branch: str, start: str, files: Mapping[str, str | None], message: str) -> str:
    """Add a commit to a branch; a file without text is taken away.

    The branch is made at ``start`` when it is not there yet.
    """
    parent = branch_sha(path, branch) or branch_sha(path, start)
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder, "index")
        if parent is not None:
            git(path, "read-tree", parent, index=index)
        for name, text in files.items():
            if text is None:
                gone = f"0 {'0' * 40}\t{name}\n"
                git(path, "update-index", "--index-info", input_text=gone, index=index)
                continue
            blob = git(path, "hash-object", "-w", "--stdin", input_text=text)
            entry = f"100644,{blob},{name}"
            git(path, "update-index", "--add", "--cacheinfo", entry, index=index)
        tree = git(path, "write-tree", index=index)
    parents = ["-p", parent] if parent is not None else []
    commit = git(path, "commit-tree", tree, *parents, "-m", message)
    git(path, "update-ref", f"refs/heads/{branch}", commit)
    return commit


def sha_of(path: Path, reference: str) -> str | None:
    """Return the commit a branch, tag or (whole) hash names, or None."""
    if reference.startswith("-"):
        return None
    for candidate in (f"refs/heads/{reference}", f"refs/{reference}", reference):
        try:
            return git(path, "rev-parse", "--verify", "--quiet", f"{candidate}^{{commit}}")
        except GitError:
            continue
    return None


def branch_sha(path: Path, branch: str) -> str | None:
    """Return the tip of a branch, or None."""
    try:
        return git(path, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{commit}}")
    except GitError:
        return None


def set_pull_ref(base: Path, head: Path, sha: str, number: int) -> None:
    """Let ``refs/pull/N/head`` of the base repository name the pull's head."""
    if base != head:
        git(base, "fetch", "--quiet", "--no-tags", str(head), sha)
    git(base, "update-ref", f"refs/pull/{number}/head", sha)


def commits_between(path: Path, base: str, head: str) -> int:
    """Count the commits of head that base has not."""
    return int(git(path, "rev-list", "--count", f"{base}..{head}"))


def is_ancestor(path: Path, older: str, newer: str) -> bool:
    """Tell whether ``newer`` has ``older`` in its history."""
    try:
        git(path, "merge-base", "--is-ancestor", older, newer)
    except GitError:
        return False
    return True


def changed_files(path: Path, base: str, head: str) -> list[ChangedFile]:
    """Return what head changed since it left base, as a pull request shows it."""
    try:
        start = git(path, "merge-base", base, head)
    except GitError:
        start = EMPTY_TREE
    return _difference(path, start, head)


def commit_files(path: Path, facts: CommitFacts) -> list[ChangedFile]:
    """Return what one commit changed since its first parent."""
    return _difference(path, facts.parents[0] if facts.parents else EMPTY_TREE, facts.sha)


def _difference(path: Path, old: str, new: str) -> list[ChangedFile]:
    raw = git(path, "diff", "-z", "-M", "--name-status", old, new).split("\0")
    counts = git(path, "diff", "-z", "-M", "--numstat", old, new).split("\0")
    files: list[ChangedFile] = []
    at = count_at = 0
    while at < len(raw) and raw[at]:
        letter = raw[at][0]
        added, deleted, _ = counts[count_at].split("\t", 2)
        previous = raw[at + 1] if letter in "RC" else None
        name = raw[at + 2] if previous is not None else raw[at + 1]
        files.append(
            ChangedFile(
                filename=name,
                status=STATUS_WORDS.get(letter, "changed"),
                additions=0 if added == "-" else int(added),
                deletions=0 if deleted == "-" else int(deleted),
                previous_filename=previous,
            )
        )
        # A renamed file takes one field more in both lists.
        at += 3 if previous is not None else 2
        count_at += 3 if previous is not None else 1
    return files


def commit_facts(path: Path, sha: str) -> CommitFacts:
    """Return what git knows of a commit."""
    layout = "%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B"
    parts = git(path, "log", "-1", f"--format={layout}", sha).split("\0")
    return CommitFacts(
        sha=parts[0],
        tree=parts[1],
        parents=parts[2].split(),
        author={"name": parts[3], "email": parts[4], "date": parts[5]},
        committer={"name": parts[6], "email": parts[7], "date": parts[8]},
        message=parts[9].rstrip("\n"),
    )
