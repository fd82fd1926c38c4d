"""Booty's own way to GitHub, as the settings say."""

from __future__ import annotations

from django.conf import settings

from booty_site.github.client import Credentials, GitHub


def connect(full_name: str) -> GitHub:
    """Return the given repository on GitHub."""
    credentials = Credentials(
        api_url=settings.GITHUB_API_URL,
        web_url=settings.GITHUB_WEB_URL,
        token=settings.GITHUB_TOKEN,
        app_id=settings.GITHUB_APP_ID,
        private_key=settings.GITHUB_APP_PRIVATE_KEY,
    )
    return GitHub(credentials, full_name)
