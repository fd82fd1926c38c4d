"""Small pages: is the process up, can it store deliveries, does Sentry hear us."""

from __future__ import annotations

import redis
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET

from booty_site.runs import dispatch


class SentryTestError(Exception):
    """Raised on purpose by /internal/sentry-test."""


@require_GET
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


@require_GET
def readyz(request: HttpRequest) -> HttpResponse:
    """Deliveries can be stored: 503 only when they can't; a missing broker merely delays the work."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM booty_site_webhookdelivery LIMIT 1")
    except DatabaseError:
        return JsonResponse({"status": "unavailable", "missing": ["database"]}, status=503)
    try:
        dispatch.broker().ping()
    except redis.RedisError:
        return JsonResponse({"status": "degraded", "missing": ["broker"]})
    return JsonResponse({"status": "ok"})


@require_GET
@login_required
def sentry_test(request: HttpRequest) -> HttpResponse:
    """Raise on purpose, for staff only, so that an operator can see the event arrive in Sentry."""
    if not request.user.is_staff:
        raise PermissionDenied
    raise SentryTestError("Booty's Sentry test: this error was raised on purpose by /internal/sentry-test")
