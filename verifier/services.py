"""What can be asked of verification runs: a new one for a head commit, another try."""

from __future__ import annotations

from booty_site.github.events import PullRequestChanged
from booty_site.github.pulls import PullState
from booty_site.models import WebhookDelivery
from booty_site.runs import lifecycle
from booty_site.runs.states import State
from verifier.models import VerificationRun

COPIED = (
    "repository",
    "pull_number",
    "pull_title",
    "head_sha",
    "head_branch",
    "head_repository",
    "base_sha",
    "base_branch",
    "head_seen_at",
)


def newest_run(repository: str, head_sha: str, pull_number: int | None = None) -> VerificationRun | None:
    """Return the newest run for a commit, of one pull request if its number is given."""
    runs = VerificationRun.objects.filter(repository__iexact=repository, head_sha=head_sha)
    if pull_number is not None:
        runs = runs.filter(pull_number=pull_number)
    return runs.first()


def active_run(repository: str, pull_number: int) -> VerificationRun | None:
    """Return the newest run of a pull request that has not ended."""
    return VerificationRun.objects.active().filter(repository__iexact=repository, pull_number=pull_number).first()


def newer_head_known(asked: PullRequestChanged) -> bool:
    """Tell whether a later change of the same pull request was received before this one."""
    runs = VerificationRun.objects.filter(repository__iexact=asked.repository, pull_number=asked.number)
    return runs.filter(head_seen_at__gt=asked.updated_at).exclude(head_sha=asked.head_sha).exists()


def begin(asked: PullRequestChanged, delivery: WebhookDelivery, retry_of: VerificationRun | None) -> tuple[VerificationRun, bool]:
    """Return the run for a pull request's head and whether it is new; runs for older heads are superseded."""
    run, new = lifecycle.begin(
        VerificationRun,
        subject=VerificationRun.subject_of(asked.repository, asked.number, asked.head_sha),
        trigger=f"pull_request.{asked.action}",
        requested_by=asked.sender[:80],
        delivery=delivery,
        retry_of=retry_of,
        repository=asked.repository,
        pull_number=asked.number,
        pull_title=asked.title[:300],
        head_sha=asked.head_sha,
        head_branch=asked.head_branch[:255],
        head_repository=asked.head_repository,
        base_sha=asked.base_sha,
        base_branch=asked.base_branch[:255],
        head_seen_at=asked.updated_at,
    )
    if new:
        older = VerificationRun.objects.active().filter(repository__iexact=asked.repository, pull_number=asked.number)
        lifecycle.supersede(older.exclude(pk=run.pk), reason=f"A newer commit, {asked.head_sha[:10]}, took its place.")
    return run, new


def follow(run: VerificationRun, pull: PullState) -> VerificationRun | None:
    """Return a new run for the head that a run's pull request has by now, None when there was one already.

    Deliveries may come late or out of order; what GitHub says when asked is what counts.
    """
    earlier = newest_run(run.repository, pull.head_sha, run.pull_number)
    if earlier is not None and (not earlier.is_terminal or earlier.state in (State.SUCCEEDED, State.FAILED)):
        return None
    following, new = lifecycle.begin(
        VerificationRun,
        subject=VerificationRun.subject_of(run.repository, run.pull_number, pull.head_sha),
        trigger="head moved",
        requested_by=run.requested_by,
        delivery=run.delivery,
        repository=run.repository,
        pull_number=run.pull_number,
        pull_title=pull.title[:300],
        head_sha=pull.head_sha,
        head_branch=pull.head_branch[:255],
        head_repository=pull.head_repository,
        base_sha=pull.base_sha,
        base_branch=pull.base_branch[:255],
        head_seen_at=pull.updated_at,
    )
    return following if new else None


def retry(
    run: VerificationRun, *, trigger: str, by: str, delivery: WebhookDelivery | None = None
) -> tuple[VerificationRun, bool]:
    """Return a new run for the same commit, or the active one there is, and whether it is new."""
    values = {name: getattr(run, name) for name in COPIED}
    return lifecycle.begin(
        VerificationRun, subject=run.subject, trigger=trigger, requested_by=by[:80], retry_of=run, delivery=delivery, **values
    )
