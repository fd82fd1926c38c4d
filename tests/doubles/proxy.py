"""A TCP proxy between a client and its broker that loses replies, cuts, hangs and refuses on demand."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType

HOST = "127.0.0.1"
CHUNK = 65536
# Seconds for what takes no time on loopback unless something is broken.
PATIENCE = 10.0
# What one element of each kind adds to the elements that are due, for each unit of its size.
AGGREGATES = {b"*": 1, b"~": 1, b">": 1, b"%": 2, b"|": 2}
BULKS = (b"$", b"=", b"!")
LINES = (b"+", b"-", b":", b"_", b"#", b",", b"(")
ATTRIBUTE, PUSH = b"|", b">"


def hold_port() -> socket.socket:
    """Return a socket that keeps a free port from others and refuses connections until somebody listens on that port.

    A port that nobody holds may become the near end of the very connection that asks for it, which then connects to itself.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind((HOST, 0))
    return held


class RespReader:
    """Follows one direction of a RESP connection (protocol 2 or 3) and finds where each value ends.

    Anything else than RESP turns it blind: it then finds nothing.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._blind = False
        self._begin()

    def _begin(self) -> None:
        self._kind, self._due = b"", 1
        self._words: list[bytes] = []

    def feed(self, data: bytes) -> list[list[bytes]]:
        """Return the bulk strings of each value that ends in `data`; pushes, which answer nothing, are left out."""
        ended = []
        if not self._blind:
            self._data += data
        while self._element():
            if self._due == 0:
                if self._kind != PUSH:
                    ended.append(self._words)
                self._begin()
        return ended

    def _element(self) -> bool:
        """Take one element off the data; False when there is no complete one."""
        kind, end = bytes(self._data[:1]), self._data.find(b"\r\n")
        if kind and kind not in (*AGGREGATES, *BULKS, *LINES):
            return self._turn_blind()
        if end < 0:
            return False
        due, after = -1, end + 2
        if kind not in LINES:
            try:
                size = max(int(self._data[1:end]), 0)
            except ValueError:
                return self._turn_blind()
            if kind in AGGREGATES:
                # Attributes stand before a value and are none themselves.
                due = size * AGGREGATES[kind] - (kind != ATTRIBUTE)
            elif self._data[1:2] != b"-":
                after += size + 2
                if len(self._data) < after:
                    return False
                self._words.append(bytes(self._data[end + 2 : after - 2]))
        del self._data[:after]
        self._kind = self._kind or kind
        self._due += due
        return True

    def _turn_blind(self) -> bool:
        self._blind = True
        self._data.clear()
        return False


class Link:
    """One connection through the proxy. Only its own thread closes the sockets; others shut them down."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.server: socket.socket | None = None
        self.thread: threading.Thread | None = None
        self.ended = False
        self.requests, self.replies = RespReader(), RespReader()
        self.asked = self.answered = 0
        # The number of the request whose reply gets lost.
        self.lost: int | None = None

    def sockets(self) -> list[socket.socket]:
        return [self.client] if self.server is None else [self.client, self.server]


