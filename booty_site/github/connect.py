"""Booty's own way to GitHub, as the settings say."""

from __future__ import annotations

import time
from functools import lru_cache

from django.conf import settings

from booty_site.github.client import Credentials, GitHub

# Then the installation is asked for again: it has another id after the App was reinstalled.
KEPT_SECONDS = 300


def connect(full_name: str) -> GitHub:
    """Return the given repository on GitHub; a process keeps its connection and its token for some minutes."""
    credentials = Credentials(
        api_url=settings.GITHUB_API_URL,
        web_url=settings.GITHUB_WEB_URL,
        token=settings.GITHUB_TOKEN,
        app_id=settings.GITHUB_APP_ID,
        private_key=settings.GITHUB_APP_PRIVATE_KEY,
        seconds=settings.BOOTY_GITHUB_SECONDS,
    )
    return _connected(credentials, full_name, int(time.monotonic() // KEPT_SECONDS))


@lru_cache(maxsize=256)
def _connected(credentials: Credentials, full_name: str, period: int) -> GitHub:
    return GitHub(credentials, full_name)
