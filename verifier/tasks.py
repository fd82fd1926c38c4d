"""What RQ calls."""

from __future__ import annotations

from booty_site.runs import runner
from verifier.models import VerificationRun


def process_verifier_job(run_id: str) -> None:
    """Work on the VerificationRun of this id; raises what ended it as errored."""
    runner.execute(VerificationRun.kind, run_id)
