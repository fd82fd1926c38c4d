"""Fault points: the places where the crash test breaks Booty on purpose, switched on from outside.

`BOOTY_FAULTS_DIR` names a folder. A file in it called after a point holds what is to happen there: `kill` (this
process), `kill_both` (this process and the worker that forked it), `kill_parent` (the worker alone), `exit` (end with
code 0), `stop` (SIGSTOP) or `raise`. It happens once, in whichever process gets there first: the file is renamed before.
Without the variable a point is a call of an empty function; in production the variable is an error of `check`.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

FOLDER = os.environ.get("BOOTY_FAULTS_DIR", "")
FIRED = ".fired"
IMPORTED_BY = os.getpid()


class FaultInjected(Exception):
    """Raised on purpose by a fault point."""


def _nothing(point: str) -> None:
    """Do nothing: no fault is switched on."""


def _look(point: str) -> None:
    armed = Path(FOLDER, point)
    try:
        action = armed.read_text(encoding="ascii").strip()
        fired = armed.rename(f"{armed}{FIRED}")
    except FileNotFoundError:
        return  # not armed, or another process was faster
    fired.write_text(str(os.getpid()), encoding="ascii")
    _break(action, point)


def _break(action: str, point: str) -> None:
    if action == "raise":
        raise FaultInjected(point)
    if action == "exit":
        os._exit(0)
    # Only a process that a worker forked has one above it.
    forked = os.getpid() != IMPORTED_BY
    if action in ("kill_both", "kill_parent") and forked:
        os.kill(os.getppid(), signal.SIGKILL)
    if action == "kill_parent":
        return
    os.kill(os.getpid(), signal.SIGSTOP if action == "stop" else signal.SIGKILL)


reach = _look if FOLDER else _nothing
