"""Puts text of strangers into Markdown so that it stays text."""

from __future__ import annotations

import html
import re

ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def plain(text: str) -> str:
    """Return text without terminal escapes and control characters."""
    return CONTROLS.sub("", ESCAPES.sub("", text.replace("\r\n", "\n")))


def fenced(text: str) -> str:
    """Return a block that shows `text` as it is, whatever it holds."""
    text = plain(text)
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def code(text: str) -> str:
    """Return a span that shows one line of `text` as it is."""
    text = " ".join(plain(text).split())
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    ticks = "`" * (longest + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def inert(text: str) -> str:
    """Return text for use inside a sentence, so that it notifies nobody and makes no markup."""
    return html.escape(plain(text), quote=False).replace("@", "@\N{ZERO WIDTH SPACE}").replace("![", "!\\[")


def tail(text: str, lines: int = 60, characters: int = 6000) -> str:
    """Return the last lines of an output, which is where tools say what went wrong."""
    return "\n".join(plain(text).strip().splitlines()[-lines:])[-characters:]
