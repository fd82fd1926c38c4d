"""The doubles that fail on demand, driven by the real Sentry SDK and the real Redis client."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator

import pytest
import redis
import sentry_sdk
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.doubles.broker import Broker
from tests.doubles.processes import wait_until
from tests.doubles.proxy import HOST, RespReader, TcpProxy
from tests.doubles.sentry_recorder import SentryRecorder

SECONDS = 20
PING = b"*1\r\n$4\r\nPING\r\n"


@pytest.fixture
def recorder() -> Iterator[SentryRecorder]:
    with SentryRecorder() as recorder:
        yield recorder


class Sender:
    """A client of the SDK that is not the process's own."""

    def __init__(self, dsn: str) -> None:
        self.client = sentry_sdk.Client(dsn=dsn, default_integrations=False, auto_enabling_integrations=False)

    def send(self, message: str, event_id: str | None = None) -> str:
        """Hand an event over and return its id, without waiting for what becomes of it."""
        sent = self.client.capture_event({"message": message, "event_id": event_id or uuid.uuid4().hex})
        assert sent is not None
        return sent

    def deliver(self, message: str, event_id: str | None = None) -> str:
        """As `send`, but the SDK has finished with the event, whatever became of it."""
        sent = self.send(message, event_id)
        self.client.flush(timeout=SECONDS)
        return sent


@pytest.fixture
def sender(recorder: SentryRecorder) -> Iterator[Sender]:
    sender = Sender(recorder.dsn)
    yield sender
    # What still hangs would hold up the client's end.
    recorder.stop()
    sender.client.close(timeout=SECONDS)


def messages(recorder: SentryRecorder) -> list[str]:
    return [event["message"] for event in recorder.events()]


def test_the_recorder_keeps_what_the_sdk_sends_in_order(recorder: SentryRecorder, sender: Sender) -> None:
    ids = [sender.deliver(f"event {number}") for number in range(120)]
    assert [event["event_id"] for event in recorder.events()] == ids
    assert messages(recorder)[-1] == "event 119"


def test_the_recorder_waits_for_distinct_events(recorder: SentryRecorder, sender: Sender) -> None:
    first, second = sender.send("first"), sender.send("second")
    assert list(recorder.wait_for(2, SECONDS)) == [first, second]


def test_waiting_for_an_event_that_never_comes_says_so(recorder: SentryRecorder) -> None:
    with pytest.raises(TimeoutError, match="1 distinct Sentry events"):
        recorder.wait_for(1, 0)


def test_an_event_sent_twice_is_kept_twice_under_one_id(recorder: SentryRecorder, sender: Sender) -> None:
    event_id = sender.deliver("once")
    sender.deliver("again", event_id)
    assert [event["message"] for event in recorder.distinct()[event_id]] == ["once", "again"]
    assert len(recorder.distinct()) == 1


def test_a_cleared_recorder_is_empty(recorder: SentryRecorder, sender: Sender) -> None:
    sender.deliver("old")
    recorder.clear()
    assert recorder.events() == []


def test_a_failed_request_is_not_recorded_and_the_next_one_is(recorder: SentryRecorder, sender: Sender) -> None:
    recorder.fail(500, times=1)
    sender.deliver("lost")
    sender.deliver("kept")
    assert messages(recorder) == ["kept"]


def test_the_sdks_reports_about_itself_use_up_no_fault(recorder: SentryRecorder, sender: Sender) -> None:
    recorder.fail(500, times=2)
    for message in ("lost", "lost too", "kept"):
        sender.deliver(message)
    assert messages(recorder) == ["kept"]


def test_a_failure_lasts_until_it_is_cleared(recorder: SentryRecorder, sender: Sender) -> None:
    recorder.fail(403)
    sender.deliver("lost")
    sender.deliver("lost too")
    recorder.clear_faults()
    sender.deliver("kept")
    assert messages(recorder) == ["kept"]


def test_the_sdk_obeys_the_retry_after_of_a_failure(recorder: SentryRecorder, sender: Sender) -> None:
    recorder.fail(429, headers={"Retry-After": "3600"}, times=1)
    sender.deliver("refused")
    sender.deliver("held back by the SDK")
    assert recorder.events() == []


def test_a_dropped_reply_records_the_event(recorder: SentryRecorder, sender: Sender) -> None:
    recorder.drop_reply(times=1)
    event_id = sender.deliver("arrived, and nobody knows")
    assert list(recorder.distinct()) == [event_id]


def test_a_request_that_hung_is_released_without_a_record(recorder: SentryRecorder, sender: Sender) -> None:
    recorder.hang()
    sender.send("hangs")
    wait_until(lambda: recorder.hanging == 1, "a hanging request", SECONDS)
    recorder.clear_faults()
    sender.send("goes on")
    recorder.wait_for(1, SECONDS)
    assert messages(recorder) == ["goes on"]
    assert recorder.hanging == 0


