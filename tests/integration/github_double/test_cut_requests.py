"""The GitHub double: requests whose sender is gone before the answer."""

from __future__ import annotations

import base64
import os
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.doubles.github import GitHubDouble
from tests.integration.github_double.common import (
    NAME,
    TOKEN,
    run_git,
)


def connect(double: GitHubDouble, path: str, *headers: str) -> socket.socket:
    """Begin a POST by hand, so that it can be cut wherever a test wants."""
    host, _, port = double.web_url.removeprefix("http://").partition(":")
    basic = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
    authorization = f"Basic {basic}" if ".git/" in path else f"Bearer {TOKEN}"
    head = [f"POST {path} HTTP/1.1", f"Host: {host}:{port}", f"Authorization: {authorization}", *headers, "", ""]
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.sendall("\r\n".join(head).encode())
    return connection


COMMENTS = f"/api/v3/repos/{NAME}/issues/1/comments"
RECEIVE_PACK = f"/{NAME}.git/git-receive-pack"


@pytest.mark.parametrize(
    ("path", "header", "sent"),
    [
        (COMMENTS, "Content-Length: 17", b""),
        (COMMENTS, "Content-Length: 17", b'{"body": '),
        (RECEIVE_PACK, "Content-Length: 5000", b"0000"),
        (RECEIVE_PACK, "Transfer-Encoding: chunked", b""),
        (RECEIVE_PACK, "Transfer-Encoding: chunked", b"4\r\n0000\r\n1"),
        (RECEIVE_PACK, "Transfer-Encoding: chunked", b"4\r\n0000\r\n1000\r\n0123"),
        (RECEIVE_PACK, "Transfer-Encoding: chunked", b"4\r\n0000\r\n0\r\n"),
    ],
)
def test_a_request_cut_in_its_body_never_happened(double: GitHubDouble, path: str, header: str, sent: bytes) -> None:
    double.open_issue(NAME, "Broken", "It is broken.", "ann")

    with connect(double, path, header) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(1000)

    assert (answer, double.requests, double.violations, double.errors) == (b"", [], [], [])
    assert double.comments(NAME, 1) == []


@pytest.fixture
def is_through() -> Callable[[], bool]:
    """Tell whether every request of this test is through with its thread, which then has left its errors."""
    before = set(threading.enumerate())
    return lambda: not any("process_request_thread" in one.name for one in set(threading.enumerate()) - before)


def test_a_client_killed_before_its_answer_leaves_the_work_done_and_no_error(
    double: GitHubDouble, is_through: Callable[[], bool]
) -> None:
    double.open_issue(NAME, "Broken", "It is broken.", "ann")
    go_on = threading.Event()
    double.hang("POST", "/comments$", seconds_event=go_on)
    body = b'{"body": "Hello"}'

    with connect(double, COMMENTS, f"Content-Length: {len(body)}") as connection:
        connection.sendall(body)
        assert double.wait_for(lambda: [request.fault for request in double.requests] == ["hang"], 10)
        # Closed with a reset, as the kernel does for a process that was killed.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    go_on.set()

    assert double.wait_for(is_through, 10)
    assert double.errors == []
    assert [comment.body for comment in double.comments(NAME, 1)] == ["Hello"]


def test_a_push_whose_git_was_killed_still_moves_the_pull(
    double: GitHubDouble, tmp_path: Path, is_through: Callable[[], bool]
) -> None:
    double.push(NAME, "topic", {"a.txt": "a\n"}, "ann")
    double.open_pull(NAME, "topic", "main", "A", "", "ann")
    clone = tmp_path / "clone"
    run_git(tmp_path, "clone", "--branch", "topic", double.clone_url(NAME, TOKEN), str(clone))
    run_git(clone, "commit", "--allow-empty", "-m", "More")
    go_on = threading.Event()
    double.hang("POST", "/git-receive-pack$", seconds_event=go_on)

    with subprocess.Popen(["git", "-C", str(clone), "push", "--quiet", "origin", "topic"], start_new_session=True) as push:
        assert double.wait_for(lambda: double.requests[-1].fault == "hang", 10)
        os.killpg(push.pid, signal.SIGKILL)
    go_on.set()

    assert double.wait_for(is_through, 10)
    assert double.errors == []
    assert double.pull(NAME, 1).head_sha == run_git(clone, "rev-parse", "HEAD").stdout.strip()
    assert double.wait_for_deliveries()
    assert double.deliveries[-1].action == "synchronize"
