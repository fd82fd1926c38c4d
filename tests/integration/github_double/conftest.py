"""The double, and PyGithub signed in to it by a token or as the App."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from github import Auth, GithubIntegration
from github.Repository import Repository as RemoteRepository

from tests.doubles.github import AppIdentity, GitHubDouble, WebhookTarget
from tests.integration.github_double.common import (
    APP_ID,
    INSTALLATION,
    NAME,
    SECRET,
    TOKEN,
    Received,
    client,
)


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def received() -> Iterator[Received]:
    found = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.append((dict(self.headers), body))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Stay silent."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}/hook"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


@pytest.fixture
def double(tmp_path: Path, key: rsa.RSAPrivateKey, received: Received) -> Iterator[GitHubDouble]:
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    made = GitHubDouble(
        tmp_path / "github",
        token=TOKEN,
        app=AppIdentity(APP_ID, public.decode(), INSTALLATION),
        webhook=WebhookTarget(received.url, SECRET),
    )
    with made:
        made.add_repository(NAME)
        made.set_permission(NAME, "ann", "write")
        yield made
    assert made.errors == []


@pytest.fixture
def by_token(double: GitHubDouble) -> RemoteRepository:
    return client(double, Auth.Token(TOKEN)).get_repo(NAME)


@pytest.fixture
def app_auth(key: rsa.RSAPrivateKey) -> Auth.AppAuth:
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Auth.AppAuth(APP_ID, private.decode())


@pytest.fixture
def by_app(double: GitHubDouble, app_auth: Auth.AppAuth) -> RemoteRepository:
    return client(double, app_auth.get_installation_auth(INSTALLATION)).get_repo(NAME)


@pytest.fixture
def integration(double: GitHubDouble, app_auth: Auth.AppAuth) -> GithubIntegration:
    """The App itself, which reads its lists two by two."""
    return GithubIntegration(
        auth=app_auth,
        base_url=double.api_url,
        retry=None,
        seconds_between_requests=0,
        seconds_between_writes=0,
        per_page=2,
    )