class TcpProxy:
    """Listens on `port` of 127.0.0.1 and passes each connection on to `target_port` there.

    `dropped` counts the replies thrown away. `stop()` gives the port back for good.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._held = hold_port()
        self.port: int = self._held.getsockname()[1]
        # Guards listening and not listening; the state below is guarded by `_state`, which is never held for long.
        self._switch = threading.Lock()
        self._state = threading.Condition()
        self._started = self._hanging = False
        self._listener: socket.socket | None = None
        self._accepting: threading.Thread | None = None
        self._links: set[Link] = set()
        self._to_drop: dict[bytes, int] = {}
        self._dropped = 0

    def start(self) -> TcpProxy:
        with self._switch:
            self._started = True
            self._listen()
        return self

    def stop(self) -> None:
        with self._switch:
            self._started = False
            self._stop_listening()
        with self._state:
            self._hanging = False
            threads = [link.thread for link in self._links if link.thread is not None]
            self._end_all()
        for thread in threads:
            thread.join(PATIENCE)
        self._held.close()

    def __enter__(self) -> TcpProxy:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def dropped(self) -> int:
        with self._state:
            return self._dropped

    @property
    def connections(self) -> int:
        """Return the number of open connections."""
        with self._state:
            return len(self._links)

    def drop_reply_to(self, command: bytes, times: int = 1) -> None:
        """Let the next `times` requests with this word through, but close their connections in place of the reply.

        The word is compared with every word of a request, without regard to case. The connection is closed once the whole
        reply has come, so the server has done what was asked. Replies to requests sent along with that one are lost too.
        A connection that subscribes gets replies out of count: do not use it there.
        """
        with self._state:
            self._to_drop[command.upper()] = times

    def cut(self) -> None:
        """Close all open connections."""
        with self._state:
            self._end_all()

    def hang(self) -> None:
        """Take connections and data, and pass nothing on, either way, until `resume()`, which closes these connections."""
        with self._state:
            self._hanging = True

    def refuse(self) -> None:
        """Refuse new connections until `resume()`; open ones stay (see `cut`)."""
        with self._switch:
            self._stop_listening()

    def resume(self) -> None:
        """End `hang` and `refuse`."""
        with self._switch:
            with self._state:
                if self._hanging:
                    self._hanging = False
                    self._end_all()
            if self._started:
                self._listen()

    def _listen(self) -> None:
        if self._listener is not None:
            return
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, self.port))
        listener.listen(128)
        self._listener = listener
        self._accepting = threading.Thread(target=self._accept, args=(listener,), name="proxy-accept", daemon=True)
        self._accepting.start()

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None and self._accepting is not None:
            # Closing alone would not wake the thread that waits in accept.
            listener.shutdown(socket.SHUT_RDWR)
            self._accepting.join(PATIENCE)
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except ConnectionAbortedError:
                continue
            except OSError:
                if self._listener is listener:
                    raise
                return
            link = Link(client)
            link.thread = threading.Thread(target=self._serve, args=(link,), name="proxy-link", daemon=True)
            with self._state:
                self._links.add(link)
            link.thread.start()

    def _serve(self, link: Link) -> None:
        try:
            if self._may_pass(link):
                self._connect_and_pass(link)
        except OSError:
            # The server cannot be reached, or left at once: the client learns it from the end of its connection.
            pass
        finally:
            with self._state:
                self._links.discard(link)
                for end in link.sockets():
                    end.close()

    def _connect_and_pass(self, link: Link) -> None:
        server = socket.create_connection((HOST, self._target_port), timeout=PATIENCE)
        server.settimeout(None)
        with self._state:
            link.server = server
            if link.ended:
                return
        for end in link.sockets():
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(
            target=self._pump, args=(link, server, link.client, self._reply_passes), name="proxy-replies", daemon=True
        )
        back.start()
        self._pump(link, link.client, server, self._request_passes)
        back.join()

    def _pump(self, link: Link, source: socket.socket, sink: socket.socket, passes: Callable[[Link, bytes], bool]) -> None:
        """Pass data on until the source has no more, then tell the sink so; the other direction goes on by itself."""
        try:
            while True:
                data = source.recv(CHUNK)
                if not self._may_pass(link):
                    return
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                if passes(link, data):
                    sink.sendall(data)
        except OSError:
            with self._state:
                self._end(link)

    def _may_pass(self, link: Link) -> bool:
        """Wait while the proxy hangs; False when the connection has ended."""
        with self._state:
            self._state.wait_for(lambda: link.ended or not self._hanging)
            return not link.ended

    def _request_passes(self, link: Link, data: bytes) -> bool:
        """Note whether the reply to one of these requests gets lost; the requests themselves always pass."""
        for words in link.requests.feed(data):
            link.asked += 1
            with self._state:
                for word in {word.upper() for word in words}:
                    if link.lost is None and self._to_drop.get(word, 0) > 0:
                        self._to_drop[word] -= 1
                        link.lost = link.asked
        return True

    def _reply_passes(self, link: Link, data: bytes) -> bool:
        link.answered += len(link.replies.feed(data))
        with self._state:
            if link.lost is None:
                return True
            if link.answered >= link.lost and not link.ended:
                self._dropped += 1
                self._end(link)
            return False

    def _end_all(self) -> None:
        for link in self._links:
            self._end(link)

    def _end(self, link: Link) -> None:
        """Shut a connection down; its own thread then closes it. The caller holds `_state`."""
        link.ended = True
        for end in link.sockets():
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._state.notify_all()
