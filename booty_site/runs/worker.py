"""The RQ worker of Booty: RQ's own, which also cleans up after a process that was killed."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from django.db import DatabaseError, connections
from rq import Queue
from rq import Worker as RQWorker
from rq.executions import Execution
from rq.job import Job

from booty_site.redaction import redact
from booty_site.runs import kinds, lifecycle
from booty_site.runs.strays import clear_after

logger = logging.getLogger(__name__)


class Worker(RQWorker):
    """Forks a process for each run. The parent itself keeps no database connection: a fork would share it."""

    def handle_job_failure(
        self,
        job: Job,
        queue: Queue,
        started_job_registry: Any = None,
        exc_string: str = "",
        execution: Execution | None = None,
    ) -> None:
        """Keep secrets out of the broker, which shows the error on the queues' dashboard."""
        super().handle_job_failure(job, queue, started_job_registry, redact(exc_string), execution)

    def handle_work_horse_killed(self, job: Job, retpid: int, ret_val: int, rusage: object) -> None:
        super().handle_work_horse_killed(job, retpid, ret_val, rusage)  # type: ignore[no-untyped-call]  # RQ has no types there
        connections.close_all()
        try:
            _end_what_is_left(job)
        except DatabaseError as error:
            logger.warning("the lease of %s runs out by itself: %s", job.id, type(error).__name__)
        finally:
            connections.close_all()


def _end_what_is_left(job: Job) -> None:
    """Kill what the dead process had started, then let the run be taken by another."""
    for kind in kinds.all_kinds():
        if job.func_name == kind.model.task:
            run = kind.model.objects.filter(pk=UUID(job.args[0])).first()
            if run is not None and run.lease_token is not None and run.rq_job_id == job.id:
                clear_after(run)
                lifecycle.expire(run)
