"""A Sentry ingest inside the test process, which keeps every event it ever received and fails on demand."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import re
import secrets
import socket
import sys
import threading
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from tests.doubles.processes import wait_until
from tests.doubles.proxy import HOST, hold_port

ENVELOPE_PATH = re.compile(r"/api/\d+/envelope/?")
# What taking apart a body that is no envelope can raise.
MALFORMED = (ValueError, TypeError, AttributeError, OSError, EOFError, zlib.error)


def events_in(envelope: bytes) -> list[dict[str, Any]]:
    """Return the events of an envelope, each with its id; other items are left out. Raises one of MALFORMED."""
    stream = io.BytesIO(envelope)
    head = json.loads(stream.readline())
    events = []
    while line := stream.readline():
        if not line.strip():
            continue
        item = json.loads(line)
        length = item.get("length")
        if length is None:
            payload = stream.readline()
        else:
            payload = stream.read(length)
            if len(payload) < length:
                raise ValueError("an item is shorter than its length")
            stream.readline()
        if item.get("type") == "event":
            event = json.loads(payload)
            event["event_id"] = event.get("event_id") or head["event_id"]
            events.append(event)
    return events


@dataclass
class Answer:
    status: int
    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Fault:
    """One fault; `times` counts down, None is for ever. `answer` is None for those that do not answer."""

    kind: str
    times: int | None
    answer: Answer | None = None


class SentryRecorder:
    """Listens on `url`, takes events sent to `dsn`, and keeps them in order, repeated ones too.

    Of several faults in force the earliest acts. A fault meets every request, but only requests with an event use up its
    `times`: the SDK also sends reports about itself. `stop()` gives the port back for good.
    """

    def __init__(self) -> None:
        self._held = hold_port()
        self.port: int = self._held.getsockname()[1]
        self.url = f"http://{HOST}:{self.port}"
        self.dsn = f"http://{secrets.token_hex(16)}@{HOST}:{self.port}/1"
        # Guards being up and down; the state below is guarded by `_state`, which is never held for long.
        self._switch = threading.RLock()
        self._state = threading.Lock()
        self._started = False
        self._server: Server | None = None
        self._serving: threading.Thread | None = None
        self._events: list[dict[str, Any]] = []
        self._faults: list[Fault] = []
        self._hanging = 0
        self._release = threading.Event()

    def start(self) -> SentryRecorder:
        with self._switch:
            self._started = True
            self.bring_up()
        return self

    def stop(self) -> None:
        with self._switch:
            self._started = False
            self.take_down()
            self._held.close()

    def __enter__(self) -> SentryRecorder:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def events(self) -> list[dict[str, Any]]:
        """Return all events received, oldest first."""
        with self._state:
            return list(self._events)

    def distinct(self) -> dict[str, list[dict[str, Any]]]:
        """Return all events received, by their ids."""
        found: dict[str, list[dict[str, Any]]] = {}
        for event in self.events():
            found.setdefault(event["event_id"], []).append(event)
        return found

    def wait_for(self, count: int, seconds: float = 30) -> dict[str, list[dict[str, Any]]]:
        """Return the events by their ids as soon as there are `count` ids; raises TimeoutError."""
        wait_until(lambda: len(self.distinct()) >= count, f"{count} distinct Sentry events", seconds)
        return self.distinct()

    def clear(self) -> None:
        """Forget the events received so far."""
        with self._state:
            self._events.clear()

    @property
    def hanging(self) -> int:
        """Return the number of requests that hang."""
        with self._state:
            return self._hanging

    def fail(self, status: int, *, headers: Mapping[str, str] | None = None, times: int | None = None) -> None:
        """Answer with this status and record nothing."""
        answer = Answer(status, {"detail": f"The recorder fails on demand: {status}"}, dict(headers or {}))
        self._add(Fault("fail", times, answer))

    def hang(self, times: int | None = None) -> None:
        """Take a request and neither record nor answer it; the connection closes when the fault is cleared."""
        self._add(Fault("hang", times))

    def drop_reply(self, times: int | None = None) -> None:
        """Record the event, then close the connection without an answer."""
        self._add(Fault("drop_reply", times))

    def clear_faults(self) -> None:
        """End every fault, being down among them, and release what hangs."""
        with self._state:
            self._faults.clear()
            self._release_hanging()
        self.bring_up()

    def take_down(self) -> None:
        """Stop listening and cut every connection; nothing is recorded after this returns."""
        with self._switch:
            with self._state:
                server, self._server = self._server, None
                self._release_hanging()
            if server is not None and self._serving is not None:
                server.shutdown()
                self._serving.join()
                server.server_close()
                server.cut_connections()

    def bring_up(self) -> None:
        """Listen again, on the same port."""
        with self._switch:
            if not self._started or self._server is not None:
                return
            server = Server(self)
            with self._state:
                self._server = server
            self._serving = threading.Thread(target=server.serve_forever, args=(0.02,), name="sentry-recorder", daemon=True)
            self._serving.start()

    def take(self, server: Server, target: str, encoding: str, body: bytes) -> Answer | None:
        """Return the answer to a request that came to `server`; None when there is to be none."""
        if not ENVELOPE_PATH.fullmatch(target.partition("?")[0]):
            return Answer(404, {"detail": "The recorder takes envelopes alone"})
        try:
            events = events_in(gzip.decompress(body) if encoding == "gzip" else body)
        except MALFORMED as problem:
            return Answer(400, {"detail": f"no envelope: {problem!r}"})
        with self._state:
            if server is not self._server:
                return None
            fault = self._next_fault(bool(events))
            if fault is None or fault.kind == "drop_reply":
                self._events += events
            if fault is None:
                return Answer(200, {"id": events[0]["event_id"]} if events else {})
            if fault.kind != "hang":
                return fault.answer
            self._hanging += 1
            release = self._release
        release.wait()
        with self._state:
            self._hanging -= 1
        return None

    def _add(self, fault: Fault) -> None:
        with self._state:
            self._faults.append(fault)

    def _next_fault(self, counts: bool) -> Fault | None:
        fault = self._faults[0] if self._faults else None
        if fault is not None and fault.times is not None and counts:
            fault.times -= 1
            if fault.times <= 0:
                self._faults.remove(fault)
        return fault

    def _release_hanging(self) -> None:
        self._release.set()
        self._release = threading.Event()


class Server(ThreadingHTTPServer):
    """One thread for each connection; all connections can be cut."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, recorder: SentryRecorder) -> None:
        self.recorder = recorder
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        super().__init__((HOST, recorder.port), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        # A socket is closed under the lock, so that no other thread shuts down a descriptor that is used anew.
        with self._lock:
            self._connections.discard(request)
            super().shutdown_request(request)

    def cut_connections(self) -> None:
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Show what went wrong in here; a client that left is no error."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    # Head and body are two writes; waiting for more would cost 40 ms each time.
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: events are recorded instead."""

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        encoding = self.headers.get("Content-Encoding", "")
        # A client that died while it sent has sent no event.
        answer = self.server.recorder.take(self.server, self.path, encoding, body) if len(body) == length else None
        if answer is None:
            self.close_connection = True
            return
        raw = json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in ({"Content-Type": "application/json"} | dict(answer.headers)).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)
