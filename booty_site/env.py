"""Reads the environment: every variable by a typed reader, every wrong value gathered and told at once."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import environ
import msgspec
from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")


class Environment:
    """A mapping of variables, read by type.

    A wrong value is noted in `problems` and the default stands in, so that the operator sees
    every mistake in one message from `refuse_problems()`.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = dict(variables)
        self.problems: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        return self.variables.get(name, "").strip() or default

    def secret(self, name: str) -> str:
        """Return NAME, or the content of the file that NAME_FILE names; empty when neither is set."""
        file = self.text(f"{name}_FILE")
        if not file:
            return self.text(name)
        if self.text(name):
            self.problems.append(f"{name} and {name}_FILE are both set. Keep one of them.")
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            self.problems.append(f"{name}_FILE can't be read: {type(error).__name__}. Check the path and its rights.")
            return ""

    def flag(self, name: str, default: bool = False) -> bool:
        words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
        return self._read(name, default, lambda text: words[text.lower()], "is not true or false")

    def seconds(self, name: str, default: float, *, least: float = 0.1) -> float:
        def parse(text: str) -> float:
            value = float(text)
            if not least <= value < float("inf"):
                raise ValueError
            return value

        return self._read(name, default, parse, f"is not a number of seconds of at least {least:g}")

    def whole(self, name: str, default: int, *, least: int = 0) -> int:
        def parse(text: str) -> int:
            value = int(text)
            if value < least:
                raise ValueError
            return value

        return self._read(name, default, parse, f"is not a whole number of at least {least}")

    def fraction(self, name: str, default: float) -> float:
        def parse(text: str) -> float:
            value = float(text)
            if not 0 <= value <= 1:
                raise ValueError
            return value

        return self._read(name, default, parse, "is not a number between 0 and 1")

    def words(self, name: str) -> tuple[str, ...]:
        """Return the words of a list separated by commas or white space."""
        return tuple(self.text(name).replace(",", " ").split())

    def choice(self, name: str, default: str, allowed: Iterable[str]) -> str:
        choices = tuple(allowed)
        value = self.text(name, default)
        if value not in choices:
            self.problems.append(f"{name}: {value!r} is not one of {', '.join(choices)}.")
            return default
        return value

    def web_address(self, name: str, default: str) -> str:
        value = self.text(name, default).rstrip("/")
        if not value.startswith(("http://", "https://")):
            self.problems.append(f"{name}: {value!r} does not start with http:// or https://.")
            return default
        return value

    def dsn(self, name: str) -> str:
        """Return a Sentry DSN. A wrong one is not repeated in the message: it holds a key."""
        value = self.secret(name)
        if value and not re.fullmatch(r"https?://[^\s@/]+@[^\s@/]+(/[^\s@]*)?/\d+", value):
            self.problems.append(
                f"{name} is not a DSN such as https://key@host/1. Copy it from the project's settings in Sentry."
            )
            return ""
        return value

    def argv(self, name: str) -> tuple[str, ...]:
        """Return a command's words, from a JSON list of texts or from shell words."""

        def parse(text: str) -> tuple[str, ...]:
            if text.startswith("["):
                return tuple(msgspec.json.decode(text, type=list[str]))
            return tuple(shlex.split(text))

        return self._read(name, (), parse, "is neither a JSON list of texts nor shell words")

    def database(self, name: str, default: str) -> dict[str, Any]:
        """Return Django's database settings of a URL such as postgres://user:password@host/name."""
        url = self.secret(name) or default
        try:
            # An unknown scheme is not even read: the library would print it, password included.
            known_scheme = urlsplit(url).scheme in ("sqlite", "postgres", "postgresql")
            settings = dict(environ.Env.db_url_config(url)) if known_scheme else {}
        except (ValueError, ImproperlyConfigured):
            settings = {}
        known = ("django.db.backends.sqlite3", "django.db.backends.postgresql")
        if settings.get("ENGINE") not in known:
            # The value may hold a password, so it is not repeated here.
            self.problems.append(f"{name} is not a URL that starts with sqlite:/// or postgres://.")
            return dict(environ.Env.db_url_config(default))
        return settings

    def make_folder(self, folder: Path, named_by: str) -> None:
        """Make a folder that is needed; `named_by` says which variable to change when it can't be made."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self.problems.append(f"{named_by}: {folder} can't be made: {error.strerror}.")

    @staticmethod
    def is_broker_address(url: str) -> bool:
        try:
            parts = urlsplit(url)
            return parts.scheme in ("redis", "rediss", "unix") and (parts.port is None or parts.port > 0)
        except ValueError:
            return False

    def refuse_problems(self) -> None:
        """Raise ImproperlyConfigured naming every wrong value that was read so far."""
        if self.problems:
            lines = "\n".join(f"  - {problem}" for problem in self.problems)
            raise ImproperlyConfigured(f"Booty can't start, its environment is wrong:\n{lines}")

    def _read(self, name: str, default: T, parse: Callable[[str], T], complaint: str) -> T:
        text = self.text(name)
        if not text:
            return default
        try:
            return parse(text)
        except (ValueError, KeyError, msgspec.DecodeError):
            self.problems.append(f"{name}: {text!r} {complaint}.")
            return default
