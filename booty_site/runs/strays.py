"""Clears away what a process left on this machine when it died, or has to die, in the middle of a run."""

from __future__ import annotations

import os
import signal
import socket

from django.conf import settings

from booty_site.execution.environments import folder_of, remove_tree
from booty_site.execution.process import kill_all_of
from booty_site.runs.models import Run


def this_worker() -> str:
    """Return the name by which a run's row knows this process."""
    return worker_of(os.getpid())


def worker_of(pid: int) -> str:
    """Return the name by which a run's row knows a process of this machine."""
    return f"{socket.gethostname()}:{pid}"


def is_work_horse() -> bool:
    """Tell whether this process, which works on a run, was forked for it by RQ, which gives it a group of its own."""
    return "RQ_JOB_ID" in os.environ and os.getpgrp() == os.getpid()


def end_with_everything(run: Run) -> None:
    """End the commands of a run that this process lost, and this process; elsewhere than in a work horse only the commands."""
    # First what nobody could find any more: a run that has ended does not name its holder.
    clear_after(run)
    if is_work_horse():
        os.killpg(0, signal.SIGKILL)


def clear_after(run: Run) -> None:
    """End the commands and remove the folders of a run's lost holder, if it was on this machine."""
    if run.lease_token is None or run.worker.rpartition(":")[0] != socket.gethostname():
        return
    token = str(run.lease_token)
    kill_all_of(token)
    folder = folder_of(settings.BOOTY_RUNS_DIR, token)
    if folder.exists():
        remove_tree(folder)