def test_stopping_the_recorder_releases_what_hangs(recorder: SentryRecorder, sender: Sender) -> None:
    recorder.hang()
    sender.send("hangs")
    wait_until(lambda: recorder.hanging == 1, "a hanging request", SECONDS)
    recorder.stop()
    wait_until(lambda: recorder.hanging == 0, "its release", SECONDS)
    assert recorder.events() == []


def test_a_recorder_that_is_down_refuses_connections(recorder: SentryRecorder, sender: Sender) -> None:
    recorder.take_down()
    sender.deliver("lost")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, recorder.port))
    assert recorder.events() == []


def test_a_recorder_comes_back_on_its_port_with_what_it_had(recorder: SentryRecorder, sender: Sender) -> None:
    sender.deliver("before")
    recorder.take_down()
    recorder.bring_up()
    sender.deliver("after")
    assert messages(recorder) == ["before", "after"]


def test_clearing_the_faults_brings_the_recorder_up(recorder: SentryRecorder, sender: Sender) -> None:
    recorder.take_down()
    recorder.clear_faults()
    sender.deliver("after")
    assert messages(recorder) == ["after"]


def test_an_event_cut_short_is_not_recorded(recorder: SentryRecorder, sender: Sender) -> None:
    with socket.create_connection((HOST, recorder.port)) as client:
        client.sendall(
            b"POST /api/1/envelope/ HTTP/1.1\r\nContent-Length: 1000\r\n\r\n{}\n" + b'{"type": "event"}\n{"event_id": "a"}'
        )
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    sender.deliver("whole")
    assert messages(recorder) == ["whole"]


@pytest.fixture
def proxy(broker_server: Broker) -> Iterator[TcpProxy]:
    with TcpProxy(broker_server.port) as proxy:
        yield proxy


