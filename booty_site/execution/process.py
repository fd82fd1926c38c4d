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
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

OUTPUT_HEAD = 16 * 1024
OUTPUT_TAIL = 48 * 1024
POLL_SECONDS = 0.2
GRACE_SECONDS = 0.5
MARK = "BOOTY_COMMAND_MARK"


class Ending(StrEnum):
    """How a command ended."""

    EXITED = "exited"
    TIMED_OUT = "timed_out"
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
) -> CommandResult:
    """Run `argv` without a shell and return its result; never raises for what the command does.

    The command gets `env` and nothing else of this process's environment, no inherited descriptor and
    a session of its own. After `timeout` seconds, or as soon as `should_stop()` is true, its whole
    process tree is killed. When the command ends, whatever it left running is killed too.
    `on_output` is given the capped output so far, whenever there was something new. `owner` is a text
    by which `kill_all_of` finds the command when this process has died.
    """
    mark = f"{owner}:{uuid.uuid4().hex}"
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env={**env, MARK: mark},
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        reason = f"{argv[0]}: {error.strerror or 'could not be started'}"
        return CommandResult(tuple(argv), Ending.NOT_STARTED, None, time.monotonic() - started, reason)

    output = CappedOutput()
    try:
        ending = _follow(process, stdin.encode(), output, started + timeout, should_stop, on_output)
    finally:
        _kill_tree(process, mark)
    exit_code = process.returncode if ending is Ending.EXITED else None
    return CommandResult(tuple(argv), ending, exit_code, time.monotonic() - started, output.text())


def _follow(
    process: subprocess.Popen[bytes],
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


def _kill_tree(process: subprocess.Popen[bytes], mark: str) -> None:
    """End the command's session and every process that still carries its mark.

    The mark in the environment finds what left the session (`setsid`, double fork); a payload that
    also rewrites its environment is a matter for the sandbox.
    """
    if process.poll() is None:
        _signal_group(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
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
