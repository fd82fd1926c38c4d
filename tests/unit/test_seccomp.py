"""The filter of system calls, run by a small machine of its own: what it refuses and what it lets through."""

from __future__ import annotations

import errno
import struct

import pytest

from booty_site.execution.sandbox import seccomp

EPERM = seccomp.ERRNO | errno.EPERM
READ = {"x86_64": 0, "aarch64": 63}
MACHINES = pytest.mark.parametrize("machine", sorted(seccomp.ARCHITECTURES))


def decision(machine: str, number: int, *, audit: int | None = None, second: int = 0) -> int:
    """Return what the filter answers to a call whose second argument is `second`."""
    architecture = seccomp.ARCHITECTURES[machine]
    data = struct.pack("<IIQ6Q", number, architecture.audit if audit is None else audit, 0, 0, second, 0, 0, 0, 0)
    lines = list(struct.iter_unpack("<HBBI", seccomp.program(machine)))
    accumulator = at = 0
    while True:
        code, yes, no, value = lines[at]
        at += 1
        if code == seccomp.RETURN:
            return int(value)
        if code == seccomp.LOAD_WORD:
            (accumulator,) = struct.unpack_from("<I", data, value)
            continue
        holds = {
            seccomp.JUMP_EQUAL: accumulator == value,
            seccomp.JUMP_AT_LEAST: accumulator >= value,
            seccomp.JUMP_GREATER: accumulator > value,
        }
        at += yes if holds[code] else no


@MACHINES
def test_every_call_of_the_list_is_refused_and_an_ordinary_one_is_not(machine: str) -> None:
    assert {decision(machine, number) for number in seccomp.ARCHITECTURES[machine].denied} == {EPERM}
    assert decision(machine, READ[machine]) == seccomp.ALLOW


@MACHINES
def test_a_call_by_another_architecture_ends_the_process(machine: str) -> None:
    assert decision(machine, READ[machine], audit=0x40000003) == seccomp.KILL_PROCESS


def test_the_second_set_of_numbers_of_x86_is_refused() -> None:
    assert decision("x86_64", seccomp.X32_BIT) == EPERM


@MACHINES
def test_typing_into_a_terminal_is_refused_and_asking_for_its_size_is_not(machine: str) -> None:
    ioctl = seccomp.ARCHITECTURES[machine].ioctl
    assert {decision(machine, ioctl, second=request) for request in seccomp.TYPING_IOCTLS} == {EPERM}
    assert decision(machine, ioctl, second=0x5413) == seccomp.ALLOW


@MACHINES
@pytest.mark.parametrize(
    ("size", "answer"), [(56, seccomp.ALLOW), (1 << 16, seccomp.ALLOW), ((1 << 16) + 1, EPERM), (1 << 32, EPERM)]
)
def test_shared_memory_that_no_watch_sees_is_small(machine: str, size: int, answer: int) -> None:
    assert decision(machine, seccomp.ARCHITECTURES[machine].shmget, second=size) == answer