@pytest.fixture
def direct(broker_server: Broker) -> Iterator[redis.Redis]:
    """A client of the empty broker itself."""
    with redis.Redis(port=broker_server.port) as client:
        client.flushall()
        yield client


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def through(proxy: TcpProxy, request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    """A client behind the proxy that tries everything once."""
    client = redis.Redis(port=proxy.port, protocol=request.param, retry=Retry(NoBackoff(), 0), socket_timeout=SECONDS)
    with client:
        yield client


def plain_connection(proxy: TcpProxy) -> socket.socket:
    """Return a connection through the proxy to the broker, which has answered on it."""
    client = socket.create_connection((HOST, proxy.port), timeout=SECONDS)
    client.sendall(PING)
    assert client.recv(100) == b"+PONG\r\n"
    return client


def ended(client: socket.socket) -> bool:
    """Wait for the end of a connection; True when nothing came before it."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_the_proxy_passes_large_values_both_ways(through: redis.Redis) -> None:
    value = b"\r\n$3\r\n" * 500_000
    through.set("key", value)
    assert through.get("key") == value


def test_the_proxy_drops_the_reply_of_a_transaction_that_took_place(
    proxy: TcpProxy, through: redis.Redis, direct: redis.Redis
) -> None:
    proxy.drop_reply_to(b"exec")
    with through.pipeline(transaction=True) as pipeline:
        pipeline.set("key", "value")
        pipeline.incr("count")
        with pytest.raises(redis.ConnectionError):
            pipeline.execute()
    assert (direct.get("key"), direct.get("count")) == (b"value", b"1")
    assert proxy.dropped == 1


def test_a_large_transaction_takes_place_as_a_whole_before_its_reply_is_dropped(
    proxy: TcpProxy, through: redis.Redis, direct: redis.Redis
) -> None:
    proxy.drop_reply_to(b"EXEC")
    with through.pipeline(transaction=True) as pipeline:
        for _ in range(5000):
            pipeline.rpush("list", b"x" * 500)
        with pytest.raises(redis.ConnectionError):
            pipeline.execute()
    assert direct.llen("list") == 5000
    assert proxy.dropped == 1


def test_a_request_in_many_pieces_is_let_through_whole_before_its_reply_is_dropped(
    proxy: TcpProxy, through: redis.Redis, direct: redis.Redis
) -> None:
    proxy.drop_reply_to(b"SET")
    with pytest.raises(redis.ConnectionError):
        through.set("key", b"x" * 5_000_000)
    assert direct.strlen("key") == 5_000_000


def test_the_reply_of_a_blocking_command_is_dropped_when_it_comes_and_not_before(proxy: TcpProxy, direct: redis.Redis) -> None:
    proxy.drop_reply_to(b"BLPOP")
    with plain_connection(proxy) as client:
        client.sendall(PING + b"*3\r\n$5\r\nBLPOP\r\n$4\r\nlist\r\n$1\r\n0\r\n")
        wait_until(lambda: direct.info("clients")["blocked_clients"] == 1, "a blocked client", SECONDS)
        direct.rpush("list", "taken")
        assert ended(client)
    assert direct.llen("list") == 0
    assert proxy.dropped == 1


def test_only_as_many_replies_are_dropped_as_asked_for(proxy: TcpProxy, through: redis.Redis, direct: redis.Redis) -> None:
    proxy.drop_reply_to(b"RPUSH", times=2)
    for _ in range(2):
        with pytest.raises(redis.ConnectionError):
            through.rpush("list", "value")
    assert through.rpush("list", "value") == 3
    assert proxy.dropped == 2


def test_a_command_inside_a_value_drops_nothing(proxy: TcpProxy, through: redis.Redis) -> None:
    proxy.drop_reply_to(b"EXEC")
    through.set("key", b"\r\nEXEC\r\n")
    assert proxy.dropped == 0


def test_a_cut_ends_the_open_connections_and_new_ones_pass(proxy: TcpProxy) -> None:
    with plain_connection(proxy) as old:
        proxy.cut()
        assert ended(old)
    plain_connection(proxy).close()


def test_a_hanging_proxy_accepts_and_answers_nothing_until_it_closes_what_hung(proxy: TcpProxy, direct: redis.Redis) -> None:
    with plain_connection(proxy) as old:
        proxy.hang()
        with socket.create_connection((HOST, proxy.port), timeout=SECONDS) as new:
            wait_until(lambda: proxy.connections == 2, "both connections", SECONDS)
            for client in (old, new):
                client.sendall(b"*2\r\n$4\r\nINCR\r\n$5\r\ncount\r\n")
            proxy.resume()
            assert ended(old)
            assert ended(new)
    assert direct.get("count") is None
    plain_connection(proxy).close()


def test_a_client_of_a_hanging_proxy_runs_into_its_time_limit(proxy: TcpProxy) -> None:
    proxy.hang()
    client = redis.Redis(port=proxy.port, retry=Retry(NoBackoff(), 0), socket_timeout=0.1)
    with client, pytest.raises(redis.TimeoutError):
        client.ping()


def test_a_refusing_proxy_keeps_its_connections_and_takes_no_new_ones(proxy: TcpProxy) -> None:
    with plain_connection(proxy) as old:
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, proxy.port))
        old.sendall(PING)
        assert old.recv(100) == b"+PONG\r\n"
    proxy.resume()
    plain_connection(proxy).close()


def test_a_client_that_only_stopped_sending_still_gets_its_reply(proxy: TcpProxy, direct: redis.Redis) -> None:
    listener = socket.create_server((HOST, 0))
    with listener, TcpProxy(listener.getsockname()[1]) as plain:
        with socket.create_connection((HOST, plain.port), timeout=SECONDS) as client:
            client.sendall(b"question")
            client.shutdown(socket.SHUT_WR)
            server, _ = listener.accept()
            with server:
                assert b"".join(iter(lambda: server.recv(100), b"")) == b"question"
                server.sendall(b"answer")
            assert b"".join(iter(lambda: client.recv(100), b"")) == b"answer"
        wait_until(lambda: plain.connections == 0, "the end of the connection", SECONDS)


def test_a_connection_to_a_server_that_is_down_ends_at_once() -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
    with TcpProxy(port) as proxy, socket.create_connection((HOST, proxy.port), timeout=SECONDS) as client:
        assert ended(client)


def test_a_stopped_proxy_ends_what_it_carried(broker_server: Broker) -> None:
    proxy = TcpProxy(broker_server.port).start()
    with plain_connection(proxy) as client:
        proxy.stop()
        assert ended(client)
    assert proxy.connections == 0


def test_the_ends_of_replies_are_found_however_they_are_cut() -> None:
    replies = b"".join(
        [
            b"+OK\r\n",
            b"$-1\r\n",
            b"*-1\r\n",
            b"*3\r\n:1\r\n*0\r\n$2\r\n\r\n\r\n",
            b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n",
            b"|1\r\n+ttl\r\n:9\r\n%1\r\n$1\r\na\r\n~2\r\n#t\r\n_\r\n",
            b"$0\r\n\r\n",
        ]
    )
    reader = RespReader()
    found = [value for at in range(len(replies)) for value in reader.feed(replies[at : at + 1])]
    assert found == [[], [], [], [b"\r\n"], [b"a"], [b""]]
    assert RespReader().feed(replies) == found
