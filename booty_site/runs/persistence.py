"""Gets a write through although the database blinks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

logger = logging.getLogger(__name__)
T = TypeVar("T")
INSIST_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 0.1

# What a database raises when it is away or its connection is gone, rather than when it refuses the data.
Blink = (OperationalError, InterfaceError)


def insist(action: Callable[[], T]) -> T:
    """Return what `action` returns, calling it again on a fresh connection while the database blinks.

    `action` must be safe to repeat: after a lost reply it may have been done already. Raises the last
    error after INSIST_SECONDS, and any other error at once.
    """
    deadline, pause = time.monotonic() + INSIST_SECONDS, FIRST_PAUSE_SECONDS
    while True:
        try:
            return action()
        except Blink as error:
            if connection.in_atomic_block or time.monotonic() + pause > deadline:
                raise
            logger.warning("the database blinked (%s); trying again", type(error).__name__)
            connection.close()
        threading.Event().wait(pause)
        pause *= 2
