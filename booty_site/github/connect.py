"""Booty's own way to GitHub, as the settings say."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from functools import lru_cache

from django.conf import settings
from github import GithubIntegration

from booty_site.errors import GitHubRefused
from booty_site.github.client import Credentials, GitHub, app_integration, refusals

logger = logging.getLogger(__name__)
# Then the installation is asked for again: it has another id after the App was reinstalled.
KEPT_SECONDS = 300


def connect(full_name: str) -> GitHub:
    """Return the given repository on GitHub; a process keeps its connection and its token for some minutes."""
    return _connected(_credentials(), full_name, int(time.monotonic() // KEPT_SECONDS))


def integration() -> GithubIntegration:
    """Return GitHub as the App itself sees it, apart from any repository."""
    return app_integration(_credentials())


def installed_repositories() -> Iterator[str]:
    """Yield the full names of the repositories where the App is installed. Raises GitHubRefused.

    An installation that refuses, as a suspended one does, does not keep the others from being read.
    """
    with refusals("listing the App's installations"):
        installations = list(integration().get_installations())
    for installation in installations:
        try:
            with refusals(f"listing the repositories of installation {installation.id}"):
                names = [repository.full_name for repository in installation.get_repos()]
        except GitHubRefused as error:
            logger.warning("an installation is left out: %s", error)
            continue
        yield from names


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
