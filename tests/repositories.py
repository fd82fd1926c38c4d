"""Real git repositories with history and real tests, made on the spot."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

IDENTITY = {
    "GIT_AUTHOR_NAME": "Ada Maintainer",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada Maintainer",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "PATH": os.environ.get("PATH", os.defpath),
}

CALCULATOR = '''\
"""A pocket calculator."""


def add(a: int, b: int) -> int:
    return a + b


def multiply(a: int, b: int) -> int:
    return a * b
'''
CALCULATOR_TESTS = """\
from calculator import add, multiply


def test_add():
    assert add(2, 3) == 5


def test_multiply():
    assert multiply(2, 3) == 6
"""

QUICK_RUNNER = '''\
"""Runs the test functions and names the failing ones as pytest's summary does."""

import sys
import test_calculator

failed = 0
for name, function in list(vars(test_calculator).items()):
    if name.startswith("test_"):
        try:
            function()
        except AssertionError:
            failed += 1
            print(f"FAILED test_calculator.py::{name} - AssertionError")
sys.exit(bool(failed))
'''


def git(folder: Path, *words: str) -> str:
    """Run git in a folder and return what it printed; raises when it fails."""
    return subprocess.run(["git", *words], cwd=folder, env=IDENTITY, text=True, capture_output=True, check=True).stdout.strip()


def commit(folder: Path, files: Mapping[str, str], message: str) -> str:
    """Write files, commit them and return the commit's id."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(folder, "rev-parse", "HEAD")


def policy(*, test: str = "python -m pytest -q", install: str = "", setup: str = "", timeout: int = 120) -> str:
    """Return a `.booty.yml`."""
    lines = ["schema_version: 1", f"test_command: {quoted(test)}", f"timeout_seconds: {timeout}"]
    if install:
        lines.append(f"install_command: {quoted(install)}")
    if setup:
        lines.append(f"setup_command: {quoted(setup)}")
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def install_pytest(wheels: Path) -> str:
    """Return the install command of a repository whose tests need pytest, from a folder of wheels."""
    return f"python -m pip install --quiet --no-index --find-links {shlex.quote(str(wheels))} pytest"


def make_calculator(folder: Path, booty_yml: str | None) -> Path:
    """Make a small project with a few commits of history; without a `.booty.yml` when it is None."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, {"README.md": "# Calculator\n"}, "Begin")
    commit(folder, {"calculator.py": CALCULATOR}, "Add the calculator")
    files = {"test_calculator.py": CALCULATOR_TESTS, ".gitignore": "__pycache__/\n.pytest_cache/\n"}
    commit(folder, files | ({".booty.yml": booty_yml} if booty_yml else {}), "Test the calculator")
    return folder
