"""What a sandboxed command may use, and how much memory it uses right now."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Limits:
    """Bounds for everything that one command starts.

    `disk_mib` bounds what a whole run writes, workspace, home and temporary files together; it lies in memory.
    """

    memory_mib: int = 2048
    disk_mib: int = 2048
    processes: int = 512
    open_files: int = 4096


def memory_of(pid: int) -> int:
    """Return the bytes of memory that a process and all its descendants hold and share with no file.

    Pages that a fork shares with its parent count for both, so the sum errs on the side of too much.
    """
    return sum(_memory(one) for one in _with_descendants(pid))


def _memory(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError):
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
        return (int(resident) - int(shared)) * PAGE
    return 0


def _with_descendants(pid: int) -> Iterator[int]:
    """Yield a process and what it started; in a PID namespace an orphan is adopted by its first process, so none is left out."""
    waiting, seen = [pid], {pid}
    while waiting:
        one = waiting.pop()
        yield one
        for child in _children(one):
            if child not in seen:
                seen.add(child)
                waiting.append(child)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    return found
