"""Writes a run's commands to the database as they happen, capped and redacted."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from django.db import DatabaseError

from booty_site.execution.process import CommandResult
from booty_site.redaction import redact
from booty_site.runs.models import CommandRecord, Run
from booty_site.runs.persistence import insist

logger = logging.getLogger(__name__)
WRITE_EVERY_SECONDS = 1.0


class CommandRecords:
    """The recorder of a run that has a row."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._written = 0.0

    def began(self, name: str, argv: Sequence[str]) -> CommandRecord:
        self._written = time.monotonic()
        words = [redact(word) for word in argv]
        command: CommandRecord = insist(lambda: self._run.commands.create(attempt=self._run.attempt, name=name, argv=words))
        return command

    def printed(self, command: CommandRecord, output: str) -> None:
        if time.monotonic() - self._written < WRITE_EVERY_SECONDS:
            return
        self._written = time.monotonic()
        try:
            self._update(command, output=redact(output))
        except DatabaseError as error:
            logger.warning("%s: output could not be written yet: %s", self._run, type(error).__name__)

    def ended(self, command: CommandRecord, result: CommandResult) -> None:
        values = {"ending": result.ending.value, "exit_code": result.exit_code, "seconds": result.seconds}
        insist(lambda: self._update(command, output=redact(result.output), **values))

    @staticmethod
    def _update(command: CommandRecord, **values: object) -> None:
        type(command)._default_manager.filter(pk=command.pk).update(**values)
