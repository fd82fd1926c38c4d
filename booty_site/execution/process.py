"""Runs one command of a repository or a tool: bounded in time and output, its whole process tree ended."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

OUTPUT_HEAD = 16 * 1024
OUTPUT_TAIL = 48 * 1024
POLL_SECONDS = 0.05
GRACE_SECONDS = 0.5
MARK = "BOOTY_COMMAND_MARK"


class Ending(StrEnum):
    """How a command ended."""

    EXITED = "exited"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    STOPPED = "stopped"
    NOT_STARTED = "not_started"


@dataclass(frozen=True)
class CommandResult:
    """What a command did.

    `exit_code` is None unless the command ended by itself (a negative number is the signal that ended
    it, as in subprocess); `seconds` is wall time; `output` holds standard output and standard error
    as they came, its middle left out when it was longer than the cap.
    """

    argv: tuple[str, ...]
    ending: Ending
    exit_code: int | None
    seconds: float
    output: str

    @property
    def ok(self) -> bool:
        return self.ending is Ending.EXITED and self.exit_code == 0


class Wrapped(Protocol):
    """A command as it is started on the host, on its way into a sandbox."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    descriptors: tuple[int, ...]

    def started(self) -> None:
        """Close the descriptors: the command has them by now."""

    def excess(self) -> bool:
        """Tell whether the command uses more memory than it may."""

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End what runs in the sandbox, whatever became of the process that started it."""

    def verify(self, output: str) -> None:
        """Raise SandboxUnavailable if it was the sandbox that failed, not the command."""


# (argv, folder, environment, seconds) -> the same, to be started on the host
Wrap = Callable[[Sequence[str], Path, Mapping[str, str], float], AbstractContextManager[Wrapped]]


class Unwrapped:
    """A command that is started as it is."""

    descriptors: tuple[int, ...] = ()

    def __init__(self, argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
        self.argv, self.cwd, self.env = tuple(argv), cwd, env

    def started(self) -> None:
        """Nothing was opened for it."""

    def excess(self) -> bool:
        return False

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Ask politely first; the caller ends what is left."""
        if process.poll() is None:
            _signal_group(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_SECONDS)

    def verify(self, output: str) -> None:
        """There is no sandbox that could fail."""


class CappedOutput:
    """Keeps the first and the last bytes of a stream and counts what it leaves out."""

    def __init__(self, head: int = OUTPUT_HEAD, tail: int = OUTPUT_TAIL) -> None:
        self._head_size, self._tail_size = head, tail
        self._head, self._tail = bytearray(), bytearray()
        self.left_out = 0

    def add(self, chunk: bytes) -> None:
        room = self._head_size - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:]
        surplus = len(self._tail) - self._tail_size
        if surplus > 0:
            del self._tail[:surplus]
            self.left_out += surplus

    def text(self) -> str:
        if not self.left_out:
            return bytes(self._head + self._tail).decode("utf-8", "replace")
        head, tail = self._head.decode("utf-8", "replace"), self._tail.decode("utf-8", "replace")
        return f"{head}\n[... {self.left_out} bytes left out ...]\n{tail}"


def run_command(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float,
    stdin: str = "",
    should_stop: Callable[[], bool] = lambda: False,
    on_output: Callable[[str], None] = lambda text: None,
    owner: str = "",
    wrap: Wrap | None = None,
) -> CommandResult:
    """Run `argv` without a shell and return its result; never raises for what the command does.

    `wrap` puts it into a sandbox; then `cwd` and `env` are those inside, and SandboxUnavailable is raised when the sandbox
    fails.

    The command gets `env` and nothing else of this process's environment, no inherited descriptor and
    a session of its own. After `timeout` seconds, or as soon as `should_stop()` is true, its whole
    process tree is killed. When the command ends, whatever it left running is killed too.
    `on_output` is given the capped output so far, whenever there was something new. `owner` is a text
    by which `kill_all_of` finds the command when this process has died.
    """
    mark = f"{owner}:{uuid.uuid4().hex}"
    started = time.monotonic()
    output = CappedOutput()
    with wrap(argv, cwd, env, timeout) if wrap else nullcontext(Unwrapped(argv, cwd, env)) as command:
        try:
            process = subprocess.Popen(
                command.argv,
                cwd=command.cwd,
                env={**command.env, MARK: mark},
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=command.descriptors,
            )
        except OSError as error:
            reason = f"{command.argv[0]}: {error.strerror or 'could not be started'}"
            return CommandResult(tuple(argv), Ending.NOT_STARTED, None, time.monotonic() - started, reason)
        command.started()
        try:
            ending = _follow(process, command, stdin.encode(), output, started + timeout, should_stop, on_output)
        finally:
            _kill_tree(process, command, mark)
        if ending is Ending.EXITED:
            command.verify(output.text())
    exit_code = process.returncode if ending is Ending.EXITED else None
    return CommandResult(tuple(argv), ending, exit_code, time.monotonic() - started, output.text())


