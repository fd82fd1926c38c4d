"""Clears away what a process left on this machine when it died in the middle of a run."""

from __future__ import annotations

import os
import socket

from django.conf import settings

from booty_site.execution.environments import folder_of, remove_tree
from booty_site.execution.process import kill_all_of
from booty_site.runs.models import Run


def this_worker() -> str:
    """Return the name by which a run's row knows this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def clear_after(run: Run) -> None:
    """End the commands and remove the folders of a run's lost holder, if it was on this machine."""
    if run.lease_token is None or run.worker.rpartition(":")[0] != socket.gethostname():
        return
    token = str(run.lease_token)
    kill_all_of(token)
    folder = folder_of(settings.BOOTY_RUNS_DIR, token)
    if folder.exists():
        remove_tree(folder)
