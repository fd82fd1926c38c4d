"""Finds the work that no webhook told of: deliveries that failed, pull requests and issues that have no run."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, transaction

from booty_site import webhooks
from booty_site.errors import GitHubRefused
from booty_site.github import deliveries, events, open_work
from booty_site.github.client import GitHub
from booty_site.github.connect import connect, installed_repositories, integration
from booty_site.models import DeliveryStatus, Source, Turn, WebhookDelivery
from booty_site.redaction import redact
from booty_site.runs import dispatch

logger = logging.getLogger(__name__)
# GitHub keeps deliveries for some days; older ones are found by what they were about.
LOOK_BACK = timedelta(days=1)
TURN = "failed deliveries"
# The share of GitHub's hourly requests that is left to the work itself.
SPARED = 0.3
Work = events.PullRequestChanged | events.IssueLabelled


def look() -> int:
    """Ask GitHub once for everything that was missed; returns how much was found. Never raises for GitHub's sake."""
    if not (settings.GITHUB_APP_ID or settings.GITHUB_TOKEN):
        return 0
    return _ask_again() + _look_around()


def _ask_again() -> int:
    """Ask for failed deliveries, one process at a time: two that count the same attempts would both ask for the last one."""
    if not settings.GITHUB_APP_ID or not Turn.objects.take(TURN, settings.BOOTY_MISSED_SECONDS):
        return 0
    try:
        return deliveries.ask_again(integration(), datetime.now(UTC) - LOOK_BACK)
    except GitHubRefused as error:
        logger.warning("GitHub can't be asked for failed deliveries: %s", redact(str(error)))
        return 0
    finally:
        Turn.objects.give_back(TURN)


def _look_around() -> int:
    found = 0
    try:
        for name in _repositories():
            github = connect(name)
            found += _look_into(github)
            if github.spent() > 1 - SPARED:
                logger.warning("most of GitHub's hourly requests are spent; looking for missed work again later")
                break
    except GitHubRefused as error:
        logger.warning("GitHub can't be asked for missed work: %s", redact(str(error)))
    return found


def _repositories() -> Iterator[str]:
    """Yield the repositories to look into: where the App is installed or, with a token, those that are named in full."""
    names = installed_repositories() if settings.GITHUB_APP_ID else iter(settings.ALLOWED_REPOSITORIES)
    return (name for name in names if webhooks.repository_allowed(name) and events.REPOSITORY_NAME.match(name))


def _look_into(github: GitHub) -> int:
    try:
        pulls = sum(_take_up(pull) for pull in open_work.open_pulls(github))
        return pulls + sum(_take_up_issue(github, issue) for issue in open_work.labelled_issues(github, settings.TRIGGER_LABEL))
    except GitHubRefused as error:
        logger.warning("%s: can't be asked for missed work: %s", github.full_name, redact(str(error)))
        return 0


def _take_up_issue(github: GitHub, issue: events.IssueLabelled) -> bool:
    """Begin the Job of an issue for whoever labelled it; GitHub is asked who that is only when there is no Job."""
    if not _take_up(issue, only_try=True):
        return False
    by, at = open_work.labelled_by(github, issue.number, issue.label)
    if not by:
        logger.warning("%s #%d: labelled, but GitHub does not say by whom; left alone", issue.repository, issue.number)
        return False
    return _take_up(replace(issue, sender=by, labelled_at=at))


def _take_up(asked: Work, *, only_try: bool = False) -> bool:
    """Begin the run that should be there; False when it is, so that nothing is left behind. Nothing is either if `only_try`."""
    event = "issues" if isinstance(asked, events.IssueLabelled) else "pull_request"
    delivery = WebhookDelivery(
        source=Source.FOUND,
        delivery_id=str(uuid.uuid4()),
        event=event,
        repository=asked.repository[:140],
        sender=asked.sender[:80],
        status=DeliveryStatus.ACCEPTED,
        reason="found on GitHub; no webhook told of it",
    )
    try:
        with transaction.atomic():
            delivery.save()
            answer = webhooks.handle(asked, delivery)
            if not isinstance(answer, webhooks.Accepted):
                transaction.set_rollback(True)
                return False
            if only_try:
                transaction.set_rollback(True)
                return True
            delivery.run_id = answer.run.pk
            delivery.save(update_fields=("run_id",))
            dispatch.after_commit(answer.run)
    except DatabaseError as error:
        logger.warning("%s: could not be taken up: %s", asked.repository, type(error).__name__)
        return False
    logger.warning("%s #%d: no webhook told of it; taken up now", asked.repository, asked.number)
    return True
