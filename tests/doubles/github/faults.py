"""Faults on demand: answers that fail, get lost, or come late."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.doubles.github.records import RequestCallback


@dataclass
class _Rule:
    method: str
    pattern: re.Pattern[str]

    def fits(self, method: str, path: str) -> bool:
        return self.method in ("*", method) and self.pattern.search(path) is not None


@dataclass
class Fault(_Rule):
    """One fault; ``times`` counts down, None is for ever."""

    kind: str
    times: int | None
    status: int = 500
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    event: threading.Event | None = None
    after_effect: bool = False


@dataclass
class _Watch(_Rule):
    callback: RequestCallback


class Faults:
    """The faults and callbacks in force."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._watches: list[_Watch] = []

    def add(self, fault: Fault) -> None:
        """Put a fault in force, behind those already there."""
        with self._lock:
            self._faults.append(fault)

    def watch(self, method: str, path_regex: str, callback: RequestCallback) -> None:
        """Have a callback run before each fitting request takes effect."""
        with self._lock:
            self._watches.append(_Watch(method.upper(), re.compile(path_regex), callback))

    def callbacks(self, method: str, path: str) -> list[RequestCallback]:
        """Return the callbacks for this request."""
        with self._lock:
            return [watch.callback for watch in self._watches if watch.fits(method, path)]

    def take(self, method: str, path: str) -> Fault | None:
        """Return the first fault for this request and count it down."""
        with self._lock:
            for fault in self._faults:
                if not fault.fits(method, path):
                    continue
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self._faults.remove(fault)
                return fault
        return None

    def clear(self) -> None:
        """Take all faults out of force; a request that hangs already goes on."""
        with self._lock:
            self._faults.clear()
