"""What RQ calls."""

from __future__ import annotations

from booty_site.runs import runner
from jobs.models import Job


def process_job(job_id: str) -> None:
    """Work on the Job of this id; raises what ended it as errored."""
    runner.execute(Job.kind, job_id)
