"""The RQ worker of Booty: RQ's own, which also ends the lease of a run whose process was killed."""

from __future__ import annotations

import logging
from uuid import UUID

from django.db import DatabaseError, connections
from rq import Worker as RQWorker
from rq.job import Job

from booty_site.runs import kinds, lifecycle

logger = logging.getLogger(__name__)


class Worker(RQWorker):
    """Forks a process for each run. The parent itself keeps no database connection: a fork would share it."""

    def handle_work_horse_killed(self, job: Job, retpid: int, ret_val: int, rusage: object) -> None:
        super().handle_work_horse_killed(job, retpid, ret_val, rusage)  # type: ignore[no-untyped-call]  # RQ has no types there
        connections.close_all()
        try:
            _expire_lease(job)
        except DatabaseError as error:
            logger.warning("the lease of %s runs out by itself: %s", job.id, type(error).__name__)
        finally:
            connections.close_all()


def _expire_lease(job: Job) -> None:
    for kind in kinds.all_kinds():
        if job.func_name == kind.model.task:
            run = kind.model.objects.filter(pk=UUID(job.args[0])).first()
            if run is not None and run.lease_token is not None and run.rq_job_id == job.id:
                lifecycle.expire(run)
