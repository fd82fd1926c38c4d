"""Starting and stopping the double, its faults, its records."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.doubles.github.authentication import Authenticator
from tests.doubles.github.faults import Fault
from tests.doubles.github.graphql import GraphQLApi
from tests.doubles.github.hooks import Deliverer
from tests.doubles.github.openapi import BASE_PATH
from tests.doubles.github.payloads import Json
from tests.doubles.github.pulls import World
from tests.doubles.github.records import DeliveredHook, RecordedRequest, RequestCallback
from tests.doubles.github.rest import RestApi
from tests.doubles.github.server import DoubleServer, Front
from tests.doubles.github.state import AppIdentity, Repository, WebhookTarget

# ``wait_for`` also looks at things outside the double, which do not tell it of
# their changes; so it looks again after this many seconds at the latest.
LOOK_AGAIN = 0.1


class Controls:
    """Starting, stopping, faults and records."""

    def __init__(
        self,
        root: Path,
        *,
        token: str | None = None,
        app: AppIdentity | None = None,
        webhook: WebhookTarget | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        public_url: str | None = None,
    ) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.violations: list[str] = []
        self._changed = threading.Condition()
        self._version = 0
        self._server: DoubleServer | None = DoubleServer((host, port))
        self._address: tuple[str, int] = (host, self._server.server_address[1])
        self.web_url = public_url or f"http://{host}:{self._address[1]}"
        self.api_url = self.web_url + BASE_PATH
        self._deliverer = Deliverer(webhook, self._notify)
        self._world = World(root.resolve(), app, self.web_url, self._emit)
        self._authenticator = Authenticator(app, self._world.app_user)
        if token is not None:
            self._authenticator.people[token] = self._world.token_user
        self._front = Front(
            world=self._world,
            authenticator=self._authenticator,
            rest=RestApi(self._world, self._authenticator, self._deliverer, self.violations),
            graphql=GraphQLApi(self._world, self._authenticator, self.violations),
            notify=self._notify,
        )
        self.requests: list[RecordedRequest] = self._front.requests
        # Tracebacks of what went wrong inside the double or in a callback.
        self.errors: list[str] = self._front.errors
        self.deliveries: list[DeliveredHook] = self._deliverer.deliveries
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to answer; after a stop, at the same address and with the same state."""
        if self._server is None:
            self._server = DoubleServer(self._address)
        self._server.front = self._front
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.02},
            name="github-double",
            daemon=True,
        )
        self._thread.start()
        self._deliverer.start()

    def stop(self) -> None:
        """Stop answering and delivering; open connections are cut."""
        if self._server is None:
            return
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._server.server_close()
        self._server.close_connections()
        self._server = None
        self._deliverer.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def set_webhook(self, webhook: WebhookTarget | None) -> None:
        """Send webhooks elsewhere from now on; the target may start after the double."""
        self._deliverer.target = webhook

    def _notify(self) -> None:
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    def _emit(self, event: str, payload: Json, repository: Repository) -> None:
        if repository.installed or self._world.app is None:
            self._deliverer.put(event, payload)

    def wait_for(self, predicate: Callable[[], bool], timeout: float) -> bool:
        """Wait until the predicate holds; it is asked after every request and delivery."""
        deadline = time.monotonic() + timeout
        while True:
            with self._changed:
                seen = self._version
            # Asked outside the lock: it may well call the double itself.
            if predicate():
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            with self._changed:
                if self._version == seen:
                    self._changed.wait(min(left, LOOK_AGAIN))

    def wait_for_deliveries(self, timeout: float = 10.0) -> bool:
        """Wait until every webhook so far has been delivered or has failed."""
        return self.wait_for(self._deliverer.is_idle, timeout)

    def fail(
        self,
        method: str,
        path_regex: str,
        *,
        status: int,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        times: int | None = 1,
    ) -> None:
        """Answer with an error and without effect; method ``*`` is any."""
        pattern = re.compile(path_regex)
        self._front.faults.add(
            Fault(
                method.upper(),
                pattern,
                kind="fail",
                times=times,
                status=status,
                body=body,
                headers=headers or {},
            )
        )

    def drop_reply(self, method: str, path_regex: str, *, times: int | None = 1) -> None:
        """Do the work, then close the connection without an answer."""
        self._front.faults.add(Fault(method.upper(), re.compile(path_regex), kind="drop_reply", times=times))

    def hang(
        self,
        method: str,
        path_regex: str,
        *,
        seconds_event: threading.Event,
        times: int | None = 1,
        after_effect: bool = False,
    ) -> None:
        """Wait for the event before the work is done, or only before the answer."""
        self._front.faults.add(
            Fault(
                method.upper(),
                re.compile(path_regex),
                kind="hang",
                times=times,
                event=seconds_event,
                after_effect=after_effect,
            )
        )

    def clear_faults(self) -> None:
        """Take all faults away; callbacks stay."""
        self._front.faults.clear()

    def on_request(self, method: str, path_regex: str, callback: RequestCallback) -> None:
        """Have the callback run before each fitting request has its effect."""
        self._front.faults.watch(method, path_regex, callback)

    def send_hook(
        self,
        event: str,
        payload: Any,
        *,
        delivery_id: str | None = None,
        signature: str | None = None,
        secret: str | None = None,
        raw_body: bytes | None = None,
    ) -> DeliveredHook:
        """Send one webhook now, forged or broken as wanted; ``signature=""`` sends none."""
        return self._deliverer.send(
            event,
            payload,
            delivery_id=delivery_id,
            signature=signature,
            secret=secret,
            raw_body=raw_body,
        )

    def redeliver(self, delivery_id: str) -> DeliveredHook:
        """Send a past webhook again under its old delivery id."""
        return self._deliverer.redeliver(delivery_id)

    def lose_webhooks(self) -> None:
        """Make no webhooks of what happens from now on: none is sent and none is listed.

        Webhooks of before still go out, and so do redeliveries and ``send_hook``.
        """
        self._deliverer.losing = True

    def deliver_webhooks(self) -> None:
        """Make webhooks again; those lost stay lost."""
        self._deliverer.losing = False

    def expire_installation_tokens(self) -> None:
        """Make every installation token handed out so far invalid."""
        self._authenticator.expire_installation_tokens()
