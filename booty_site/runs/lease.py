"""Keeps a claimed run claimed while its work goes on, and says when it is lost."""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType
from typing import Self

from django.conf import settings
from django.db import DatabaseError, connection

from booty_site.runs import lifecycle
from booty_site.runs.models import Run

logger = logging.getLogger(__name__)
# How soon a cancelled or superseded run is noticed by the process that works on it.
LOOK_SECONDS = 1.0


class Heartbeat:
    """Renews the lease of a run in a thread of its own, for the length of a `with` block.

    `lost` is set as soon as the run is no longer this process's: cancelled, superseded, taken over, or
    not renewed for a whole lease because the database could not be reached.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self.lost = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()

    def _beat(self) -> None:
        look = min(LOOK_SECONDS, settings.BOOTY_HEARTBEAT_SECONDS)
        renewed = time.monotonic()
        try:
            while not self._done.wait(look):
                asked = time.monotonic()
                due = asked - renewed >= settings.BOOTY_HEARTBEAT_SECONDS
                try:
                    held = lifecycle.renew(self._run) if due else lifecycle.still_held(self._run)
                except DatabaseError as error:
                    logger.warning("%s: the lease could not be looked at: %s", self._run, type(error).__name__)
                    connection.close()
                    held = asked - renewed < settings.BOOTY_LEASE_SECONDS
                else:
                    renewed = asked if due else renewed
                if not held:
                    self.lost.set()
                    return
        finally:
            connection.close()
