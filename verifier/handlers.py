"""What a delivery about a pull request or one of our checks leads to."""

from __future__ import annotations

from booty_site.github.events import FOUND, PullRequestChanged, PullRequestClosed, RerunRequested
from booty_site.models import Repository, WebhookDelivery
from booty_site.runs import lifecycle
from booty_site.runs.states import State
from booty_site.webhooks import Accepted, Answer, Cancelled, Duplicate, Ignored
from verifier import services


def pull_request_changed(asked: PullRequestChanged, delivery: WebhookDelivery) -> Answer:
    # Two pushes in the same instant must see each other: only the newer one's run stays active.
    Repository.objects.lock(asked.repository)
    earlier = services.newest_run(asked.repository, asked.head_sha, asked.number)
    if earlier is not None and asked.action == FOUND:
        return Duplicate(earlier, "there is a run for this head commit")
    if earlier is not None and earlier.trigger == f"pull_request.{FOUND}" and asked.updated_at <= earlier.head_seen_at:
        return Duplicate(earlier, "this head commit was found on GitHub and taken up before its webhook came")
    if earlier is not None and earlier.state in (State.SUCCEEDED, State.FAILED) and asked.action != "reopened":
        return Duplicate(earlier, "this head commit was verified before; use Re-run on the check to verify it again")
    if services.newer_head_known(asked):
        return Ignored("a newer head commit of this pull request is known already")
    run, new = services.begin(asked, delivery, retry_of=earlier)
    return Accepted(run) if new else Duplicate(run, "this head commit is being verified already")


def pull_request_closed(asked: PullRequestClosed, delivery: WebhookDelivery) -> Answer:
    run = services.active_run(asked.repository, asked.number)
    if run is not None and run.head_seen_at > asked.at:
        return Ignored("the pull request was changed again after that")
    if run is None or not lifecycle.cancel(run, by=f"{asked.sender}: the pull request was closed"):
        return Ignored("no run was under way for this pull request")
    return Cancelled(run)


def rerun_requested(asked: RerunRequested, delivery: WebhookDelivery) -> Answer:
    earlier = services.newest_run(asked.repository, asked.head_sha, asked.pull_number)
    if earlier is None:
        return Ignored("no run is known for this commit; close and reopen the pull request to have it verified")
    run, new = services.retry(earlier, trigger=f"{asked.event}.rerequested", by=asked.sender, delivery=delivery)
    return Accepted(run) if new else Duplicate(run, "this commit is being verified already")
