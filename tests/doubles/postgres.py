"""A throw-away PostgreSQL cluster for the length of one command: `python -m tests.doubles.postgres COMMAND ...`.

Needs PostgreSQL's server programs (Debian: package postgresql). Started as root it hands the cluster
to the user `postgres`, since the server refuses to run as root.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.doubles.processes import free_port

PLACES = "/usr/lib/postgresql"


def find_programs() -> Path | None:
    """Return the folder with initdb and pg_ctl, of the newest version there is."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = sorted(Path(PLACES).glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return versions[-1].parent if versions else None


class Cluster:
    """A cluster of its own in `folder`, reachable on loopback and on a socket in that folder."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder = programs, folder
        self._user = "postgres" if os.geteuid() == 0 else None
        self.port = free_port()
        self.url = f"postgres://booty@127.0.0.1:{self.port}/booty"

    def start(self) -> None:
        if self._user:
            account = pwd.getpwnam(self._user)
            os.chown(self._folder, account.pw_uid, account.pw_gid)
        data = self._folder / "data"
        self._run(
            "initdb",
            "--pgdata",
            str(data),
            "--username=booty",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-sync",
            "--no-instructions",
        )
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder} -c max_connections=50"
        self._run("pg_ctl", "--pgdata", str(data), "--wait", "--log", str(self._folder / "log"), "--options", options, "start")
        self._run("createdb", "--host", str(self._folder), "--port", str(self.port), "--username=booty", "booty")

    def stop(self) -> None:
        self._run("pg_ctl", "--pgdata", str(self._folder / "data"), "--mode=immediate", "stop")

    def _run(self, program: str, *words: str) -> None:
        owner = {"user": self._user, "group": self._user, "extra_groups": []} if self._user else {}
        subprocess.run(
            [str(self._programs / program), *words],
            check=True,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            **owner,  # type: ignore[call-overload]  # the keywords depend on who runs it
        )


def main() -> int:
    programs = find_programs()
    if programs is None:
        sys.exit("PostgreSQL's server programs are not installed. On Debian: apt-get install postgresql")
    with tempfile.TemporaryDirectory(prefix="booty-postgres-") as folder:
        os.chmod(folder, 0o755)
        cluster = Cluster(programs, Path(folder))
        cluster.start()
        try:
            return subprocess.run(sys.argv[1:], env={**os.environ, "DATABASE_URL": cluster.url}, check=False).returncode
        finally:
            cluster.stop()


if __name__ == "__main__":
    sys.exit(main())
