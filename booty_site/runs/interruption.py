"""Whether this process was asked to end: then it hands its run back instead of finishing it."""

from __future__ import annotations

import signal
from types import FrameType

# A plain flag: a lock taken in a signal handler could be one that the interrupted code holds.
_requested = False


def requested() -> bool:
    return _requested


def listen() -> None:
    """Take SIGTERM as the request to end; for the process that works on a run."""
    signal.signal(signal.SIGTERM, _request)


def _request(number: int, frame: FrameType | None) -> None:
    global _requested
    _requested = True
