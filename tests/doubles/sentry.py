"""A Sentry server that shows what it received: kent, from PyPI."""

from __future__ import annotations

import json
import os
import secrets
import sys
import urllib.request
from pathlib import Path
from typing import Any

from tests.doubles.processes import Program, answers, free_port, wait_until


class Sentry:
    """Kent keeps the last hundred events, under ids of its own: compare `event_id` inside."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.dsn = f"http://{secrets.token_hex(16)}@127.0.0.1:{self.port}/1"
        self.program = self.start()

    def start(self) -> Program:
        kent = Path(sys.executable).parent / "kent-server"
        argv = [str(kent), "run", "--host", "127.0.0.1", "--port", str(self.port)]
        environment = {"PATH": os.defpath, "HOME": str(self._folder), "LANG": "C.UTF-8"}
        self.program = Program("sentry", argv, environment, self._folder, self._folder / "sentry.log")
        self.program.wait_ready(lambda: answers(f"{self.url}/api/eventlist/"))
        return self.program

    def stop(self) -> None:
        self.program.stop()

    def events(self) -> list[dict[str, Any]]:
        """Return the error events received so far, oldest first."""
        listed = self._get("/api/eventlist/")["events"]
        bodies = [self._get(f"/api/event/{entry['event_id']}")["payload"]["body"] for entry in listed]
        return [body for body in bodies if isinstance(body, dict) and ("exception" in body or "message" in body)]

    def wait_for_events(self, count: int, seconds: float = 30) -> list[dict[str, Any]]:
        wait_until(lambda: len(self.events()) >= count, f"{count} Sentry events", seconds)
        return self.events()

    def event(self, event_id: str) -> dict[str, Any]:
        """Return the one event of an id; raises LookupError when there is none or more than one."""
        found = [event for event in self.events() if event["event_id"] == event_id]
        if len(found) != 1:
            raise LookupError(f"{len(found)} events with id {event_id}")
        return found[0]

    def flush(self) -> None:
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/api/flush/", method="POST"), timeout=10).close()

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as answer:
            return json.load(answer)
