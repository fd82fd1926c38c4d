"""A process speaks to the outside only while it holds what it speaks about.

GitHub knows nothing of our leases, so every write there is preceded by a look at the clock: a process that
was stopped for longer than it may hold a run or a notice finds out before it says anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from booty_site.errors import RunStopped

_holds: ContextVar[Callable[[], bool] | None] = ContextVar("holds", default=None)


@contextmanager
def held_while(holds: Callable[[], bool]) -> Iterator[None]:
    """Let `require` pass inside the block only while `holds()` is true."""
    token = _holds.set(holds)
    try:
        yield
    finally:
        _holds.reset(token)


def require() -> None:
    """Raise RunStopped when this process does not hold any more what it works on."""
    holds = _holds.get()
    if holds is not None and not holds():
        raise RunStopped
