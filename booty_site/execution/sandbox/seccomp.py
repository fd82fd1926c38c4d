"""The system calls that a sandboxed command does not get, as a classic BPF program for seccomp.

What is denied answers EPERM, as for a user without rights: what tests of well-behaved programs use is not among it. The
numbers are Linux's own (asm/unistd_64.h for x86-64, asm-generic/unistd.h for arm64).
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass

# linux/bpf_common.h, linux/seccomp.h, linux/audit.h
LOAD_WORD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_GREATER, RETURN = 0x20, 0x15, 0x35, 0x25, 0x06
KILL_PROCESS, ALLOW, ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
NUMBER_OFFSET, ARCHITECTURE_OFFSET, ARGUMENTS_OFFSET = 0, 4, 16
X32_BIT = 0x40000000
# TIOCSTI types into someone's terminal, TIOCLINUX pastes there (asm-generic/ioctls.h).
TYPING_IOCTLS = (0x5412, 0x541C)
# Shared memory of System V outlives its mappings, so no watch sees it. PostgreSQL asks for 56 bytes.
LARGEST_SYSV_SEGMENT = 64 * 1024


@dataclass(frozen=True)
class Architecture:
    """Numbers of the denied calls; `ioctl` and `shmget` are looked into; `has_x32` means a second set of numbers."""

    audit: int
    denied: tuple[int, ...]
    ioctl: int
    shmget: int
    has_x32: bool = False


# Since Linux 5.1 new calls have one number everywhere.
COMMON = (
    *range(425, 428),  # io_uring_setup, io_uring_enter, io_uring_register
    *range(428, 434),  # open_tree, move_mount, fsopen, fsconfig, fsmount, fspick
    438,  # pidfd_getfd
    440,  # process_madvise
    442,  # mount_setattr
    447,  # memfd_secret
    448,  # process_mrelease
)
X86_64 = Architecture(
    audit=0xC000003E,
    denied=(
        *(101, 310, 311, 312),  # ptrace, process_vm_readv, process_vm_writev, kcmp
        *(155, 161, 165, 166, 167, 168, 169, 170, 171),  # pivot_root, chroot, mount, umount2, swapon, swapoff, reboot, names
        *(163, 172, 173, 179, 103),  # acct, iopl, ioperm, quotactl, syslog
        *(175, 176, 313, 246, 320),  # init_module, delete_module, finit_module, kexec_load, kexec_file_load
        *(248, 249, 250),  # add_key, request_key, keyctl
        *(272, 308),  # unshare, setns
        *(298, 321, 323),  # perf_event_open, bpf, userfaultfd
        *(303, 304),  # name_to_handle_at, open_by_handle_at
        *(256, 279, 237, 238, 239),  # migrate_pages, move_pages, mbind, set_mempolicy, get_mempolicy
        *(319, 212),  # memfd_create (memory that no mapping shows), lookup_dcookie
        *COMMON,
    ),
    ioctl=16,
    shmget=29,
    has_x32=True,
)
ARM64 = Architecture(
    audit=0xC00000B7,
    denied=(
        *(117, 270, 271, 272),  # ptrace, process_vm_readv, process_vm_writev, kcmp
        *(41, 51, 40, 39, 224, 225, 142, 161, 162),  # pivot_root, chroot, mount, umount2, swapon, swapoff, reboot, names
        *(89, 60, 116),  # acct, quotactl, syslog
        *(105, 106, 273, 104, 294),  # init_module, delete_module, finit_module, kexec_load, kexec_file_load
        *(217, 218, 219),  # add_key, request_key, keyctl
        *(97, 268),  # unshare, setns
        *(241, 280, 282),  # perf_event_open, bpf, userfaultfd
        *(264, 265),  # name_to_handle_at, open_by_handle_at
        *(238, 239, 235, 237, 236),  # migrate_pages, move_pages, mbind, set_mempolicy, get_mempolicy
        *(279, 18),  # memfd_create, lookup_dcookie
        *COMMON,
    ),
    ioctl=29,
    shmget=194,
)
ARCHITECTURES = {"x86_64": X86_64, "aarch64": ARM64}


def program(machine: str) -> bytes:
    """Return the filter for a machine as `platform.machine()` names it. Raises KeyError for one that is not known."""
    return _assembled(ARCHITECTURES[machine])


def _assembled(architecture: Architecture) -> bytes:
    refuse = _instruction(RETURN, ERRNO | errno.EPERM)
    lines = [
        _instruction(LOAD_WORD, ARCHITECTURE_OFFSET),
        _instruction(JUMP_EQUAL, architecture.audit, yes=1),
        _instruction(RETURN, KILL_PROCESS),
        _instruction(LOAD_WORD, NUMBER_OFFSET),
    ]
    if architecture.has_x32:
        lines += [_instruction(JUMP_AT_LEAST, X32_BIT, no=1), refuse]
    for number in architecture.denied:
        lines += [_instruction(JUMP_EQUAL, number, no=1), refuse]
    # Arguments are 64 bits wide: their low word comes first on the machines above.
    second = ARGUMENTS_OFFSET + 8
    lines += [_instruction(JUMP_EQUAL, architecture.ioctl, no=2 + 2 * len(TYPING_IOCTLS)), _instruction(LOAD_WORD, second)]
    for request in TYPING_IOCTLS:
        lines += [_instruction(JUMP_EQUAL, request, no=1), refuse]
    lines += [_instruction(RETURN, ALLOW)]
    lines += [
        _instruction(JUMP_EQUAL, architecture.shmget, no=6),
        _instruction(LOAD_WORD, second + 4),
        _instruction(JUMP_EQUAL, 0, yes=1),
        refuse,
        _instruction(LOAD_WORD, second),
        _instruction(JUMP_GREATER, LARGEST_SYSV_SEGMENT, no=1),
        refuse,
        _instruction(RETURN, ALLOW),
    ]
    return b"".join(lines)


def _instruction(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    """Return one `struct sock_filter`; `yes` and `no` are how many instructions a jump leaves out."""
    return struct.pack("<HBBI", code, yes, no, value)
