"""Keeps a claimed run claimed while its work goes on, and ends the work when the run is lost."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from booty_site.runs import lifecycle
from booty_site.runs.models import Run

logger = logging.getLogger(__name__)
# How soon a cancelled or superseded run is noticed by the process that works on it.
LOOK_SECONDS = 0.5
# What a process that lost its run may take to come to an end by itself.
LEAVE_SECONDS = 3.0


class Heartbeat:
    """Renews the lease of a run in a thread of its own, for the length of a `with` block.

    `lost` is set as soon as the run is no longer this process's: cancelled, superseded, taken over, or
    not renewed for a whole lease because the database could not be reached. A block that does not end
    soon after is ended by `abandon`. `since` is a reading of `time.monotonic()` from before the claim.
    """

    def __init__(self, run: Run, *, since: float, abandon: Callable[[], None] = lambda: None) -> None:
        self._run = run
        self._abandon = abandon
        self._renewed = since
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self.lost = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()

    def holds(self) -> bool:
        """Tell whether the run is still this process's, by the clock alone: a process that was stopped asks too late."""
        return not self.lost.is_set() and time.monotonic() - self._renewed < settings.BOOTY_LEASE_SECONDS

    def _beat(self) -> None:
        look = min(LOOK_SECONDS, settings.BOOTY_HEARTBEAT_SECONDS)
        try:
            while not self._done.wait(look):
                asked = time.monotonic()
                due = asked - self._renewed >= settings.BOOTY_HEARTBEAT_SECONDS
                try:
                    held = lifecycle.renew(self._run) if due else lifecycle.still_held(self._run)
                except (DatabaseError, InterfaceError) as error:
                    logger.warning("%s: the lease could not be looked at: %s", self._run, type(error).__name__)
                    connection.close()
                    held = self.holds()
                else:
                    self._renewed = asked if due else self._renewed
                if not held:
                    self.lost.set()
                    break
        finally:
            connection.close()
        if self.lost.is_set() and not self._done.wait(LEAVE_SECONDS):
            logger.warning("%s: lost, and its work does not end by itself", self._run)
            self._abandon()
