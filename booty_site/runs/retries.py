"""Which causes pass by themselves: a run that met one is tried again later and reported only if the last attempt fails.

| Cause | Tried again | After |
| --- | --- | --- |
| the database blinked | yes | the pause |
| GitHub: no answer, 408, 429, 5xx, or 403 with a time to wait | yes | the pause, or longer if GitHub says so |
| git: the network or the server failed | yes | the pause |
| the worker was lost (`reconciler.py`) | yes | at once |
| the worker was asked to stop | yes, and the attempt does not count | at once |
| anything else: permissions, what is not there, time limits, engines, our own mistakes | never | |

`BOOTY_MAX_ATTEMPTS` bounds the attempts; the pause is `BOOTY_RETRY_SECONDS` and doubles with each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings

from booty_site.errors import BootyError, GitHubRefused
from booty_site.runs.models import Run
from booty_site.runs.persistence import Blink

LONGEST_PAUSE_SECONDS = 3600.0

# A kind of error, whether it passes, and the seconds that it asks to wait.
Rule = tuple[tuple[type[BaseException], ...], Callable[[Any], bool], Callable[[Any], float]]
TABLE: tuple[Rule, ...] = (
    (Blink, lambda error: True, lambda error: 0.0),
    ((GitHubRefused,), lambda error: error.transient, lambda error: error.retry_after or 0.0),
    ((BootyError,), lambda error: error.transient, lambda error: 0.0),
)


def pause_before_retry(run: Run, error: BaseException) -> float | None:
    """Return the seconds to wait before the next attempt; None when there is to be none."""
    rule = _rule(error)
    if rule is None or run.failed_attempts >= settings.BOOTY_MAX_ATTEMPTS:
        return None
    pause = settings.BOOTY_RETRY_SECONDS * 2 ** (run.failed_attempts - 1)
    return float(min(max(pause, rule[2](error)), LONGEST_PAUSE_SECONDS))


def _rule(error: BaseException) -> Rule | None:
    rule = next((rule for rule in TABLE if isinstance(error, rule[0])), None)
    return rule if rule is not None and rule[1](error) else None
