"""What the double keeps of everything that went in and out, for assertions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass
class RecordedRequest:
    """One request; ``status`` is None while it runs and when no answer was sent.

    Of the Authorization header only the scheme is kept, never the value.
    """

    sequence: int
    at: float
    method: str
    path: str
    query: dict[str, list[str]]
    body: Any
    scheme: str | None
    user_agent: str | None
    status: int | None = None
    fault: str | None = None

    @property
    def is_git(self) -> bool:
        """Tell the git program's requests from those of the API."""
        return ".git/" in self.path


RequestCallback = Callable[[RecordedRequest], None]


@dataclass
class DeliveredHook:
    """One attempt to deliver a webhook; ``status`` is None when nobody answered.

    ``answer`` is the body of the answer, or why there was none, in GitHub's words.
    """

    id: int
    event: str
    action: str | None
    delivery_id: str
    payload: Any
    raw_body: bytes
    status: int | None
    answer: str
    duration: float
    delivered_at: str
    redelivery: bool = False
    repository_id: int | None = None
