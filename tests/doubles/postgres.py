"""A throw-away PostgreSQL cluster for the length of one command: `python -m tests.doubles.postgres COMMAND ...`.

Needs PostgreSQL's server programs (Debian: package postgresql). Started as root it hands the cluster
to the user `postgres`, since the server refuses to run as root.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
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
        self._programs, self._folder = programs, folder.resolve()
        self._data = self._folder / "data"
        self._user = "postgres" if os.geteuid() == 0 else None
        self.port = free_port()
        self.url = self._url("booty")

    def start(self) -> None:
        """Make the cluster, with the database `booty`, and start it."""
        if self._user:
            self._give_folder_to(self._user)
        self._run(
            "initdb",
            "--pgdata",
            str(self._data),
            "--username=booty",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-sync",
            "--no-instructions",
        )
        self.start_again()
        self.new_database("booty")

    def start_again(self) -> None:
        """Start the server on the data there is, after a stop or a crash; returns when it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder} -c max_connections=50"
        log = str(self._folder / "log")
        self._run("pg_ctl", "--pgdata", str(self._data), "--wait", "--log", log, "--options", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "--pgdata", str(self._data), "--mode=immediate", "stop")

    def new_database(self, name: str) -> str:
        """Make an empty database and return its URL; raises CalledProcessError when there is one of that name."""
        self._run("createdb", "--host=127.0.0.1", f"--port={self.port}", "--username=booty", name)
        return self._url(name)

    def _url(self, database: str) -> str:
        return f"postgres://booty@127.0.0.1:{self.port}/{database}"

    def _give_folder_to(self, user: str) -> None:
        for parent in self._folder.parents:
            if not parent.stat().st_mode & stat.S_IXOTH:
                raise PermissionError(f"the user {user} cannot enter {parent}. Give the cluster a folder from tempfile.mkdtemp()")
        account = pwd.getpwnam(user)
        os.chown(self._folder, account.pw_uid, account.pw_gid)

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
