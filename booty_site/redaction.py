"""Takes secrets and paths of the host out of text before anyone reads it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from functools import lru_cache

from django.conf import settings

MASK = "[redacted]"
PATTERNS = re.compile(
    r"""
      \b gh[pousr]_[A-Za-z0-9]{16,}                      # GitHub tokens
    | \b github_pat_[A-Za-z0-9_]{20,}
    | \b sk-[A-Za-z0-9_-]{20,}                           # model providers' keys
    | \b AKIA[0-9A-Z]{16} \b
    | \b eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}   # JSON web tokens
    | -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----.*?(?:-----END[ ][A-Z ]*PRIVATE[ ]KEY-----|\Z)
    | (?<=://) [^/\s:@]+:[^/\s@]+ (?=@)                  # user:password in a URL
    | (?i: (?<=bearer[ ]) | (?<=basic[ ]) | (?<=token[ ]) ) [A-Za-z0-9._~+/=-]{16,}
    """,
    re.VERBOSE | re.DOTALL,
)
SENSITIVE_NAMES = re.compile(
    r"secret|token|password|passwd|api_?key|private_?key|authorization|cookie|csrf|session|dsn|prompt|signature",
    re.IGNORECASE,
)
SHORTEST_SECRET = 6


def redact(text: str) -> str:
    """Return `text` without Booty's own secrets, anything shaped like a token, or the state folder's path."""
    # Shapes first: a key's own first line, masked alone, would hide the rest from its pattern.
    text = PATTERNS.sub(MASK, text)
    for secret in _own_secrets():
        text = text.replace(secret, MASK)
    # PostgreSQL stores no NUL in a text.
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text.replace(str(settings.BOOTY_STATE_DIR), "<state>").replace(str(settings.BASE_DIR), "<booty>")


def redact_tree(value: object) -> object:
    """Return a copy of JSON-like data, every text redacted and the value of every sensitive name masked."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {
            key: MASK if isinstance(key, str) and SENSITIVE_NAMES.search(key) and child else redact_tree(child)
            for key, child in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [redact_tree(child) for child in value]
    return value


def _own_secrets() -> tuple[str, ...]:
    return _longest_first(tuple(settings.BOOTY_SECRETS))


@lru_cache(maxsize=8)
def _longest_first(secrets: Iterable[str]) -> tuple[str, ...]:
    lines = {line for secret in secrets for line in (secret, *secret.splitlines()) if len(line) >= SHORTEST_SECRET}
    return tuple(sorted(lines, key=len, reverse=True))


class RedactingFormatter(logging.Formatter):
    """Formats a log record, its traceback included, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))
