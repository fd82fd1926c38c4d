"""The webhook deliveries that GitHub could not hand over, and asking for them again; for a GitHub App only."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import islice, takewhile

from github import GithubIntegration
from github.HookDelivery import HookDeliverySummary
from github.PaginatedList import PaginatedList

from booty_site.errors import GitHubRefused
from booty_site.github.client import refusals

logger = logging.getLogger(__name__)

# GitHub's word for a delivery that nobody answered; a refusal (4xx) would be refused again.
NO_ANSWER = 0
SERVER_ERROR = 500
MAX_REDELIVERIES = 3
# One look reads at most so many of the newest attempts, a hundred to a page.
MAX_ATTEMPTS_READ = 1000


def ask_again(integration: GithubIntegration, since: datetime) -> int:
    """Ask GitHub to repeat what it could not deliver since a moment; returns how many deliveries were asked for.

    Only what ended without an answer or with a 5xx, and was repeated fewer than MAX_REDELIVERIES times ("Redelivering
    webhooks", GitHub docs: a repeated delivery keeps its guid and is listed as an attempt of its own). Raises GitHubRefused.
    """
    with refusals("reading the App's webhook deliveries"):
        attempts = defaultdict(list)
        for attempt in takewhile(lambda one: (one.delivered_at or since) >= since, _newest(integration)):
            attempts[attempt.guid].append(attempt)
    return sum(_asked(integration, tries[0]) for tries in attempts.values() if _is_owed(tries))


def _asked(integration: GithubIntegration, attempt: HookDeliverySummary) -> bool:
    """Ask for one delivery; a refusal of this one does not keep the others from being asked for."""
    try:
        with refusals("asking for a webhook delivery again"):
            integration.requester.requestJsonAndCheck("POST", f"/app/hook/deliveries/{attempt.id}/attempts")
    except GitHubRefused as error:
        logger.warning("delivery %s can't be had again: %s", attempt.guid, error)
        return False
    return True


def _newest(integration: GithubIntegration) -> Iterator[HookDeliverySummary]:
    pages = PaginatedList(HookDeliverySummary, integration.requester, "/app/hook/deliveries", {"per_page": 100})
    return islice(pages, MAX_ATTEMPTS_READ)


def _is_owed(tries: list[HookDeliverySummary]) -> bool:
    """Tell whether a delivery, by its attempts, should be repeated once more."""
    codes = [attempt.status_code or NO_ANSWER for attempt in tries]
    failed = all(code == NO_ANSWER or code >= SERVER_ERROR for code in codes)
    return failed and sum(bool(attempt.redelivery) for attempt in tries) < MAX_REDELIVERIES
