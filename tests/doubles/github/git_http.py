"""git over HTTP: the real ``git http-backend``, one process for a request."""

from __future__ import annotations

import functools
import gzip
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.doubles.github.git import environment

GIT_PATH = re.compile(
    r"/(?P<owner>[^/]+)/(?P<name>[^/]+?)(?:\.git)?"
    r"(?P<rest>/(?:info/refs|git-upload-pack|git-receive-pack|HEAD|objects/.+))"
)


@dataclass(frozen=True)
class GitAnswer:
    """What the backend printed."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


@functools.cache
def backend() -> Path:
    """Return the program, which lies beside git's other parts."""
    found = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True)
    return Path(found.stdout.strip(), "git-http-backend")


def wants_to_push(path: str, query: str) -> bool:
    """Tell a request of a push from one of a fetch."""
    return path.endswith("/git-receive-pack") or "service=git-receive-pack" in query


def run_backend(
    root: Path,
    path: str,
    query: str,
    method: str,
    headers: Mapping[str, str],
    body: bytes,
    user: str,
) -> GitAnswer:
    """Run the backend as a web server would and return its answer."""
    if headers.get("content-encoding", "").lower() == "gzip":
        body = gzip.decompress(body)
    variables = environment() | {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_PROJECT_ROOT": str(root),
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "REQUEST_METHOD": method,
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_USER": user,
        "CONTENT_TYPE": headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "SERVER_PROTOCOL": "HTTP/1.1",
    }
    if "git-protocol" in headers:
        variables["GIT_PROTOCOL"] = headers["git-protocol"]
    done = subprocess.run([str(backend())], input=body, env=variables, capture_output=True, check=False)
    if done.returncode and not done.stdout:
        return GitAnswer(500, [("Content-Type", "text/plain")], done.stderr)
    return _parsed(done.stdout)


def _parsed(printed: bytes) -> GitAnswer:
    head, _, body = printed.partition(b"\r\n\r\n")
    status = 200
    headers: list[tuple[str, str]] = []
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "status":
            status = int(value.split()[0])
        elif name:
            headers.append((name, value.strip()))
    return GitAnswer(status, headers, body)
