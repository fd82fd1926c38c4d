"""Git on the host: fetch by commit, read files out of commits, check out, commit and push.

The repository that git works in (`store`) lies outside the workspace, so nothing that a repository's
commands write there, hooks and configuration included, has any power over git on the host.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from booty_site import faults
from booty_site.errors import WorkspaceUnavailable
from booty_site.execution.process import CommandResult, Ending

SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
REGULAR_FILE_MODES = ("100644", "100755")
GONE = re.compile(r"not our ref|unadvertised object|couldn't find remote ref|no such ref|bad object", re.IGNORECASE)

# What git says when the network or the server is at fault rather than what was asked for.
PASSING = re.compile(
    r"could not resolve host|failed to connect|couldn't connect|connection (?:refused|reset|timed out)|timed out|"
    r"error: (?:5\d\d|429)|http 5\d\d|rpc failed|early eof|unexpected(?: end| disconnect| eof)|hung up|empty reply|"
    r"gnutls_handshake|ssl_error|transfer closed",
    re.IGNORECASE,
)

ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C.UTF-8",
    "PATH": os.defpath,
}
OPTIONS = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0", "-c", "advice.detachedHead=false")


class CommitGone(Exception):
    """The remote does not have the commit that was asked for."""


class PushRefused(Exception):
    """The branch on the remote is not the one that was seen: someone else pushed to it."""


class FileRefused(Exception):
    """A file of a commit is not one that Booty reads; the text says why, without its name."""


@dataclass(frozen=True)
class Remote:
    """A repository to fetch from: an address and, for http, the token that opens it."""

    url: str
    token: str = ""


@dataclass(frozen=True)
class Author:
    name: str
    email: str


# (name of the step, argv, folder, environment, standard input) -> result
Execute = Callable[[str, Sequence[str], Path, Mapping[str, str], str], CommandResult]


class Git:
    """Git on a bare repository below `home`; every command goes through `execute`."""

    def __init__(self, home: Path, execute: Execute) -> None:
        self._home = home
        self._execute = execute
        self.store = home / "repository.git"
        self._index = home / "index"

    def prepare(self) -> None:
        """Make the empty store. Raises WorkspaceUnavailable."""
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._must("init", "init", "--bare", "--quiet", "--initial-branch=booty", str(self.store), store=False)

    def fetch(self, remote: Remote, *commits: str) -> None:
        """Fetch commits with their history, each kept by a reference of its own.

        Raises CommitGone when the remote does not have one of them, WorkspaceUnavailable for any other cause.
        """
        for commit in commits:
            if not SHA.match(commit):
                raise CommitGone(commit)
        refspecs = [f"+{commit}:refs/booty/{commit}" for commit in dict.fromkeys(commits)]
        self._fetch(remote, *refspecs)

    def fetch_branch(self, remote: Remote, branch: str) -> str:
        """Fetch a branch and return its commit. Raises CommitGone when there is no such branch."""
        self._fetch(remote, f"+refs/heads/{branch}:refs/booty/heads/{branch}")
        return self.resolve(f"refs/booty/heads/{branch}")

    def find(self, remote: Remote, name: str) -> str:
        """Return the commit of a branch, a tag or a commit id of a remote. Raises CommitGone.

        In a folder any name that git understands will do, such as HEAD~2.
        """
        if SHA.match(name):
            return name
        if Path(remote.url).is_dir():
            words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
            result = self._raw("resolve", ("git", *OPTIONS, "-C", remote.url, *words), self._home, check=False)
            if not result.ok:
                raise CommitGone(name)
            return result.output.strip()
        self._fetch(remote, f"+{name}:refs/booty/found")
        return self.resolve("refs/booty/found")

    def resolve(self, name: str) -> str:
        """Return the full commit id of a name. Raises CommitGone when it means nothing here."""
        result = self._run("resolve", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if not result.ok:
            raise CommitGone(name)
        return result.output.strip()

    def merge_base(self, one: str, other: str) -> str | None:
        """Return the best common ancestor of two commits, or None when their histories never met."""
        result = self._run("merge-base", "merge-base", one, other)
        return result.output.strip() if result.ok else None

    def read_file(self, commit: str, path: str, *, limit: int) -> bytes | None:
        """Return the bytes of a regular file of a commit, or None when there is none.

        Read from the object store, never from a workspace. Raises FileRefused for a symbolic link, a
        folder, a submodule, or more than `limit` bytes.
        """
        listing = self._must("read", "ls-tree", "-z", "-l", commit, "--", path).output
        if not listing:
            return None
        mode, _, blob, size = listing.split("\t", 1)[0].split()
        if mode not in REGULAR_FILE_MODES:
            kind = {"120000": "a symbolic link", "040000": "a folder", "160000": "a submodule"}.get(mode, "not a regular file")
            raise FileRefused(f"is {kind}. Make it a regular file.")
        if int(size) > limit:
            raise FileRefused(f"is {int(size):,} bytes long; at most {limit:,} are read. Make it shorter.")
        return self._must("read", "cat-file", "blob", blob).output.encode()

    def check_out(self, commit: str, workspace: Path) -> None:
        """Lay the files of a commit into an empty workspace, with a private `.git` of its own.

        The workspace's `.git` borrows the store's objects, for tools that ask git for the version.
        Raises WorkspaceUnavailable.
        """
        workspace.mkdir(parents=True, exist_ok=True)
        self._must("checkout", "read-tree", commit)
        self._must("checkout", "checkout-index", "--all", "--force", "--quiet", workspace=workspace)
        private = ("git", *OPTIONS)
        self._raw("checkout", (*private, "init", "--quiet", "--initial-branch=booty", str(workspace)), workspace)
        alternates = workspace / ".git" / "objects" / "info" / "alternates"
        alternates.write_text(f"{self.store / 'objects'}\n", encoding="utf-8")
        self._raw("checkout", (*private, "update-ref", "HEAD", commit), workspace)
        self._raw("checkout", (*private, "read-tree", "HEAD"), workspace)

    def change_summary(self, before: str, after: str) -> str:
        """Return the changed files with their added and removed lines, as git prints them."""
        return self._must("diff", "diff", "--no-ext-diff", "--no-textconv", "--stat=100", before, after).output.strip()

    def commit_workspace(self, parent: str, workspace: Path, message: str, author: Author) -> str | None:
        """Commit what the workspace now holds on top of `parent`; None when nothing changed.

        Ignored files stay out. Raises WorkspaceUnavailable.
        """
        self._must("commit", "read-tree", parent)
        self._must("commit", "add", "--all", ".", workspace=workspace)
        tree = self._must("commit", "write-tree").output.strip()
        if tree == self._must("commit", "rev-parse", f"{parent}^{{tree}}").output.strip():
            return None
        identity = {
            "GIT_AUTHOR_NAME": author.name,
            "GIT_AUTHOR_EMAIL": author.email,
            "GIT_COMMITTER_NAME": author.name,
            "GIT_COMMITTER_EMAIL": author.email,
        }
        result = self._must("commit", "commit-tree", tree, "-p", parent, "-F", "-", stdin=message, extra=identity)
        commit = result.output.strip()
        self._must("commit", "update-ref", f"refs/booty/{commit}", commit)
        return commit

    def people_of(self, base: str, tip: str) -> set[str]:
        """Return the e-mail addresses of who wrote or made the commits that `tip` has over `base`.

        Amending a commit changes who made it and keeps who wrote it, so both count.
        """
        output = self._must("read", "log", "--format=%ae%n%ce", f"{base}..{tip}").output
        return set(output.split())

    def push(self, remote: Remote, commit: str, branch: str, *, expected: str) -> None:
        """Push a commit as a branch, only over `expected` (an empty text: only if there is no branch).

        Raises PushRefused when the branch is another one by now, WorkspaceUnavailable otherwise.
        """
        faults.reach("git.push")
        reference = f"refs/heads/{branch}"
        argv = ["push", "--quiet", f"--force-with-lease={reference}:{expected}", remote.url, f"{commit}:{reference}"]
        result = self._run("push", *argv, remote=remote)
        if result.ok:
            return
        if "stale info" in result.output or "[rejected]" in result.output:
            raise PushRefused(branch)
        raise WorkspaceUnavailable(
            f"git push failed: {_complaint(result)}", public="The branch could not be pushed.", transient=_may_pass(result)
        )

    def _fetch(self, remote: Remote, *refspecs: str) -> None:
        faults.reach("git.fetch")
        options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules")
        result = self._run("fetch", "fetch", *options, remote.url, *refspecs, remote=remote)
        if result.ok:
            return
        if GONE.search(result.output):
            raise CommitGone(", ".join(refspecs))
        raise WorkspaceUnavailable(f"git fetch failed: {_complaint(result)}", transient=_may_pass(result))

    def _must(
        self,
        step: str,
        *words: str,
        store: bool = True,
        workspace: Path | None = None,
        stdin: str = "",
        extra: Mapping[str, str] | None = None,
    ) -> CommandResult:
        result = self._run(step, *words, store=store, workspace=workspace, stdin=stdin, extra=extra)
        if not result.ok:
            raise WorkspaceUnavailable(f"git {words[0]} failed: {_complaint(result)}")
        return result

    def _run(
        self,
        step: str,
        *words: str,
        store: bool = True,
        workspace: Path | None = None,
        stdin: str = "",
        extra: Mapping[str, str] | None = None,
        remote: Remote | None = None,
    ) -> CommandResult:
        argv = ["git", *OPTIONS]
        if store:
            argv += [f"--git-dir={self.store}"]
        if workspace is not None:
            argv += [f"--work-tree={workspace}"]
        environment = {"GIT_INDEX_FILE": str(self._index)} if store else {}
        environment.update(extra or {})
        if remote is not None:
            environment.update(self._credentials(remote))
        return self._raw(step, (*argv, *words), workspace or self._home, environment, stdin, check=False)

    def _raw(
        self,
        step: str,
        argv: Sequence[str],
        folder: Path,
        extra: Mapping[str, str] | None = None,
        stdin: str = "",
        *,
        check: bool = True,
    ) -> CommandResult:
        environment = {**ENVIRONMENT, "HOME": str(self._home), **(extra or {})}
        result = self._execute(step, argv, folder, environment, stdin)
        if result.ending is Ending.NOT_STARTED:
            raise WorkspaceUnavailable(f"git could not be started: {result.output}", public="Git could not be started.")
        if check and not result.ok:
            raise WorkspaceUnavailable(f"{' '.join(argv[:2])} failed: {_complaint(result)}")
        return result

    def _credentials(self, remote: Remote) -> dict[str, str]:
        """Return the environment that opens this one remote; the token is in no argument and no file."""
        scheme = remote.url.split(":", 1)[0] if "://" in remote.url else "file"
        allowed = {"GIT_ALLOW_PROTOCOL": scheme if scheme in ("http", "https", "file") else "none"}
        if not remote.token:
            return allowed
        helper = self._home / "askpass"
        if not helper.exists():
            helper.write_text(
                '#!/bin/sh\ncase "$1" in User*) echo x-access-token;; *) printf "%s\\n" "$BOOTY_GIT_TOKEN";; esac\n'
            )
            helper.chmod(0o700)
        return {**allowed, "GIT_ASKPASS": str(helper), "BOOTY_GIT_TOKEN": remote.token}


def _may_pass(result: CommandResult) -> bool:
    """Tell whether a command that talked to a server failed for a cause that may pass by itself."""
    return result.ending is Ending.TIMED_OUT or PASSING.search(result.output) is not None


def _complaint(result: CommandResult) -> str:
    if result.ending is not Ending.EXITED:
        return result.ending.value.replace("_", " ")
    lines = result.output.strip().splitlines()
    telling = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))]
    return (telling or lines or [f"exit code {result.exit_code}"])[-1]