def _follow(
    process: subprocess.Popen[bytes],
    command: Wrapped,
    stdin: bytes,
    output: CappedOutput,
    deadline: float,
    should_stop: Callable[[], bool],
    on_output: Callable[[str], None],
) -> Ending:
    assert process.stdout is not None
    # Readable as soon as the process has ended, so that nothing waits for the next look.
    with open(os.pidfd_open(process.pid), "rb") as ended_file, selectors.DefaultSelector() as selector:
        selector.register(ended_file, selectors.EVENT_READ)
        os.set_blocking(process.stdout.fileno(), False)
        selector.register(process.stdout, selectors.EVENT_READ)
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
        while True:
            # The command's own end counts, not the pipe's: a daemon it left behind may hold the pipe.
            ended = process.poll() is not None
            fresh = False
            for key, _ in selector.select(0 if ended else POLL_SECONDS):
                if key.fileobj is process.stdin:
                    stdin = _feed(selector, process, stdin)
                elif key.fileobj is process.stdout:
                    fresh = _drain(selector, process, output) or fresh
            if fresh:
                on_output(output.text())
            if ended:
                return Ending.EXITED
            if should_stop():
                return Ending.STOPPED
            if command.excess():
                return Ending.OUT_OF_MEMORY
            if time.monotonic() >= deadline:
                return Ending.TIMED_OUT


def _feed(selector: selectors.BaseSelector, process: subprocess.Popen[bytes], stdin: bytes) -> bytes:
    assert process.stdin is not None
    try:
        written = os.write(process.stdin.fileno(), stdin[:65536])
    except BrokenPipeError:
        written = len(stdin)
    rest = stdin[written:]
    if not rest:
        selector.unregister(process.stdin)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    return rest


def _drain(selector: selectors.BaseSelector, process: subprocess.Popen[bytes], output: CappedOutput) -> bool:
    assert process.stdout is not None
    chunk = process.stdout.read(1 << 20)
    if chunk == b"":
        selector.unregister(process.stdout)
    if not chunk:
        return False
    output.add(chunk)
    return True


def _kill_tree(process: subprocess.Popen[bytes], command: Wrapped, mark: str) -> None:
    """End the command's session and every process that still carries its mark.

    The mark in the environment finds what left the session (`setsid`, double fork); a payload that
    also rewrites its environment is a matter for the sandbox.
    """
    command.kill(process)
    _signal_group(process.pid, signal.SIGKILL)
    _kill_marked(mark)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def kill_all_of(owner: str) -> None:
    """End every process that a command of `owner` left on this machine."""
    if owner:
        _kill_marked(f"{owner}:")


def _kill_marked(mark: str) -> None:
    while marked := _marked_processes(mark):
        for pid in marked:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _marked_processes(mark: str) -> list[int]:
    needle = f"{MARK}={mark}".encode()
    found = []
    for name in os.listdir("/proc"):
        # A zombie's environment reads as empty, so the loop above ends without reaping strangers.
        if name.isdigit():
            with contextlib.suppress(OSError):
                if needle in Path("/proc", name, "environ").read_bytes():
                    found.append(int(name))
    return found
