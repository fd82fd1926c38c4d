"""Commands of a repository: what they get, and that nothing of them outlives its time."""

from __future__ import annotations

import os
import shlex
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from booty_site.execution.process import CommandResult, Ending, _marked_processes, run_command
from tests.doubles.processes import wait_until

ENVIRONMENT = {"PATH": os.defpath}
# Leaves its session and its parents, as a daemon does, and writes its process id down.
DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        with open(sys.argv[1], "w") as file:
            file.write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
os.wait()
"""


def run(line: str, folder: Path, *, timeout: float = 30, stdin: str = "", **options: object) -> CommandResult:
    should_stop = options.get("should_stop", lambda: False)
    on_output = options.get("on_output", lambda text: None)
    assert callable(should_stop)
    assert callable(on_output)
    return run_command(
        ("/bin/sh", "-c", line),
        cwd=folder,
        env=ENVIRONMENT,
        timeout=timeout,
        stdin=stdin,
        should_stop=should_stop,
        on_output=on_output,
    )


def lives(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def daemon_line(pid_file: Path, then: str) -> str:
    return f"{shlex.quote(sys.executable)} -c '{DAEMON}' {shlex.quote(str(pid_file))}; {then}"


def test_output_and_exit_code_are_what_the_command_gave(tmp_path: Path) -> None:
    result = run("echo out; echo err >&2; exit 3", tmp_path)
    assert (result.ending, result.exit_code, result.output) == (Ending.EXITED, 3, "out\nerr\n")
    assert not result.ok


def test_a_command_sees_nothing_of_this_process_s_environment(tmp_path: Path) -> None:
    names = {line.split("=")[0] for line in run("env", tmp_path).output.splitlines()}
    assert "WEBHOOK_SECRET" in os.environ
    assert names <= {"PATH", "PWD", "SHLVL", "_", "OLDPWD", "BOOTY_COMMAND_MARK"}


def test_a_command_inherits_no_open_file(tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        listed = run("ls -l /proc/self/fd", tmp_path).output
    assert "secret" not in listed


def test_standard_input_reaches_the_command_however_long_it_is(tmp_path: Path) -> None:
    assert run("wc -c", tmp_path, stdin="x" * 1_000_000).output.strip() == "1000000"


def test_a_command_that_does_not_read_its_input_does_no_harm(tmp_path: Path) -> None:
    assert run("true", tmp_path, stdin="x" * 1_000_000).ok


def test_a_command_past_its_time_is_ended_with_everything_it_started(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    result = run(daemon_line(pid_file, "sleep 600 & sleep 600"), tmp_path, timeout=2)
    assert (result.ending, result.exit_code) == (Ending.TIMED_OUT, None)
    assert not lives(int(pid_file.read_text()))


def test_a_command_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    result = run("trap '' TERM; while true; do sleep 1; done", tmp_path, timeout=1)
    assert result.ending is Ending.TIMED_OUT


def test_a_daemon_that_holds_the_pipe_neither_hangs_the_run_nor_outlives_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    result = run(daemon_line(pid_file, "echo done"), tmp_path)
    assert result.ok
    assert result.output == "done\n"
    assert not lives(int(pid_file.read_text()))


def test_a_command_is_ended_as_soon_as_its_run_is_stopped(tmp_path: Path) -> None:
    stopped = threading.Event()
    result = run("echo started; sleep 600", tmp_path, should_stop=stopped.is_set, on_output=lambda text: stopped.set())
    assert (result.ending, result.output) == (Ending.STOPPED, "started\n")


def test_output_is_shown_while_the_command_still_runs(tmp_path: Path) -> None:
    seen: list[str] = []
    run("echo one; while [ ! -e go ]; do sleep 0.05; done; echo two", tmp_path, on_output=_go_on_after(seen, tmp_path / "go"))
    assert seen[0] == "one\n"
    assert seen[-1] == "one\ntwo\n"


def _go_on_after(seen: list[str], go: Path) -> Callable[[str], None]:
    def look(text: str) -> None:
        seen.append(text)
        go.touch()

    return look


def test_gigantic_output_is_capped_at_both_ends(tmp_path: Path) -> None:
    result = run("echo first; head -c 50000000 /dev/zero | tr '\\0' x; echo; echo last", tmp_path)
    assert len(result.output) < 70_000
    assert result.output.startswith("first\n")
    assert result.output.endswith("last\n")
    assert "bytes left out" in result.output


def test_a_program_that_is_not_there_is_a_result_not_an_error(tmp_path: Path) -> None:
    result = run_command(("/nowhere/program",), cwd=tmp_path, env=ENVIRONMENT, timeout=5)
    assert result.ending is Ending.NOT_STARTED
    assert "No such file" in result.output


def test_no_process_with_the_mark_is_left(tmp_path: Path) -> None:
    marks: list[str] = []
    run("echo $BOOTY_COMMAND_MARK; sleep 600 & sleep 600 & true", tmp_path, on_output=lambda text: marks.append(text.strip()))
    wait_until(lambda: not _marked_processes(marks[-1]), "the command's processes to be gone", 5)
