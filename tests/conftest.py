"""The outside as servers: a broker, a Sentry, a GitHub; each real, each started only when a test asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import sentry_sdk
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from booty_site import observability
from booty_site.github import connect
from booty_site.runs import dispatch
from tests.doubles.broker import Broker
from tests.doubles.github import AppIdentity, GitHubDouble
from tests.doubles.sentry import Sentry
from tests.factories import REPOSITORY, GitHubWorld
from tests.keys import public_key_of
from tests.repositories import QUICK_RUNNER, commit, make_calculator, policy

QUICK_TESTS = "python3 run_tests.py"


@pytest.fixture(scope="session")
def broker_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    server = Broker(tmp_path_factory.mktemp("broker"))
    yield server
    server.stop()


@pytest.fixture
def broker(broker_server: Broker, settings: Settings) -> Iterator[redis.Redis]:
    """A real, empty broker that the settings point to."""
    settings.REDIS_URL = broker_server.url
    settings.RQ_QUEUES = {name: {**queue, "URL": broker_server.url} for name, queue in settings.RQ_QUEUES.items()}
    _forget_connections()
    with redis.Redis.from_url(broker_server.url) as client:
        client.flushall()
        yield client
    dispatch.broker().close()
    _forget_connections()


def _forget_connections() -> None:
    dispatch.broker.cache_clear()
    dispatch._queue.cache_clear()
    dispatch._broker_rests_until = 0.0


@pytest.fixture(scope="session")
def sentry_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentry]:
    server = Sentry(tmp_path_factory.mktemp("sentry"))
    yield server
    server.stop()


@pytest.fixture
def start_sentry(sentry_server: Sentry, settings: Settings) -> Iterator[Callable[..., Sentry]]:
    """Return a function that starts this process's Sentry with the given settings, on an empty server."""

    def start(**values: Any) -> Sentry:
        sentry_server.flush()
        settings.SENTRY_DSN = sentry_server.dsn
        settings.SENTRY_ENVIRONMENT = "testing"
        settings.SENTRY_RELEASE = "booty@1.2.3"
        for name, value in values.items():
            setattr(settings, name, value)
        observability.init()
        return sentry_server

    yield start
    sentry_sdk.get_client().close(timeout=2)
    sentry_sdk.get_global_scope().set_client(None)


@pytest.fixture
def sentry(start_sentry: Callable[..., Sentry]) -> Sentry:
    """A Sentry server that this process reports to."""
    return start_sentry()


@pytest.fixture(scope="session")
def calculator_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with history whose tests need nothing but Python."""
    folder = make_calculator(tmp_path_factory.mktemp("source") / "calculator", policy(test=QUICK_TESTS))
    commit(folder, {"run_tests.py": QUICK_RUNNER}, "Run the tests without pytest")
    return folder


@pytest.fixture
def github(tmp_path: Path, settings: Settings) -> Iterator[GitHubDouble]:
    """A GitHub that knows Booty as an App, sends no webhooks by itself, and checks every request."""
    identity = AppIdentity(
        app_id=settings.GITHUB_APP_ID, public_key_pem=public_key_of(settings.GITHUB_APP_PRIVATE_KEY), installation_id=1
    )
    # A port may be used again: an earlier double's token must not be.
    connect._connected.cache_clear()
    with GitHubDouble(tmp_path / "github", app=identity, webhook=None) as double:
        settings.GITHUB_API_URL, settings.GITHUB_WEB_URL = double.api_url, double.web_url
        yield double
        violations, errors = list(double.violations), list(double.errors)
    assert violations == []
    assert errors == []


@pytest.fixture
def world(github: GitHubDouble, calculator_source: Path) -> GitHubWorld:
    """The GitHub double with the repository acme/calculator, and Ada, who may write to it."""
    github.add_repository(REPOSITORY, source=calculator_source)
    github.add_user("ada")
    github.set_permission(REPOSITORY, "ada", "write")
    return GitHubWorld(github)


@pytest.fixture
def engine(settings: Settings) -> Callable[[str], None]:
    """Return a function that makes a line of shell the coding engine."""

    def choose(line: str) -> None:
        settings.BOOTY_ENGINE_COMMAND = ("/bin/sh", "-c", line)

    return choose


@pytest.fixture
def staff(db: None) -> User:
    return User.objects.create_superuser("operator", "operator@example.org", "a long pass phrase")


@pytest.fixture
def staff_client(staff: User, client: Client) -> Client:
    client.force_login(staff)
    return client


@pytest.fixture
def deliver(client: Client, settings: Settings) -> Callable[..., Any]:
    """Return a function that posts a payload to the webhook as GitHub does and returns the response."""
    from tests.factories import signed_post

    def post(event: str, payload: object, **options: Any) -> Any:
        return signed_post(client, settings.WEBHOOK_SECRET, event, payload, **options)

    return post
