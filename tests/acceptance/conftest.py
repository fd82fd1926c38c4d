"""The whole of Booty as processes, shared by the tests of this folder."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.doubles.processes import wait_until
from tests.factories import LABEL, REPOSITORY
from tests.repositories import make_calculator, policy
from tests.stack import Stack

QUICK_TESTS = "python3 -c 'import test_calculator as t; t.test_add(); t.test_multiply()'"
ENGINE = """
set -e
prompt=$(cat)
case "$prompt" in
  *subtract*) printf '\\n\\ndef subtract(a, b):\\n    return a - b\\n' >> calculator.py ;;
  *wait*) echo waiting; sleep 600 ;;
  *nothing*) true ;;
esac
"""


class Service:
    """A running Booty, seen from outside: rows are read from its database, never through its code."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.github, self.sentry = stack, stack.github, stack.sentry

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        url = self.stack.environment.get("DATABASE_URL", "")
        if url.startswith("postgres"):
            with psycopg.connect(url, row_factory=dict_row) as connection:
                return list(connection.execute(query.replace("?", "%s"), values))
        path = Path(self.stack.environment["BOOTY_STATE_DIR"]) / "booty.sqlite3"
        with contextlib.closing(sqlite3.connect(path, timeout=20)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(query, values)]

    def run_of_issue(self, number: int) -> dict[str, Any]:
        return self.rows("SELECT * FROM jobs_job WHERE issue_number = ? ORDER BY created_at DESC", number)[0]

    def run_of_pull(self, number: int) -> dict[str, Any]:
        return self.rows("SELECT * FROM verifier_verificationrun WHERE pull_number = ? ORDER BY created_at DESC", number)[0]

    def wait_for_issue(self, number: int, *states: str, seconds: float = 90) -> dict[str, Any]:
        def there() -> bool:
            found = self.rows("SELECT state FROM jobs_job WHERE issue_number = ? ORDER BY created_at DESC", number)
            return bool(found) and found[0]["state"] in states

        self._wait(there, f"issue {number} to be {states}", seconds)
        self.wait_until_told("jobs_jobnotice")
        return self.run_of_issue(number)

    def wait_for_pull(self, number: int, *states: str, seconds: float = 90) -> dict[str, Any]:
        def there() -> bool:
            query = "SELECT state FROM verifier_verificationrun WHERE pull_number = ? ORDER BY created_at DESC"
            found = self.rows(query, number)
            return bool(found) and found[0]["state"] in states

        self._wait(there, f"pull request {number} to be {states}", seconds)
        self.wait_until_told("verifier_verificationnotice")
        return self.run_of_pull(number)

    def wait_until_told(self, table: str) -> None:
        self._wait(
            lambda: not self.rows(f"SELECT 1 FROM {table} WHERE sent_at IS NULL AND state = 'owed'"),
            "every notice to be sent",
            60,
        )

    def _wait(self, condition: Any, what: str, seconds: float) -> None:
        try:
            wait_until(condition, what, seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.stack.logs()}") from None

    def open_issue(self, title: str) -> int:
        issue = self.github.open_issue(REPOSITORY, title, "", by="ada", labels=[LABEL])
        return issue.number

    def open_pull(self, branch: str, files: dict[str, str | None]) -> int:
        self.github.push(REPOSITORY, branch, files, by="ada")
        return self.github.open_pull(REPOSITORY, branch, "main", f"Merge {branch}", "", by="ada").number

    def comments(self, number: int) -> list[str]:
        return [comment.body for comment in self.github.comments(REPOSITORY, number)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Web, worker, reconciler, broker, Sentry and GitHub, each a process or a server of its own."""
    folder = tmp_path_factory.mktemp("service")
    overrides = {
        "BOOTY_ENGINE_COMMAND": json.dumps(["/bin/sh", "-c", ENGINE]),
        "SENTRY_RELEASE": "booty@9.9.9",
        "SENTRY_ENVIRONMENT": "acceptance",
    }
    if "DATABASE_URL" in os.environ:
        overrides["DATABASE_URL"] = os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{_new_database()}"
    with Stack(folder, overrides=overrides) as stack:
        source = make_calculator(folder / "source", policy(test=QUICK_TESTS))
        stack.github.add_repository(REPOSITORY, source=source)
        for name in ("ada", "mallory"):
            stack.github.add_user(name)
        stack.github.set_permission(REPOSITORY, "ada", "write")
        stack.prepare()
        stack.start_web()
        stack.start_worker()
        stack.start_reconciler()
        yield Service(stack)
        violations = list(stack.github.violations)
    assert violations == []


def _new_database() -> str:
    name = f"booty_{time.time_ns()}"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return name
