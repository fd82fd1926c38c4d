"""Fault points do nothing until someone asks, and then break one process once."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings

from booty_site import checks, faults


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(faults, "FOLDER", str(tmp_path))
    return tmp_path


def test_without_the_variable_a_point_is_an_empty_function() -> None:
    assert faults.FOLDER == ""
    assert faults.reach is faults._nothing


def test_an_armed_point_breaks_once(folder: Path) -> None:
    (folder / "run.middle").write_text("raise")
    with pytest.raises(faults.FaultInjected, match=r"run\.middle"):
        faults._look("run.middle")
    faults._look("run.middle")


def test_a_point_that_is_not_armed_does_nothing(folder: Path) -> None:
    (folder / "run.middle").write_text("raise")
    faults._look("run.start")
    assert (folder / "run.middle").exists()


def test_a_broken_point_names_the_process_that_got_there(folder: Path) -> None:
    import os

    (folder / "run.middle").write_text("raise")
    with pytest.raises(faults.FaultInjected):
        faults._look("run.middle")
    assert (folder / f"run.middle{faults.FIRED}").read_text() == str(os.getpid())


def test_production_does_not_start_with_faults_switched_on(settings: Settings) -> None:
    settings.BOOTY_FAULTS_DIR, settings.PRODUCTION = "/somewhere", True
    (message,) = checks.no_fault_is_switched_on(None)
    assert (message.id, message.level) == ("booty.E004", 40)
