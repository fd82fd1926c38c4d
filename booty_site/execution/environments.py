"""The folders of one run, and the Python environment and variables that a repository's commands get."""

from __future__ import annotations

import ensurepip
import os
import sys
import sysconfig
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uv

from booty_site.errors import EnvironmentUnavailable
from booty_site.execution.process import CommandResult, run_command

SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")

REMOVAL_SECONDS = 120.0

# (name of the step, argv, folder, environment) -> result
Execute = Callable[[str, Sequence[str], Path, Mapping[str, str]], CommandResult]


@dataclass(frozen=True)
class Folders:
    """Where one run works. Only `workspace`, `environment` and `home` are for the repository's commands."""

    root: Path

    def without_paths(self, text: str) -> str:
        """Return text with the host's paths taken out: those of the workspace become relative."""
        workspace = str(self.workspace)
        return text.replace(f"{workspace}/", "").replace(workspace, ".").replace(str(self.root), "<run>")

    @property
    def git(self) -> Path:
        return self.root / "git"

    @property
    def workspace(self) -> Path:
        return self.root / "workspace"

    @property
    def environment(self) -> Path:
        return self.root / "environment"

    @property
    def home(self) -> Path:
        return self.root / "home"


def folder_of(parent: Path, owner: str) -> Path:
    """Return where the run of an owner works; `owner` is a random text that nobody can foresee."""
    return parent / f"booty-run-{owner}"


@contextmanager
def run_folders(parent: Path, owner: str = "") -> Iterator[Folders]:
    """Give a run its folders below `parent` and remove them afterwards.

    `parent` must not lie inside a project: tools such as pytest look for their configuration in every
    folder above the one they start in. Raises EnvironmentUnavailable when no folder can be made there.
    """
    root = folder_of(parent, owner or uuid.uuid4().hex)
    try:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        root.mkdir(mode=0o700)
        (root / "home").mkdir()
    except OSError as error:
        raise EnvironmentUnavailable(f"no folder can be made in {parent}: {error.strerror}. Check BOOTY_RUNS_DIR.") from error
    try:
        yield Folders(root)
    finally:
        remove_tree(root)


def remove_tree(root: Path) -> None:
    """Remove a folder that strangers' commands wrote to: thousands of levels deep, or without rights.

    Python's own rmtree runs out of stack at such a depth. What resists all the same stays where it is.
    """
    for words in (("chmod", "-R", "u+rwX"), ("rm", "-rf")):
        run_command((*words, "--", str(root)), cwd=root.parent, env={"PATH": os.defpath}, timeout=REMOVAL_SECONDS)


def command_variables(folders: Folders, handed_on: Sequence[str]) -> dict[str, str]:
    """Return the whole environment of a repository's commands.

    `handed_on` names variables of this process that the operator lets through; nothing else of it is
    in there, so no secret of Booty's is.
    """
    variables = {name: os.environ[name] for name in handed_on if name in os.environ}
    return {
        "PATH": os.pathsep.join((str(folders.environment / "bin"), *SYSTEM_PATH)),
        "HOME": str(folders.home),
        "VIRTUAL_ENV": str(folders.environment),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "CI": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        **variables,
    }


def make_environment(folders: Folders, execute: Execute) -> None:
    """Make an empty virtual environment with pip in it. Raises EnvironmentUnavailable."""
    variables = {"PATH": os.pathsep.join(SYSTEM_PATH), "HOME": str(folders.home), "UV_CACHE_DIR": str(folders.root / "uv")}
    program, target = uv.find_uv_bin(), str(folders.environment)
    python = str(folders.environment / "bin" / "python")
    pip = _bundled_pip()
    commands = [
        (program, "venv", "--quiet", "--offline", "--no-config", "--python", _interpreter(), target),
        (program, "pip", "install", "--quiet", "--offline", "--no-config", "--no-index", "--python", python, str(pip)),
    ]
    if pip is None:
        commands = [(_interpreter(), "-m", "venv", target)]
    for command in commands:
        result = execute("environment", command, folders.root, variables)
        if not result.ok:
            raise EnvironmentUnavailable(f"{' '.join(command[:2])} failed: {result.output.strip()[-300:]}")


def _interpreter() -> str:
    """Return the interpreter that Booty's own environment was made from."""
    return str(getattr(sys, "_base_executable", "") or sys.executable)


def _bundled_pip() -> Path | None:
    """Return the wheel of pip that comes with Python: beside ensurepip, or where Debian puts it."""
    places = [Path(ensurepip.__file__).parent / "_bundled"]
    if debian := sysconfig.get_config_var("WHEEL_PKG_DIR"):
        places.append(Path(debian))
    return next((wheel for place in places for wheel in sorted(place.glob("pip-*.whl"))), None)
