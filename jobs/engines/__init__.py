"""Engines write the code. The protocol all of them follow, and the one that the operator chose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from django.conf import settings

from booty_site.runs.workbench import Workbench


@dataclass(frozen=True)
class Task:
    """What an engine is asked: to change the files of a workspace as the prompt says."""

    prompt: str
    workspace: Path


@dataclass(frozen=True)
class EngineResult:
    """What an engine says about its work. Only the diff counts; this is for the reader."""

    finished: bool
    summary: str


class Engine(Protocol):
    def run(self, task: Task, bench: Workbench) -> EngineResult:
        """Change the workspace. Raises EngineFailed when the engine could not do its work at all."""


def chosen_engine() -> Engine:
    """Return the engine that BOOTY_ENGINE names."""
    from jobs.engines.command import CommandEngine

    return CommandEngine(settings.BOOTY_ENGINE_COMMAND, settings.BOOTY_ENGINE_TIMEOUT, settings.BOOTY_ENGINE_ENV)
