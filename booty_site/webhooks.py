"""The webhook: verify on the raw body, read, store, route, answer.

An app registers what it does about a request; whatever it accepts is stored in the transaction that
stores the delivery, and only then answered.
"""

from __future__ import annotations

import fnmatch
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qs

import msgspec
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse, RawPostDataException
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from booty_site import faults, observability
from booty_site.github import events, signature
from booty_site.models import DeliveryStatus, Source, WebhookDelivery
from booty_site.runs import dispatch
from booty_site.runs.models import Run

logger = logging.getLogger(__name__)
RETRY_AFTER_SECONDS = 30
# GitHub's own payloads are some ten levels deep.
MAX_DEPTH = 64
A = TypeVar("A")


@dataclass(frozen=True)
class Accepted:
    """The delivery led to a new run."""

    run: Run


@dataclass(frozen=True)
class Duplicate:
    """The work that the delivery asks for is under way or done already, by this run."""

    run: Run
    reason: str


@dataclass(frozen=True)
class Ignored:
    reason: str


@dataclass(frozen=True)
class Cancelled:
    """The delivery ended a run that was under way."""

    run: Run


Answer = Accepted | Cancelled | Duplicate | Ignored
_handlers: dict[type[Any], Callable[[Any, WebhookDelivery], Answer]] = {}


def register(asked: type[A], handler: Callable[[A, WebhookDelivery], Answer]) -> None:
    """Let `handler` answer requests of a type; called by an app's `AppConfig.ready()`."""
    _handlers[asked] = handler


def repository_allowed(name: str) -> bool:
    """Tell whether ALLOWED_REPOSITORIES names a repository or has a pattern for it; empty means none."""
    return any(fnmatch.fnmatchcase(name.lower(), pattern.lower()) for pattern in settings.ALLOWED_REPOSITORIES)


@csrf_exempt
@require_POST
def github(request: HttpRequest) -> HttpResponse:
    """POST /webhooks/github."""
    if not settings.WEBHOOK_SECRET:
        return _unavailable("WEBHOOK_SECRET is not set, so no delivery can be verified")
    if "Content-Length" not in request.headers:
        return _refuse(411, "the header Content-Length is missing; GitHub always sends it")
    try:
        body = request.body
    except RequestDataTooBig:
        return _refuse(413, f"the body is larger than {settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes, GitHub's own limit")
    except (RawPostDataException, OSError):
        return _refuse(400, "the body could not be read")
    given = request.headers.get("X-Hub-Signature-256", "")
    if not given:
        return _refuse(401, "the header X-Hub-Signature-256 is missing; set the webhook's secret on GitHub")
    if not signature.is_signed(settings.WEBHOOK_SECRET, body, given):
        return _refuse(403, "the signature is wrong; the secret on GitHub and WEBHOOK_SECRET differ")
    event, delivery_id = request.headers.get("X-GitHub-Event", ""), request.headers.get("X-GitHub-Delivery", "")
    if not (0 < len(event) <= 60 and 0 < len(delivery_id) <= 64 and (event + delivery_id).isprintable()):
        return _refuse(400, "the header X-GitHub-Event or X-GitHub-Delivery is missing, too long or not text")
    try:
        payload = _payload(request, body)
        asked, origin = events.read(event, payload, trigger_label=settings.TRIGGER_LABEL)
        content = _stored_form(payload)
    except events.PayloadInvalid as error:
        return _refuse(400, f"the payload can't be read: {error}")
    try:
        faults.reach("web.before_insert")
        with transaction.atomic():
            return _answer(_receive(event, delivery_id, content, asked, origin))
    except DatabaseError as error:
        logger.exception("delivery %s could not be stored", delivery_id)
        observability.report(error)
        return _unavailable("the delivery could not be stored; deliver it again")


def _payload(request: HttpRequest, body: bytes) -> bytes:
    """Return the JSON of a body, which GitHub sends as such or in a form's field `payload`."""
    payload = _json_of(request, body)
    if b"\\u0000" not in payload:
        return payload
    try:
        return msgspec.json.encode(_without_nul(msgspec.json.decode(payload)))
    except (ValueError, RecursionError):
        raise events.PayloadInvalid("the body is not JSON") from None


