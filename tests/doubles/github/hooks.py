"""Signed webhooks, delivered by one thread in the order things happened."""

from __future__ import annotations

import collections
import hashlib
import hmac
import http.client
import itertools
import json
import threading
import time
import urllib.parse
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.doubles.github.records import DeliveredHook
from tests.doubles.github.state import WebhookTarget, now


@dataclass
class _Order:
    event: str
    payload: Any
    delivery_id: str
    raw_body: bytes
    signature: str | None
    redelivery: bool = False


def sign(secret: str, body: bytes) -> str:
    """Return the value of ``X-Hub-Signature-256`` for a body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _failure(error: Exception) -> str:
    """Say why nobody answered, with the words of GitHub's "Troubleshooting webhooks"."""
    if isinstance(error, TimeoutError):
        return "timed out"
    # A target that ends the connection without a word raises both kinds.
    return "invalid HTTP response" if isinstance(error, http.client.HTTPException) else "failed to connect to host"


class Deliverer:
    """Sends webhooks to one target and remembers every attempt."""

    def __init__(self, target: WebhookTarget | None, notify: Callable[[], None]) -> None:
        self.target = target
        self.deliveries: list[DeliveredHook] = []
        # While this holds, what happens makes no webhook; see ``put``.
        self.losing = False
        self._notify = notify
        self._orders: collections.deque[_Order] = collections.deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._ids = itertools.count(90001)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to deliver; what was put before is sent now."""
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="github-hooks", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the delivery it is at; the rest stays for ``start``."""
        if self._thread is not None:
            with self._changed:
                self._stopping = True
                self._changed.notify_all()
            self._thread.join()
            self._thread = None

    def put(self, event: str, payload: Any) -> None:
        """Leave a webhook for the thread, if the target wants the event and it is not lost."""
        if self.target is not None and event in self.target.events and not self.losing:
            self._leave(self._order(event, payload))

    def _leave(self, order: _Order) -> None:
        with self._changed:
            self._orders.append(order)
            self._changed.notify_all()

    def is_idle(self) -> bool:
        """Tell whether every webhook has been delivered or has failed."""
        with self._changed:
            return not self._orders

    def _order(
        self,
        event: str,
        payload: Any,
        *,
        delivery_id: str | None = None,
        signature: str | None = None,
        secret: str | None = None,
        raw_body: bytes | None = None,
    ) -> _Order:
        body = json.dumps(payload).encode() if raw_body is None else raw_body
        if signature is None:
            signature = sign(secret if secret is not None else self._the_target().secret, body)
        # An empty text stands for no signature at all.
        name = str(uuid.uuid4()) if delivery_id is None else delivery_id
        return _Order(event, payload, name, body, signature or None)

    def _the_target(self) -> WebhookTarget:
        if self.target is None:
            raise ValueError("This double has no webhook target")
        return self.target

    def send(
        self,
        event: str,
        payload: Any,
        *,
        delivery_id: str | None = None,
        signature: str | None = None,
        secret: str | None = None,
        raw_body: bytes | None = None,
    ) -> DeliveredHook:
        """Send one webhook now, as given, and return what came of it."""
        order = self._order(
            event,
            payload,
            delivery_id=delivery_id,
            signature=signature,
            secret=secret,
            raw_body=raw_body,
        )
        return self._deliver(order)

    def redeliver(self, delivery_id: str) -> DeliveredHook:
        """Send a past delivery again, byte for byte and under its old name."""
        for past in reversed(self.deliveries):
            if past.delivery_id == delivery_id:
                return self._deliver(self._again(past))
        raise KeyError(delivery_id)

    def put_again(self, number: int) -> bool:
        """Leave a redelivery for the thread; False when there is no such attempt."""
        for past in self.deliveries:
            if past.id == number:
                self._leave(self._again(past))
                return True
        return False

    def _again(self, past: DeliveredHook) -> _Order:
        signature = sign(self._the_target().secret, past.raw_body)
        return _Order(past.event, past.payload, past.delivery_id, past.raw_body, signature, redelivery=True)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._orders or self._stopping)
                if self._stopping:
                    return
                order = self._orders[0]
            self._deliver(order)
            # Only now: an order counts as open until its attempt is on record.
            with self._changed:
                self._orders.popleft()
            self._notify()

    def _deliver(self, order: _Order) -> DeliveredHook:
        target = self._the_target()
        started = time.monotonic()
        try:
            status, answer = self._post(target, order)
        except (OSError, http.client.HTTPException) as error:
            status, answer = None, _failure(error)
        payload = order.payload if isinstance(order.payload, dict) else {}
        delivered = DeliveredHook(
            id=next(self._ids),
            event=order.event,
            action=payload.get("action"),
            delivery_id=order.delivery_id,
            payload=order.payload,
            raw_body=order.raw_body,
            status=status,
            answer=answer,
            duration=time.monotonic() - started,
            delivered_at=now(),
            redelivery=order.redelivery,
            repository_id=(payload.get("repository") or {}).get("id"),
        )
        self.deliveries.append(delivered)
        self._notify()
        return delivered

    def _post(self, target: WebhookTarget, order: _Order) -> tuple[int, str]:
        address = urllib.parse.urlsplit(target.url)
        secure = address.scheme == "https"
        make = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        headers = {
            "Accept": "*/*",
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/d0ub1e0",
            "X-GitHub-Delivery": order.delivery_id,
            "X-GitHub-Event": order.event,
            "X-GitHub-Hook-ID": str(target.hook_id),
        }
        if order.signature is not None:
            headers["X-Hub-Signature-256"] = order.signature
        connection = make(address.hostname or "", address.port, timeout=target.timeout)
        try:
            path = address.path or "/"
            if address.query:
                path += f"?{address.query}"
            connection.request("POST", path, body=order.raw_body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        finally:
            connection.close()
