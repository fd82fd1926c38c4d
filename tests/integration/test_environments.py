"""The folders of a run, and the environment that is made in them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from booty_site.execution.environments import command_variables, make_environment, run_folders
from booty_site.execution.process import run_command


def test_a_run_leaves_no_folder_behind_even_when_it_breaks(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), run_folders(tmp_path / "runs"):
        raise ZeroDivisionError
    assert list((tmp_path / "runs").iterdir()) == []


def test_three_thousand_nested_folders_and_one_without_rights_are_removed(tmp_path: Path) -> None:
    nest = "import os\nfor _ in range(3000):\n    os.mkdir('d')\n    os.chdir('d')"
    with run_folders(tmp_path / "runs") as folders:
        folders.workspace.mkdir()
        subprocess.run([sys.executable, "-c", nest], cwd=folders.workspace, check=True)
        (folders.workspace / "locked" / "inner").mkdir(parents=True)
        (folders.workspace / "locked").chmod(0)
    assert list((tmp_path / "runs").iterdir()) == []


def test_the_environment_is_fresh_and_has_pip(tmp_path: Path) -> None:
    with run_folders(tmp_path / "runs") as folders:
        make_environment(folders, lambda name, argv, cwd, env: run_command(argv, cwd=cwd, env=env, timeout=120))
        variables = command_variables(folders, ())
        packages = run_command(("pip", "list", "--format=freeze"), cwd=folders.root, env=variables, timeout=60)
        python = run_command(("python", "-c", "import sys; print(sys.prefix)"), cwd=folders.root, env=variables, timeout=60)
        assert [line.split("==")[0] for line in packages.output.splitlines() if "==" in line] == ["pip"]
        assert python.output.strip() == str(folders.environment)


def test_only_what_is_named_is_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKAGE_MIRROR", "one")
    monkeypatch.setenv("OTHER", "two")
    with run_folders(tmp_path / "runs") as folders:
        variables = command_variables(folders, ("PACKAGE_MIRROR", "NOT_SET"))
    assert variables["PACKAGE_MIRROR"] == "one"
    assert not set(variables) & {"OTHER", "NOT_SET", "WEBHOOK_SECRET"}
    assert "WEBHOOK_SECRET" in os.environ
