"""Prints what happened as a table that fits a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from tests.demo.observed import Observed

COLOURS = {"succeeded": "32", "failed": "33", "errored": "31", "ok": "32", "wrong": "31", "dim": "2", "bold": "1"}
COLUMNS = (
    ("", 2),
    ("What was sent", 43),
    ("Delivery", 15),
    ("Run", 10),
    ("State", 11),
    ("Verdict or code", 23),
    ("On GitHub", 30),
)


def paint(text: str, name: str) -> str:
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\033[{COLOURS.get(name, '0')}m{text}\033[0m"


def table(lines: Sequence[Observed]) -> str:
    rows = [_row([title for title, _ in COLUMNS], "bold"), paint("─" * sum(width for _, width in COLUMNS), "dim")]
    for line in lines:
        rows += _entry(line)
    return "\n".join(rows)


def _entry(line: Observed) -> list[str]:
    mark = "✗" if line.complaints else "✓"
    answered = f"{line.sent.status} in {line.sent.seconds * 1000:.0f} ms"
    first = [mark, line.title, answered, line.run_id[:8] or "–", line.state or "–", line.verdict or "–", line.told or "–"]
    if line.sent.status != 202:
        first[5:] = [line.verdict]
    rows = [_row(first, line.state or "ok")]
    if line.run_id:
        times = f"ran {line.run_seconds:.1f} s, told {(line.told_seconds or 0) * 1000:.0f} ms later"
        event = f"Sentry event {line.event_id}" if line.event_id else ""
        rows.append(paint(_row(["", times, "", "", event], "dim").rstrip(), "dim"))
    rows += [paint(f"    {complaint}", "wrong") for complaint in line.complaints]
    return rows


def _row(cells: Sequence[str], style: str) -> str:
    padded = [cell.ljust(width) for cell, (_, width) in zip(cells, COLUMNS, strict=False)]
    if style in ("bold", "dim"):
        return paint("".join(padded), style)
    padded[0] = paint(padded[0], "wrong" if cells[0] == "✗" else "ok")
    if len(padded) > 4:
        padded[4] = paint(padded[4], style)
    return "".join(padded).rstrip()
