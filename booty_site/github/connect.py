"""Booty's own way to GitHub, as the settings say."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import lru_cache

from django.conf import settings
from github import GithubIntegration

from booty_site.github.client import Credentials, GitHub, app_integration, refusals

# Then the installation is asked for again: it has another id after the App was reinstalled.
KEPT_SECONDS = 300


def connect(full_name: str) -> GitHub:
    """Return the given repository on GitHub; a process keeps its connection and its token for some minutes."""
    return _connected(_credentials(), full_name, int(time.monotonic() // KEPT_SECONDS))


def integration() -> GithubIntegration:
    """Return GitHub as the App itself sees it, apart from any repository."""
    return app_integration(_credentials())


def installed_repositories() -> Iterator[str]:
    """Yield the full names of the repositories where the App is installed. Raises GitHubRefused."""
    with refusals("listing the App's repositories"):
        for installation in integration().get_installations():
            for repository in installation.get_repos():
                yield repository.full_name


def _credentials() -> Credentials:
    return Credentials(
        api_url=settings.GITHUB_API_URL,
        web_url=settings.GITHUB_WEB_URL,
        token=settings.GITHUB_TOKEN,
        app_id=settings.GITHUB_APP_ID,
        private_key=settings.GITHUB_APP_PRIVATE_KEY,
        seconds=settings.BOOTY_GITHUB_SECONDS,
    )


@lru_cache(maxsize=256)
def _connected(credentials: Credentials, full_name: str, period: int) -> GitHub:
    return GitHub(credentials, full_name)
