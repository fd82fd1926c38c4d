"""Booty as its users run it: web, worker and reconciler as processes of their own, and the outside as servers."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from tests.doubles.broker import Broker
from tests.doubles.github import AppIdentity, GitHubDouble, WebhookTarget
from tests.doubles.processes import Program, answers, free_port
from tests.doubles.sentry import Sentry
from tests.keys import make_private_key, public_key_of

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
WHEELS = Path(sys.prefix) / "wheels"
APP_ID = 4711


class Stack:
    """Everything that `make demo` and the acceptance tests need, started in order and ended together.

    `overrides` are environment variables of Booty's processes that win over the ones made here.
    """

    def __init__(self, folder: Path, *, port: int | None = None, overrides: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.programs: list[Program] = []
        self._overrides = dict(overrides or {})
        self.webhook_secret = self._overrides.get("WEBHOOK_SECRET") or secrets.token_urlsafe(30)
        self.broker: Broker | None = None

    def __enter__(self) -> Self:
        try:
            self._start_outside()
            self.environment = self._environment()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _start_outside(self) -> None:
        if "REDIS_URL" not in self._overrides:
            self.broker = Broker(self.folder / "broker")
        self.sentry = Sentry(self.folder / "sentry")
        self.private_key = make_private_key()
        identity = AppIdentity(app_id=APP_ID, public_key_pem=public_key_of(self.private_key), installation_id=1)
        target = WebhookTarget(url=f"{self.url}/webhooks/github", secret=self.webhook_secret)
        self.github = GitHubDouble(self.folder / "github", app=identity, webhook=target)
        self.github.start()

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "WEBHOOK_SECRET": self.webhook_secret,
            "ALLOWED_REPOSITORIES": "acme/*",
            "REDIS_URL": self.broker.url if self.broker else "",
            "GITHUB_API_URL": self.github.api_url,
            "GITHUB_APP_ID": str(APP_ID),
            "GITHUB_APP_PRIVATE_KEY": self.private_key,
            "SENTRY_DSN": self.sentry.dsn,
            "SENTRY_ENVIRONMENT": "demo",
            "BOOTY_SENTRY_EVENT_URL": "" if "SENTRY_DSN" in self._overrides else f"{self.sentry.url}/",
            "BOOTY_STATE_DIR": str(self.folder / "state"),
            "BOOTY_BASE_URL": self.url,
            "BOOTY_RECONCILE_SECONDS": "0.5",
            "BOOTY_RETRY_SECONDS": "0.5",
            **self._overrides,
        }

    def manage(self, *words: str, **variables: str) -> str:
        """Run a management command to its end and return what it printed; raises when it fails."""
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=self.environment | variables,
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"manage.py {' '.join(words)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def prepare(self) -> None:
        """Make the database's tables and gather the static files."""
        self.manage("migrate", "--verbosity=0")
        self.manage("collectstatic", "--noinput", "--verbosity=0")

    def start_web(self) -> Program:
        static = Path(self.environment["BOOTY_STATE_DIR"]) / "static"
        argv = [
            *(str(BIN / "granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(self.port)),
            *("--workers", "1", "--blocking-threads", "4", "--no-ws"),
            *("--static-path-route", "/static", "--static-path-mount", str(static), "booty_site.wsgi:application"),
        ]
        web = self._start("web", argv)
        web.wait_ready(lambda: answers(f"{self.url}/healthz"))
        return web

    def start_worker(self, *words: str) -> Program:
        known = self._workers()
        worker = self._start("worker", [sys.executable, "manage.py", "rqworker", *words])
        worker.wait_ready(lambda: self._workers() > known)
        return worker

    def start_reconciler(self) -> Program:
        reconciler = self._start("reconciler", [sys.executable, "manage.py", "reconcile"])
        reconciler.wait_ready(lambda: "Reconciler looks" in reconciler.tail())
        return reconciler

    def _workers(self) -> int:
        with redis.Redis.from_url(self.environment["REDIS_URL"]) as client:
            return int(client.scard("rq:workers"))

    def _start(self, name: str, argv: list[str]) -> Program:
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)
        environment = {**self.environment, "PYTHONUNBUFFERED": "1"}
        program = Program(name, argv, environment, ROOT, logs / f"{name}-{len(self.programs)}.log")
        self.programs.append(program)
        return program

    def logs(self) -> str:
        return "\n".join(f"== {program.name}\n{program.tail()}" for program in self.programs)

    def stop(self) -> None:
        for program in reversed(self.programs):
            program.stop()
        self.programs.clear()
        if hasattr(self, "github"):
            self.github.stop()
        if hasattr(self, "sentry"):
            self.sentry.stop()
        if self.broker is not None:
            self.broker.stop()