def _without_nul(value: Any) -> Any:
    """Return JSON data without the one character that PostgreSQL stores in no text."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [_without_nul(child) for child in value]
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(child) for key, child in value.items()}
    return value


def _json_of(request: HttpRequest, body: bytes) -> bytes:
    if request.content_type == "application/x-www-form-urlencoded":
        try:
            fields = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=20)
            return fields["payload"][0].encode()
        except (ValueError, KeyError):
            raise events.PayloadInvalid("the form has no field payload") from None
    return body


def _stored_form(payload: bytes) -> Any:
    """Return a payload as it is stored. Raises PayloadInvalid for JSON that no database takes: endless numbers, endless depth."""
    try:
        content = msgspec.json.decode(payload)
        json.dumps(content, allow_nan=False)
        _refuse_deeper(content, MAX_DEPTH)
    except (ValueError, RecursionError):
        raise events.PayloadInvalid("the body is not JSON that can be stored") from None
    return content


def _refuse_deeper(value: Any, levels: int) -> None:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if children and not levels:
        raise ValueError
    for child in children:
        _refuse_deeper(child, levels - 1)


def _receive(event: str, delivery_id: str, content: Any, asked: events.Asked, origin: events.Origin) -> WebhookDelivery:
    delivery, new = WebhookDelivery.objects.get_or_create(
        source=Source.GITHUB,
        delivery_id=delivery_id,
        defaults={
            "event": event,
            "repository": origin.repository[:140],
            "sender": origin.sender[:80],
            "status": DeliveryStatus.IGNORED,
        },
    )
    if not new:
        logger.info("delivery %s came again", delivery_id)
        # Answered as a duplicate of itself; the stored row keeps what it led to.
        if delivery.status == DeliveryStatus.ACCEPTED:
            delivery.status, delivery.reason = DeliveryStatus.DUPLICATE, "this delivery was received before"
        return delivery
    answer = _route(asked, origin, delivery)
    match answer:
        case events.Ping():
            delivery.status = DeliveryStatus.PONG
        case Accepted(run):
            delivery.status, delivery.run_id = DeliveryStatus.ACCEPTED, run.pk
            delivery.payload = content
            dispatch.after_commit(run)
        case Cancelled(run):
            delivery.status, delivery.run_id, delivery.reason = DeliveryStatus.ACCEPTED, run.pk, "the run was cancelled"
        case Duplicate(run, reason):
            delivery.status, delivery.run_id, delivery.reason = DeliveryStatus.DUPLICATE, run.pk, reason
        case Ignored(reason):
            delivery.reason = reason
    delivery.save()
    return delivery


def _route(asked: events.Asked, origin: events.Origin, delivery: WebhookDelivery) -> Answer | events.Ping:
    if isinstance(asked, events.Ping):
        return asked
    if isinstance(asked, events.Nothing):
        return Ignored(asked.reason)
    if not repository_allowed(origin.repository):
        return Ignored("the repository is not in ALLOWED_REPOSITORIES")
    return handle(asked, delivery)


def handle(asked: events.Asked, delivery: WebhookDelivery) -> Answer:
    """Let the app that registered for it answer what was asked."""
    handler = _handlers.get(type(asked))
    if handler is None:
        return Ignored(f"nothing handles {type(asked).__name__}")
    return handler(asked, delivery)


def _answer(delivery: WebhookDelivery) -> JsonResponse:
    content: dict[str, object] = {"status": delivery.status}
    if delivery.reason:
        content["reason"] = delivery.reason
    if delivery.run_id:
        content["run"] = str(delivery.run_id)
    return JsonResponse(content, status=202 if delivery.status == DeliveryStatus.ACCEPTED else 200)


def _refuse(status: int, reason: str) -> JsonResponse:
    logger.info("delivery refused with %d: %s", status, reason)
    return JsonResponse({"status": "refused", "reason": reason}, status=status)


def _unavailable(reason: str) -> JsonResponse:
    response = _refuse(503, reason)
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response
