"""How GitHub says no."""

from __future__ import annotations

from typing import Any

DOCUMENTATION = "https://docs.github.com/rest"


class Refusal(Exception):
    """An answer with an error status; raised anywhere below the dispatcher."""

    def __init__(self, status: int, message: str, errors: list[Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"message": message}
        if errors is not None:
            self.body["errors"] = errors
        self.body |= {"documentation_url": DOCUMENTATION, "status": str(status)}


def bad_credentials() -> Refusal:
    """The token is wrong or has run out."""
    return Refusal(401, "Bad credentials")


def not_found() -> Refusal:
    """There is no such thing, or the caller shall not know of it."""
    return Refusal(404, "Not Found")


def invalid(resource: str, field: str | None = None, code: str = "invalid", message: str | None = None) -> Refusal:
    """The request is understood and wrong; GitHub tells the field and a code."""
    error: dict[str, Any] = {"resource": resource}
    if field is not None:
        error["field"] = field
    error["code"] = code
    if message is not None:
        error["message"] = message
    return Refusal(422, "Validation Failed", [error])
