"""System checks: what is wrong with the configuration, in words, before it does harm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.management.base import SystemCheckError

TAG = "booty"


@checks.register(TAG)
def production_has_sentry(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[checks.CheckMessage]:
    if settings.PRODUCTION and not settings.SENTRY_DSN:
        hint = "Set SENTRY_DSN, or set SENTRY_ENVIRONMENT to something else than production or prod."
        return [checks.Error("SENTRY_DSN is not set in production: failures would go unseen.", hint=hint, id="booty.E001")]
    return []


@checks.register(TAG)
def webhook_has_secret(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[checks.CheckMessage]:
    if settings.WEBHOOK_SECRET:
        return []
    kind = checks.Error if settings.PRODUCTION else checks.Warning
    hint = "Set WEBHOOK_SECRET to a long random text, and the same text as the webhook's secret on GitHub."
    return [kind("WEBHOOK_SECRET is not set: every delivery is answered with 503.", hint=hint, id="booty.W001")]


@checks.register(TAG)
def nothing_is_left_to_change(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[checks.CheckMessage]:
    if not any("CHANGE-ME" in secret for secret in settings.BOOTY_SECRETS):
        return []
    hint = "Replace every CHANGE-ME of deploy/production.env; anyone can read the ones in there."
    return [checks.Error("A secret still holds CHANGE-ME.", hint=hint, id="booty.E003")]


@checks.register(TAG)
def no_fault_is_switched_on(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[checks.CheckMessage]:
    if not settings.BOOTY_FAULTS_DIR:
        return []
    kind = checks.Error if settings.PRODUCTION else checks.Warning
    hint = "Unset BOOTY_FAULTS_DIR; it is for the crash test alone."
    return [kind("BOOTY_FAULTS_DIR is set: Booty breaks on purpose where a file in there says so.", hint=hint, id="booty.E004")]


@checks.register(TAG)
def some_repository_is_allowed(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[checks.CheckMessage]:
    if settings.ALLOWED_REPOSITORIES:
        return []
    hint = "Set ALLOWED_REPOSITORIES to names or patterns such as acme/*."
    return [checks.Warning("ALLOWED_REPOSITORIES is empty: every delivery is ignored.", hint=hint, id="booty.W002")]


@checks.register(TAG)
def github_can_be_asked(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[checks.CheckMessage]:
    if settings.GITHUB_TOKEN or settings.GITHUB_APP_ID:
        return []
    hint = "Set GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY (checks need an App), or GITHUB_TOKEN."
    return [checks.Warning("No GitHub credentials are set: nothing can be posted.", hint=hint, id="booty.W003")]


@checks.register(TAG)
def app_key_can_be_read(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[checks.CheckMessage]:
    if not settings.GITHUB_APP_PRIVATE_KEY:
        return []
    try:
        load_pem_private_key(settings.GITHUB_APP_PRIVATE_KEY.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        hint = "Set it to the content of the .pem file that GitHub made for the App, or GITHUB_APP_PRIVATE_KEY_FILE to its path."
        return [checks.Error("GITHUB_APP_PRIVATE_KEY is not a private key.", hint=hint, id="booty.E002")]
    return []


@checks.register(TAG)
def engine_has_command(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[checks.CheckMessage]:
    if settings.BOOTY_ENGINE == "command" and not settings.BOOTY_ENGINE_COMMAND:
        hint = 'Set BOOTY_ENGINE_COMMAND, for example to ["my-agent", "--non-interactive"].'
        return [checks.Warning("BOOTY_ENGINE_COMMAND is not set: every Job will error.", hint=hint, id="booty.W004")]
    return []


def refuse_to_start_misconfigured() -> None:
    """Raise SystemCheckError when one of Booty's own checks finds an error; for the web process."""
    errors = [message for message in checks.run_checks(tags=[TAG]) if message.level >= checks.ERROR]
    if errors:
        raise SystemCheckError("Booty does not start:\n" + "\n".join(map(str, errors)))
