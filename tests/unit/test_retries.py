"""Which causes are tried again is a table; these are its lines."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, OperationalError
from pytest_django import Settings

from booty_site.errors import EngineFailed, GitHubRefused, RunTimedOut, WorkspaceUnavailable
from booty_site.runs import retries
from jobs.models import Job


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("server closed the connection unexpectedly"),
        GitHubRefused("no answer"),
        GitHubRefused(status=429),
        GitHubRefused(status=500),
        GitHubRefused(status=502),
        GitHubRefused(status=403, retry_after=30),
        WorkspaceUnavailable("git fetch failed: early EOF", transient=True),
    ],
    ids=repr,
)
def test_a_cause_that_passes_is_tried_again(error: Exception) -> None:
    assert retries.pause_before_retry(Job(attempt=1), error) is not None


@pytest.mark.parametrize(
    "error",
    [
        GitHubRefused(status=401),
        GitHubRefused(status=403),
        GitHubRefused(status=404),
        GitHubRefused(status=422),
        WorkspaceUnavailable("there is no such repository"),
        EngineFailed("not found"),
        RunTimedOut("too long"),
        IntegrityError("a constraint"),
        ZeroDivisionError("a mistake of ours"),
    ],
    ids=repr,
)
def test_a_cause_that_stays_is_not_tried_again(error: Exception) -> None:
    assert retries.pause_before_retry(Job(attempt=1), error) is None


def test_the_pause_doubles_with_each_attempt(settings: Settings) -> None:
    settings.BOOTY_RETRY_SECONDS, settings.BOOTY_MAX_ATTEMPTS = 5, 4
    pauses = [retries.pause_before_retry(Job(attempt=attempt), GitHubRefused()) for attempt in (1, 2, 3, 4)]
    assert pauses == [5, 10, 20, None]


def test_the_pause_is_as_long_as_github_asks(settings: Settings) -> None:
    assert retries.pause_before_retry(Job(attempt=1), GitHubRefused(status=429, retry_after=120)) == 120


def test_an_attempt_that_was_handed_back_does_not_count(settings: Settings) -> None:
    settings.BOOTY_MAX_ATTEMPTS = 2
    assert retries.pause_before_retry(Job(attempt=2), GitHubRefused()) is None
    assert retries.pause_before_retry(Job(attempt=2, handed_back=1), GitHubRefused()) is not None
