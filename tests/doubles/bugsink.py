"""A real Sentry-compatible server that refuses events which do not fit Sentry's schema: bugsink, from PyPI.

It lives in a virtual environment of its own, which `make test-bugsink` makes.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.doubles.processes import Program, answers, free_port, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
BIN = ROOT / ".venv-bugsink" / "bin"
STRICT = """
BUGSINK["VALIDATE_ON_DIGEST"] = "strict"
BUGSINK["DIGEST_IMMEDIATELY"] = True
DATABASES["default"]["NAME"] = BASE / "bugsink.sqlite3"
DATABASES["snappea"]["NAME"] = BASE / "snappea.sqlite3"
ALLOWED_HOSTS = ["127.0.0.1"]
"""
MAKE_PROJECT = """
from projects.models import Project
from teams.models import Team
project = Project.objects.create(name="booty", team=Team.objects.create(name="booty"))
print("DSN=" + project.dsn)
"""
READ_EVENTS = """
import json
from events.models import Event
print("EVENTS=" + json.dumps([event.get_parsed_data() for event in Event.objects.order_by("digested_at")]))
"""


class Bugsink:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self._environment = {
            "PATH": os.defpath,
            "HOME": str(folder),
            "DJANGO_SETTINGS_MODULE": "bugsink_conf",
            "PYTHONPATH": str(folder),
        }
        configuration = folder / "bugsink_conf.py"
        self._run("bugsink-create-conf", "--template=local", "--host=127.0.0.1", f"--port={self.port}", "-o", str(configuration))
        with configuration.open("a") as file:
            file.write(f"\nfrom pathlib import Path\nBASE = Path({str(folder)!r})\n{STRICT}")
        self._run("bugsink-manage", "migrate", "--verbosity=0")
        self._run("bugsink-manage", "migrate", "--database=snappea", "--verbosity=0")
        self.dsn = self._shell(MAKE_PROJECT, "DSN=")
        argv = [str(BIN / "gunicorn"), "--bind", f"127.0.0.1:{self.port}", "--threads", "2", "bugsink.wsgi"]
        self.program = Program("bugsink", argv, self._environment, folder, folder / "bugsink.log")
        self.program.wait_ready(lambda: answers(f"http://127.0.0.1:{self.port}/health/ready"))

    def events(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = json.loads(self._shell(READ_EVENTS, "EVENTS="))
        return events

    def wait_for_events(self, count: int) -> list[dict[str, Any]]:
        wait_until(lambda: len(self.events()) >= count, f"{count} events in bugsink")
        return self.events()

    def stop(self) -> None:
        self.program.stop()

    def _shell(self, code: str, prefix: str) -> str:
        output = self._run("bugsink-manage", "shell", "--command", code)
        return next(line.removeprefix(prefix) for line in output.splitlines() if line.startswith(prefix))

    def _run(self, program: str, *words: str) -> str:
        done = subprocess.run(
            [str(BIN / program), *words], cwd=self._folder, env=self._environment, text=True, capture_output=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{program} {words[0]} failed:\n{done.stdout}{done.stderr}")
        return done.stdout
