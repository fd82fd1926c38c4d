"""The RQ worker of Booty: RQ's own, which loses no run when it or the process it forked has to end."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import UUID

import redis
from django.conf import settings
from django.db import DatabaseError, connections
from rq import Queue
from rq import Worker as RQWorker
from rq.executions import Execution
from rq.job import Job
from rq.timeouts import BaseTimeoutException
from rq.utils import now

from booty_site import faults
from booty_site.redaction import redact
from booty_site.runs import dispatch, interruption, kinds, lifecycle, notices
from booty_site.runs.states import State
from booty_site.runs.strays import clear_after, worker_of

logger = logging.getLogger(__name__)
# What a work horse may take to hand its run back once it is asked to.
HAND_BACK_SECONDS = 10.0
DOUBLED_SECONDS = 1.0
KERNEL_COUNTERS = Path("/proc/vmstat")


class Worker(RQWorker):
    """Forks a process, the work horse, for each run. The parent itself keeps no database connection: a fork would share it.

    SIGTERM: no new run is taken; the one under way has BOOTY_GRACE_SECONDS to finish and is then handed back. A
    second SIGTERM hands it back at once. A horse that gets SIGTERM itself, as from a service manager that stops
    everything, hands back at once too.
    """

    def execute_job(self, job: Job, queue: Queue) -> None:
        faults.reach("worker.after_pop")
        super().execute_job(job, queue)

    def prepare_execution(self, job: Job) -> Execution:
        execution = super().prepare_execution(job)
        faults.reach("worker.after_prepare")
        return execution

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        self._memory_kills_before = _memory_kills()
        super().fork_work_horse(job, queue)

    def setup_work_horse_signals(self) -> None:
        super().setup_work_horse_signals()  # type: ignore[no-untyped-call]  # RQ has no types there
        interruption.listen()

    def prepare_job_execution(self, job: Job, remove_from_intermediate_queue: bool = False) -> None:
        with _apart_from_the_work("the start of", job):
            faults.reach("horse.before_prepare")
            super().prepare_job_execution(job, remove_from_intermediate_queue)

    def handle_execution_ended(self, job: Job, queue: Queue, heartbeat_ttl: int) -> None:
        with _apart_from_the_work("the end of", job):
            super().handle_execution_ended(job, queue, heartbeat_ttl)

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        with _apart_from_the_work("the life of", job):
            super().maintain_heartbeats(job, execution)

    def handle_job_success(self, job: Job, *args: Any, **kwargs: Any) -> None:
        with _apart_from_the_work("the success of", job):
            faults.reach("rq.before_success")
            super().handle_job_success(job, *args, **kwargs)

    def handle_job_failure(
        self,
        job: Job,
        queue: Queue,
        started_job_registry: Any = None,
        exc_string: str = "",
        execution: Execution | None = None,
    ) -> None:
        """Keep secrets out of the broker, which shows the error on the queues' dashboard."""
        with _apart_from_the_work("the failure of", job):
            faults.reach("rq.before_failure")
            super().handle_job_failure(job, queue, started_job_registry, redact(exc_string), execution)

    def handle_warm_shutdown_request(self) -> None:
        """Give the run under way its time, then have it handed back."""
        logger.warning("asked to stop: no new run is taken, one under way has %g s", settings.BOOTY_GRACE_SECONDS)
        timer = threading.Timer(settings.BOOTY_GRACE_SECONDS, self._end_horse)
        timer.daemon = True
        timer.start()

    def set_shutdown_requested_date(self) -> None:
        """Note in the broker that this worker was asked to stop; one that is away must not make it quit on the spot."""
        with suppress(redis.RedisError):
            super().set_shutdown_requested_date()  # type: ignore[no-untyped-call]  # RQ has no types there

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """Have the run under way handed back at once, then end; RQ's own way would leave it as it is."""
        asked = self._shutdown_requested_date
        if asked is not None and (now() - asked).total_seconds() < DOUBLED_SECONDS:
            return  # one request that came twice, as from a service manager and a terminal
        if self.horse_pid:
            self._end_horse()
            self.wait_for_horse()
            _after_death(self.horse_pid, "The worker was stopped.", asked_to_stop=True)
        raise SystemExit

    def handle_work_horse_killed(self, job: Job, retpid: int, ret_val: int, rusage: Any) -> None:
        super().handle_work_horse_killed(job, retpid, ret_val, rusage)  # type: ignore[no-untyped-call]  # as above
        _after_death(retpid, self._cause(ret_val, rusage), job, asked_to_stop=self._stop_requested)

    def _end_horse(self) -> None:
        """Ask the horse to hand its run back, and kill it if it does not in time."""
        horse = self.horse_pid
        deadline, pause = time.monotonic() + HAND_BACK_SECONDS, threading.Event()
        try:
            if horse:
                os.kill(horse, signal.SIGTERM)
            while horse and self.horse_pid == horse and _lives(horse) and time.monotonic() < deadline:
                pause.wait(0.05)
            if horse and self.horse_pid == horse and _lives(horse):
                self.kill_horse()
        except ProcessLookupError:
            return  # it ended meanwhile

    def _cause(self, ret_val: int, rusage: Any) -> str:
        """Return in a sentence why a horse died, as far as the kernel tells."""
        if not os.WIFSIGNALED(ret_val):
            return f"Its process ended with exit code {os.waitstatus_to_exitcode(ret_val)}."
        number = os.WTERMSIG(ret_val)
        name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
        memory = f" It had used up to {rusage.ru_maxrss // 1024} MiB of memory." if rusage else ""
        if number == signal.SIGKILL and _memory_kills() > self._memory_kills_before:
            return f"Its process was killed because the machine ran out of memory.{memory}"
        return f"Its process was killed by {name}.{memory}"


