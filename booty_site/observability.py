"""Sentry: started before any traffic, given each failure once, with tags, and never in the way."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import sentry_sdk
from django.conf import settings
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.django import DjangoIntegration
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.integrations.rq import RqIntegration
from sentry_sdk.transport import HttpTransport
from sentry_sdk.types import Event, Hint
from sentry_sdk.utils import event_from_exception

from booty_site import faults
from booty_site.redaction import redact, redact_tree

logger = logging.getLogger(__name__)
FLUSH_SECONDS = 3.0
REMEMBERED_ANSWERS = 1000
# Set on an exception that was captured here, so that no integration reports it a second time.
CAPTURED_MARK = "_booty_captured"
# In the hint of our own captures: a list that receives the finished event.
HOLDER = "booty_holder"


@dataclass(frozen=True)
class Captured:
    """What became of a capture. `confirmed`: Sentry's answer said that it has the event.

    `owed`: the event should be sent again later; `event` is then what to send.
    """

    event_id: str = ""
    confirmed: bool = False
    owed: bool = False
    event: dict[str, Any] | None = None


class NotDelivered(Exception):
    """Sentry did not take an event."""


class ConfirmingTransport(HttpTransport):
    """The SDK's transport, which also remembers the events that Sentry's answers accepted.

    The SDK itself gives no sign of an event that the server refused.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._accepted: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def accepted(self, event_id: str) -> bool:
        with self._lock:
            return event_id in self._accepted

    def _handle_response(self, response: Any, envelope: Envelope | None) -> None:
        super()._handle_response(response, envelope)
        event_id = envelope.headers.get("event_id") if envelope else None
        if event_id and 200 <= response.status < 300:
            with self._lock:
                self._accepted[str(event_id)] = None
                while len(self._accepted) > REMEMBERED_ANSWERS:
                    self._accepted.popitem(last=False)


def init() -> None:
    """Start Sentry as the settings say; without a DSN one log line says that it is off."""
    if not settings.SENTRY_DSN:
        logger.info("Sentry is off: SENTRY_DSN is not set")
        return
    sentry_sdk.init(
        dsn=settings.SENTRY_DSN,
        environment=settings.SENTRY_ENVIRONMENT,
        # An empty text keeps the SDK from guessing a release out of the folder's git history.
        release=settings.SENTRY_RELEASE or "",
        sample_rate=settings.SENTRY_SAMPLE_RATE,
        traces_sample_rate=None,
        include_local_variables=False,
        max_request_body_size="never",
        auto_enabling_integrations=False,
        integrations=[DjangoIntegration(), RqIntegration(), LoggingIntegration(event_level=None)],
        before_send=_before_send,
        transport=ConfirmingTransport,
    )


def enabled() -> bool:
    return sentry_sdk.get_client().is_active()


def capture(error: BaseException, tags: Mapping[str, str], event_id: str) -> Captured:
    """Report an exception under a given event id (32 hexadecimal digits), tagged; never raises.

    Waits up to FLUSH_SECONDS for Sentry's answer, since the process may be killed at any moment after.
    """
    if not enabled():
        return Captured()
    holder: list[dict[str, Any]] = []
    try:
        setattr(error, CAPTURED_MARK, event_id)
        faults.reach("capture.before")
        client = sentry_sdk.get_client()
        with sentry_sdk.new_scope() as scope:
            for name, value in tags.items():
                scope.set_tag(name, value)
            event, hint = event_from_exception(error, client_options=client.options, mechanism={"type": "booty", "handled": True})
            event["event_id"] = event_id
            hint[HOLDER] = holder
            faults.reach("capture.before_send")
            sent = scope.capture_event(event, hint=hint)
        if sent is None and holder:
            logger.info("event %s was left out by SENTRY_SAMPLE_RATE", event_id)
            return Captured()
        client.flush(timeout=FLUSH_SECONDS)
        faults.reach("capture.after_send")
        confirmed = isinstance(client.transport, ConfirmingTransport) and client.transport.accepted(event_id)
    except Exception as problem:  # noqa: BLE001  (reporting never stands in the way of saving and telling)
        logger.warning("event %s could not be captured: %s", event_id, redact(repr(problem)))
        confirmed = False
    if not confirmed:
        logger.warning("event %s is not confirmed by Sentry and stays owed", event_id)
    faults.reach("capture.after")
    stored = holder[0] if holder else plain_event(error, tags, event_id)
    return Captured(event_id, confirmed, owed=not confirmed, event=None if confirmed else stored)


def report(error: BaseException) -> None:
    """Report an exception that was handled, without waiting for Sentry's answer; never raises."""
    try:
        sentry_sdk.capture_exception(error)
    except Exception as problem:  # noqa: BLE001  (reporting never stands in the way of an answer)
        logger.warning("an error could not be reported: %s", redact(repr(problem)))


def plain_event(error: BaseException, tags: Mapping[str, str], event_id: str) -> dict[str, Any]:
    """Return an event of an exception that was never raised, or that the SDK could not handle."""
    event: dict[str, Any] = {
        "event_id": event_id,
        "timestamp": datetime.now(UTC).isoformat(),
        "platform": "python",
        "level": "error",
        "environment": settings.SENTRY_ENVIRONMENT,
        "tags": dict(tags),
        "exception": {"values": [{"type": type(error).__name__, "value": redact(str(error))}]},
    }
    if settings.SENTRY_RELEASE:
        event["release"] = settings.SENTRY_RELEASE
    return event


def send_again(event: Mapping[str, Any]) -> str:
    """Send a stored event and return its id; raises NotDelivered unless Sentry confirms it.

    Sentry keeps one event per id, so sending one that did arrive does no harm.
    """
    client = sentry_sdk.get_client()
    if not client.is_active() or not isinstance(client.transport, ConfirmingTransport):
        raise NotDelivered("Sentry is off: SENTRY_DSN is not set")
    event_id = str(event["event_id"])
    envelope = Envelope(headers={"event_id": event_id})
    envelope.add_event(cast(Event, dict(event)))
    client.transport.capture_envelope(envelope)
    client.flush(timeout=FLUSH_SECONDS)
    if not client.transport.accepted(event_id):
        raise NotDelivered("Sentry did not confirm the event")
    return event_id


def _before_send(event: Event, hint: Hint) -> Event | None:
    holder = hint.get(HOLDER)
    exc_info = hint.get("exc_info")
    if holder is None and exc_info and hasattr(exc_info[1], CAPTURED_MARK):
        return None
    clean = cast(dict[str, Any], redact_tree(dict(event)))
    # Tags are ours and names such as `session` are theirs: masked by value only.
    clean["tags"] = {name: redact(str(value)) for name, value in dict(event.get("tags") or {}).items()}
    clean.pop("server_name", None)
    if not settings.SENTRY_RELEASE:
        clean.pop("release", None)
    if holder is not None:
        holder.append(clean)
    return cast(Event, clean)
