"""The HTTP server: reading, recording, faults, and the way to each part."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import secrets
import socket
import sys
import threading
import time
import traceback
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.doubles.github import git_http
from tests.doubles.github.authentication import Authenticator
from tests.doubles.github.faults import Fault, Faults
from tests.doubles.github.graphql import GraphQLApi
from tests.doubles.github.openapi import BASE_PATH
from tests.doubles.github.pages import page
from tests.doubles.github.pulls import World
from tests.doubles.github.records import RecordedRequest
from tests.doubles.github.refusals import Refusal
from tests.doubles.github.rest import Answer, RestApi, check_access

GRAPHQL_PATH = "/api/graphql"
HOURLY = 5000
CONTENTS = ("contents",)


@dataclass
class Front:
    """Takes every request from its bytes to its answer."""

    world: World
    authenticator: Authenticator
    rest: RestApi
    graphql: GraphQLApi
    notify: Callable[[], None]
    faults: Faults = field(default_factory=Faults)
    requests: list[RecordedRequest] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _sequence: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer | None:
        """Return the answer to a request; None when the answer gets lost."""
        raw_path, _, raw_query = target.partition("?")
        query = urllib.parse.parse_qs(raw_query, keep_blank_values=True)
        record = self._record(method, raw_path, query, headers, body)
        try:
            for callback in self.faults.callbacks(method, raw_path):
                callback(record)
            fault = self.faults.take(method, raw_path)
            answer = self._with_fault(fault, record, raw_query, headers, body)
            record.status = answer.status if answer is not None else None
        finally:
            self.notify()
        return answer

    def _record(
        self,
        method: str,
        path: str,
        query: dict[str, list[str]],
        headers: Mapping[str, str],
        body: bytes,
    ) -> RecordedRequest:
        try:
            parsed = json.loads(body) if body else None
        except ValueError:
            parsed = None
        authorization = headers.get("authorization")
        with self._lock:
            record = RecordedRequest(
                sequence=next(self._sequence),
                at=time.monotonic(),
                method=method,
                path=path,
                query=query,
                body=parsed,
                scheme=authorization.partition(" ")[0] if authorization else None,
                user_agent=headers.get("user-agent"),
            )
            self.requests.append(record)
        return record

    def _with_fault(
        self,
        fault: Fault | None,
        record: RecordedRequest,
        raw_query: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> Answer | None:
        record.fault = fault.kind if fault else None
        if fault is not None and fault.kind == "fail":
            words = fault.body
            if words is None:
                words = {"message": f"The double fails on demand: {fault.status}"}
            return Answer(fault.status, words, dict(fault.headers))
        if fault is None:
            return self._route(record, raw_query, headers, body)
        if not fault.after_effect:
            self._hang(fault)
        answer = self._route(record, raw_query, headers, body)
        if fault.after_effect:
            self._hang(fault)
        return None if fault.kind == "drop_reply" else answer

    def _hang(self, fault: Fault) -> None:
        if fault.event is not None:
            # Tests wait for the moment a request hangs.
            self.notify()
            fault.event.wait()

    def _route(self, record: RecordedRequest, raw_query: str, headers: Mapping[str, str], body: bytes) -> Answer:
        path = record.path
        if path == GRAPHQL_PATH and record.method == "POST":
            return self._rated(self.graphql.answer(headers, body))
        if path.startswith(f"{BASE_PATH}/") or path == BASE_PATH:
            below = path.removeprefix(BASE_PATH)
            return self._rated(self.rest.answer(record.method, below, record.query, headers, body))
        match = git_http.GIT_PATH.fullmatch(urllib.parse.unquote(path))
        if match:
            return self._git(match, record.method, raw_query, headers, body)
        with self.world.lock:
            found = page(self.world, urllib.parse.unquote(path)) if record.method == "GET" else None
        kind = {"Content-Type": "text/html; charset=utf-8"}
        if found is None:
            return Answer(404, b"<!doctype html><title>Not found</title>Not found", kind)
        return Answer(200, found.encode(), kind)

    def _rated(self, answer: Answer) -> Answer:
        used = min(len(self.requests), HOURLY - 1)
        answer.headers = {
            "X-GitHub-Media-Type": "github.v3; format=json",
            "X-RateLimit-Limit": str(HOURLY),
            "X-RateLimit-Remaining": str(HOURLY - used),
            "X-RateLimit-Reset": str(int(time.time()) + 3600),
            "X-RateLimit-Used": str(used),
            "X-RateLimit-Resource": "core",
        } | answer.headers
        return answer

    def _git(
        self,
        match: re.Match[str],
        method: str,
        raw_query: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> Answer:
        plain = {"Content-Type": "text/plain"}
        caller = self.authenticator.by_basic(headers.get("authorization"))
        if caller is None:
            asks = {"WWW-Authenticate": 'Basic realm="GitHub"'}
            return Answer(401, b"Authentication required", plain | asks)
        pushes = git_http.wants_to_push(match["rest"], raw_query)
        try:
            with self.world.lock:
                repository = self.world.repository(f"{match['owner']}/{match['name']}")
                level = "write" if pushes else "read"
                check_access(caller, repository, CONTENTS, level)
        except Refusal as refusal:
            words = "Repository not found." if refusal.status == 404 else "Permission denied."
            return Answer(refusal.status, words.encode(), plain)
        inside = f"/{repository.path.relative_to(self.world.root)}{match['rest']}"
        done = git_http.run_backend(self.world.root, inside, raw_query, method, headers, body, caller.user.login)
        if match["rest"] == "/git-receive-pack" and done.status == 200:
            with self.world.lock:
                self.world.after_push(repository, caller.user)
        return Answer(done.status, done.body, dict(done.headers))


class DoubleServer(ThreadingHTTPServer):
    """One thread for each connection; closing closes those too."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int]) -> None:
        self.front: Front | None = None
        self.connections: set[socket.socket] = set()
        super().__init__(address, Handler)

    def close_connections(self) -> None:
        """Cut every open connection, as a server that goes down does."""
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep what went wrong inside the double; a client that left is no error."""
        error = sys.exc_info()[1]
        if isinstance(error, ConnectionError) or self.front is None:
            return
        self.front.errors.append(traceback.format_exc())
        self.front.notify()


class Handler(BaseHTTPRequestHandler):
    """Reads a request off the wire and writes its answer."""

    server: DoubleServer
    protocol_version = "HTTP/1.1"
    # Head and body are two writes; waiting for more would cost 40 ms each time.
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Remember the connection, so that it can be cut."""
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        """Forget the connection."""
        self.server.connections.discard(self.connection)
        super().finish()

    def version_string(self) -> str:
        """Name the server."""
        return "github-double"

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: requests are recorded instead."""

    def _serve(self) -> None:
        front = self.server.front
        if front is None:
            raise RuntimeError("The server was started without its front")
        # Header names have no case; below they are looked up in small letters.
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = front.take(self.command, self.path, headers, self._body())
        if answer is None:
            self._break_off()
            return
        raw = b"" if answer.body is None or answer.status == 204 else answer.body
        if not isinstance(raw, bytes):
            raw = raw.encode() if isinstance(raw, str) else json.dumps(raw).encode()
        answered = {"Content-Type": "application/json; charset=utf-8"} | answer.headers
        self.send_response(answer.status)
        self.send_header("X-GitHub-Request-Id", secrets.token_hex(10).upper())
        for name, value in answered.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _break_off(self) -> None:
        """Close the connection without an answer.

        The git program sends a request once more, by itself, when a connection
        it used before ends without a word. It takes the loss as one only after
        the head of an answer.
        """
        self.close_connection = True
        if git_http.GIT_PATH.fullmatch(self.path.partition("?")[0]):
            self.send_response(200)
            self.send_header("Content-Length", "1")
            self.end_headers()

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve

    def _body(self) -> bytes:
        """Read the body; ConnectionError when the client leaves before its end, so that half a request has no effect."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self._exactly(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self._line().split(b";")[0], 16):
            parts.append(self._exactly(size))
            self._line()
        # Whatever follows the last chunk ends with an empty line.
        while self._line().strip():
            continue
        return b"".join(parts)

    def _exactly(self, size: int) -> bytes:
        found = self.rfile.read(size)
        if len(found) < size:
            raise ConnectionAbortedError("The client left within the body of its request")
        return found

    def _line(self) -> bytes:
        found = self.rfile.readline()
        if not found.endswith(b"\n"):
            raise ConnectionAbortedError("The client left within the body of its request")
        return found
