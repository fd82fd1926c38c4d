"""Booty under a supervisor, with an outside that can be broken: two workers, two reconcilers, one web server."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.doubles.broker import Broker
from tests.doubles.github import AppIdentity, GitHubDouble, WebhookTarget
from tests.doubles.postgres import Cluster
from tests.doubles.processes import Program, session_members, wait_until
from tests.doubles.proxy import TcpProxy
from tests.doubles.sentry_recorder import SentryRecorder
from tests.keys import make_private_key, public_key_of
from tests.repositories import QUICK_RUNNER, commit, make_calculator, policy
from tests.stack import APP_ID, Stack

REPOSITORY = "acme/calculator"
# Its git address refuses Booty for ever: what is asked of it ends as errored.
LOCKED = "acme/locked"
WATCH_SECONDS = 0.1
LEASE_SECONDS = 4.0
GRACE_SECONDS = 2.0
GITHUB_SECONDS = 2
ENGINE = """
prompt=$(cat)
case "$prompt" in *slowly*) sleep 4 ;; esac
case "$prompt" in
  *subtract*) printf '\\n\\ndef subtract(a, b):\\n    return a - b\\n' >> calculator.py ;;
esac
"""


class Supervised:
    """A program that is started again whenever it ends, as a service manager does."""

    def __init__(self, name: str, start: Callable[[], Program]) -> None:
        self.name, self._start = name, start
        self.program = start()
        self.ended: list[Program] = []

    def look(self) -> None:
        if self.program.process.poll() is not None:
            # What it forked may live on, as it may under a service manager that looks at one process.
            self.ended.append(self.program)
            self.program = self._start()

    def stop(self) -> None:
        for program in (*self.ended, self.program):
            for pid in session_members(program.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            program.stop(5)


class CrashStack(Stack):
    """`database` is `sqlite` or a running cluster of PostgreSQL."""

    sentry: SentryRecorder  # type: ignore[assignment]  # read as the other double is, and it can be broken
    broker: Broker

    def __init__(self, folder: Path, database: Cluster | None) -> None:
        self.cluster = database
        self.faults = folder / "faults"
        self.faults.mkdir(parents=True)
        runs = Path(tempfile.mkdtemp(prefix="booty-crash-runs-"))
        overrides = {
            "BOOTY_ENGINE_COMMAND": json.dumps(["/bin/sh", "-c", ENGINE]),
            "SENTRY_ENVIRONMENT": "crash-test",
            "BOOTY_FAULTS_DIR": str(self.faults),
            "BOOTY_RUNS_DIR": str(runs),
            "BOOTY_LEASE_SECONDS": f"{LEASE_SECONDS:g}",
            "BOOTY_HEARTBEAT_SECONDS": "0.5",
            "BOOTY_RECONCILE_SECONDS": "0.3",
            "BOOTY_DISPATCH_SECONDS": "2",
            "BOOTY_NOTICE_SECONDS": "4",
            "BOOTY_RETRY_SECONDS": "0.5",
            "BOOTY_GRACE_SECONDS": f"{GRACE_SECONDS:g}",
            "BOOTY_GITHUB_SECONDS": str(GITHUB_SECONDS),
            "BOOTY_MISSED_SECONDS": "3",
            "BOOTY_MAX_RUNNING": "8",
        }
        if database is not None:
            overrides["DATABASE_URL"] = database.new_database("crash")
        super().__init__(folder, overrides=overrides)
        self.runs_folder = runs
        self.supervised: list[Supervised] = []
        self._stopping = threading.Event()
        self._watch = threading.Thread(target=self._supervise, name="supervisor", daemon=True)

    def _start_outside(self) -> None:
        self.broker = Broker(self.folder / "broker")
        self.proxy = TcpProxy(self.broker.port).start()
        self.sentry = SentryRecorder().start()
        self.private_key = make_private_key()
        identity = AppIdentity(app_id=APP_ID, public_key_pem=public_key_of(self.private_key), installation_id=1)
        target = WebhookTarget(url=f"{self.url}/webhooks/github", secret=self.webhook_secret)
        self.github = GitHubDouble(self.folder / "github", app=identity, webhook=target)
        self.github.start()

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {"REDIS_URL": f"redis://127.0.0.1:{self.proxy.port}/0"}

    def start(self) -> None:
        """Make the repositories, start every process and the supervisor."""
        source = make_calculator(self.folder / "source", policy(test="python3 run_tests.py"))
        commit(source, {"run_tests.py": QUICK_RUNNER}, "Run the tests without pytest")
        self.github.add_user("ada")
        for name in (REPOSITORY, LOCKED):
            self.github.add_repository(name, source=source)
            self.github.set_permission(name, "ada", "write")
        self.lock()
        self.prepare()
        self.start_web()
        self.start_worker()
        self.start_reconciler()
        web, worker, reconciler = self.programs
        starts: list[tuple[str, Callable[[], Program]]] = [
            ("web", self._again(web)),
            *((f"worker-{n}", self._again(worker)) for n in (1, 2)),
            *((f"reconciler-{n}", self._again(reconciler)) for n in (1, 2)),
        ]
        for program in list(self.programs):
            program.stop()
        self.programs.clear()
        self.supervised = [Supervised(name, start) for name, start in starts]
        self._watch.start()
        self.wait_until_up()

    def _again(self, program: Program) -> Callable[[], Program]:
        name, argv = program.name, list(map(str, program.process.args))  # type: ignore[arg-type]  # started from a list
        return lambda: self._start(name, argv)

    def lock(self) -> None:
        """Keep Booty out of the locked repository; to be repeated after the faults of GitHub were cleared."""
        self.github.fail("GET", rf"^/{LOCKED}\.git/", status=403, times=None)

    def wait_until_up(self) -> None:
        wait_until(lambda: self._answers() is not None, "the web server", 60)

    def _answers(self) -> int | None:
        return self.get("/healthz")[0]

    def get(self, path: str) -> tuple[int | None, dict[str, Any]]:
        """Return the status and the content of a page; None when nobody answered."""
        import urllib.error
        import urllib.request

        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")
        except (OSError, ValueError):
            return None, {}

    def _supervise(self) -> None:
        while not self._stopping.wait(WATCH_SECONDS):
            for one in self.supervised:
                one.look()

    def everything_logged(self) -> str:
        """Return the logs of all processes there were, in the order they were started."""
        logs = sorted((self.folder / "logs").iterdir(), key=lambda path: path.stat().st_ctime)
        return "\n".join(f"== {path.name}\n{path.read_text(errors='replace')}" for path in logs)

    def named(self, prefix: str) -> list[Program]:
        return [one.program for one in self.supervised if one.name.startswith(prefix)]

    def stop(self) -> None:
        self._stopping.set()
        if self._watch.is_alive():
            self._watch.join()
        for one in self.supervised:
            one.stop()
        self.supervised.clear()
        self.programs.clear()
        super().stop()
        if hasattr(self, "proxy"):
            self.proxy.stop()

    # faults inside Booty

    def arm(self, point: str, action: str) -> None:
        prepared = self.faults / f".{point}"
        prepared.write_text(action, encoding="ascii")
        prepared.rename(self.faults / point)

    def fired(self, point: str) -> int | None:
        """Return the process in which a point was reached, None while it was not."""
        try:
            return int((self.faults / f"{point}.fired").read_text() or 0) or None
        except (FileNotFoundError, ValueError):
            return None

    def disarm(self) -> list[str]:
        """Switch every fault off; returns the points that nothing reached."""
        left = [path.name for path in self.faults.iterdir() if not path.name.endswith(".fired")]
        for path in self.faults.iterdir():
            path.unlink(missing_ok=True)
        return left

    # what the database says

    @contextmanager
    def database(self) -> Iterator[Callable[..., list[dict[str, Any]]]]:
        url = self.environment.get("DATABASE_URL", "")
        if url:
            with psycopg.connect(url, row_factory=dict_row, connect_timeout=5) as connection:
                yield lambda query, *values: list(connection.execute(query.replace("?", "%s"), values))
            return
        path = Path(self.environment["BOOTY_STATE_DIR"]) / "booty.sqlite3"
        with contextlib.closing(sqlite3.connect(path, timeout=20)) as file:
            file.row_factory = sqlite3.Row
            yield lambda query, *values: [dict(row) for row in file.execute(query, values)]

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        with self.database() as ask:
            return ask(query, *values)