@contextmanager
def _apart_from_the_work(what: str, job: Job) -> Iterator[None]:
    """Keep RQ's bookkeeping apart from the work: what goes wrong with it neither stops a run nor makes it a failure."""
    try:
        yield
    except BaseTimeoutException:
        raise
    except Exception as error:  # noqa: BLE001  (the broker may be away; the row is what counts)
        logger.warning("the broker was not told of %s %s: %s", what, job.id, type(error).__name__)


def _after_death(pid: int, cause: str, job: Job | None = None, *, asked_to_stop: bool = False) -> None:
    """Kill what a dead horse had started, and let its run be taken by another. Keeps no database connection.

    With `asked_to_stop` the worker had to end the horse itself, so the attempt does not count as failed.
    """
    connections.close_all()
    try:
        for kind in kinds.all_kinds():
            for run in kind.model.objects.filter(state=State.RUNNING, worker=worker_of(pid)):
                clear_after(run)
                if not (asked_to_stop and lifecycle.hand_back(run)):
                    lifecycle.expire(run, setback=cause)
            if job is not None and job.func_name == kind.model.task:
                _after_death_for(kind, UUID(job.args[0]), job.id)
    except DatabaseError as error:
        logger.warning("the lease of what process %d worked on runs out by itself: %s", pid, type(error).__name__)
    finally:
        connections.close_all()


def _after_death_for(kind: kinds.RunKind, run_id: UUID, rq_job_id: str) -> None:
    run = kind.model.objects.filter(pk=run_id).first()
    if run is None:
        return
    if run.rq_job_id == rq_job_id:
        dispatch.forget(run)  # it had not been claimed
    if run.is_terminal:
        # The process may have said that it began after its end had been told.
        notices.owe_again(run)


def _lives(pid: int) -> bool:
    """Tell whether a child still runs; one that has ended and is not waited for yet does not."""
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _memory_kills() -> int:
    """Return how often this machine's kernel has killed a process for want of memory."""
    try:
        lines = KERNEL_COUNTERS.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
