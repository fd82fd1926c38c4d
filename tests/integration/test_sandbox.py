"""What a repository's command can't do in the sandbox; each of these would succeed without it."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from booty_site.execution.process import CommandResult, Ending, run_command
from booty_site.execution.sandbox.bubblewrap import Bubblewrap
from booty_site.execution.sandbox.limits import Limits

Run = Callable[..., CommandResult]
NUMBERS = {
    "x86_64": {"bpf": 321, "ptrace": 101, "unshare": 272, "keyctl": 250, "mount": 165, "memfd_create": 319},
    "aarch64": {"bpf": 280, "ptrace": 117, "unshare": 97, "keyctl": 219, "mount": 40, "memfd_create": 279},
}
LIMITS = Limits(memory_mib=1024, disk_mib=100, processes=64)
PYTHON = str(Path(sys.base_prefix).resolve() / "bin" / f"python3.{sys.version_info.minor}")


@pytest.fixture
def sandbox() -> Iterator[Bubblewrap]:
    with Bubblewrap(limits=LIMITS, owner="test") as opened:
        yield opened


@pytest.fixture
def run(sandbox: Bubblewrap) -> Run:
    def run(*argv: str, timeout: float = 60, stdin: str = "") -> CommandResult:
        variables = {"PATH": "/usr/bin:/bin", "HOME": str(sandbox.folders.home)}
        return run_command(
            argv, cwd=sandbox.folders.workspace, env=variables, timeout=timeout, stdin=stdin, wrap=sandbox.wrap, owner="test"
        )

    return run


def test_a_command_gets_its_input_and_gives_its_output_and_exit_code(run: Run) -> None:
    result = run("sh", "-c", "cat; exit 3", stdin="hello")
    assert (result.ending, result.exit_code, result.output) == (Ending.EXITED, 3, "hello")


def test_the_environment_holds_what_is_named_and_nothing_else(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET_OF_THE_WORKER", "hush")
    names = {line.split("=")[0] for line in run("env").output.splitlines()}
    assert names == {"PATH", "HOME", "PWD"}


def test_what_one_command_writes_the_next_one_finds(run: Run) -> None:
    run("sh", "-c", "echo kept > file")
    assert run("cat", "file").output == "kept\n"


def test_a_command_is_not_root_and_has_no_capability(run: Run) -> None:
    status = run("cat", "/proc/self/status").output
    assert "CapEff:\t0000000000000000" in status
    assert "CapBnd:\t0000000000000000" in status
    assert run("id", "-u").output.strip() != "0"


def test_a_file_of_the_host_is_not_there(run: Run, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush")
    secret.chmod(0o666)
    for parent in secret.parents[:3]:
        parent.chmod(0o755)
    for path in (str(secret), "/etc/shadow", str(Path(__file__).resolve())):
        assert run("cat", path).exit_code == 1


@pytest.mark.parametrize("path", ["/usr/x", "/etc/x", "/x", "/dev/x", "/booty/x", "/proc/sys/kernel/core_pattern"])
def test_nothing_can_be_written_but_the_folders_of_the_run(path: str, run: Run) -> None:
    assert run("sh", "-c", f"echo x > {path}").exit_code != 0


def test_a_link_out_of_the_workspace_leads_nowhere(run: Run, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush")
    assert run("sh", "-c", f"ln -s {tmp_path} out; cat out/secret").exit_code == 1


def test_the_loopback_of_the_host_is_another_one(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = run(PYTHON, "-c", f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)")
    assert "ConnectionRefusedError" in result.output


def test_the_sandbox_has_a_loopback_of_its_own(run: Run) -> None:
    line = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname()); print('through')"
    )
    assert run(PYTHON, "-c", line).output == "through\n"


def test_no_process_of_the_host_is_seen(run: Run) -> None:
    seen = run("sh", "-c", "ls -d /proc/[0-9]* | wc -l; kill -9 " + str(os.getpid()))
    assert int(seen.output.split()[0]) < 10
    assert "No such process" in seen.output


@pytest.mark.parametrize("name", ["bpf", "ptrace", "unshare", "keyctl", "mount", "memfd_create"])
def test_a_dangerous_system_call_is_refused(name: str, run: Run) -> None:
    number = NUMBERS[os.uname().machine][name]
    line = f"import ctypes; l = ctypes.CDLL(None, use_errno=True); print(l.syscall({number}, 0, 0, 0, 0, 0), ctypes.get_errno())"
    assert run(PYTHON, "-c", line).output == "-1 1\n", name


def test_a_fork_bomb_is_bounded(run: Run) -> None:
    bomb = "import os, time\nn = 0\ntry:\n while True:\n  if os.fork() == 0: time.sleep(60)\n  n += 1\nexcept OSError: print(n)"
    result = run(PYTHON, "-c", bomb)
    assert int(result.output) < LIMITS.processes


def test_a_memory_bomb_is_stopped(run: Run) -> None:
    result = run(PYTHON, "-c", "x = [bytearray(1 << 24) for _ in range(200)]; import time; time.sleep(60)")
    assert result.ending is Ending.OUT_OF_MEMORY


def test_a_disk_that_is_full_is_full_for_the_command_alone(run: Run) -> None:
    result = run("sh", "-c", "for n in 1 2 3; do head -c 50M /dev/zero > big$n; done; head -c 300M /dev/zero > /dev/shm/x")
    assert result.output.count("No space left on device") >= 2


def test_a_daemon_ends_with_its_command(run: Run) -> None:
    started = run("sh", "-c", "setsid sleep 6543 & sleep 0.2; ps -eo args 2>/dev/null || cat /proc/[0-9]*/cmdline")
    assert "6543" in started.output
    assert not _running("6543")


def test_what_ignores_sigterm_is_ended_at_its_time_limit(run: Run) -> None:
    result = run("sh", "-c", "trap '' TERM; setsid sleep 6544 & sleep 6545", timeout=1)
    assert result.ending is Ending.TIMED_OUT
    assert not _running("6544")
    assert not _running("6545")


def _running(argument: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if argument.encode() in path.read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False
