from __future__ import annotations

import logging
import os
import select
import signal
import threading
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, connection

from booty_site import missed, observability
from booty_site.runs import reconciler

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = (
        "Find what was forgotten: runs whose worker was lost, runs to dispatch, notices that are due, webhooks that never came."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="look once and end, for cron")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["once"]:
            self.stdout.write(f"{reconciler.look() + missed.look()} things put right.")
            return
        asked, ask = os.pipe()
        for number in (signal.SIGTERM, signal.SIGINT):
            # A pipe, not an Event: its lock could be held by the very code that the signal interrupts.
            signal.signal(number, lambda *_: os.write(ask, b"."))
        # Apart from the rest: a GitHub that is slow to answer must not keep expired leases waiting.
        arguments = (missed.look, settings.BOOTY_MISSED_SECONDS, asked)
        threading.Thread(target=_repeat, args=arguments, name="missed", daemon=True).start()
        self.stdout.write(f"Reconciler looks every {settings.BOOTY_RECONCILE_SECONDS:g} s.")
        _repeat(reconciler.look, settings.BOOTY_RECONCILE_SECONDS, asked)


def _repeat(look: Callable[[], int], seconds: float, asked: int) -> None:
    """Call `look` again and again, `seconds` apart, whatever goes wrong in one call, until `asked` can be read."""
    while True:
        try:
            look()
        except DatabaseError as error:
            logger.warning("the database can't be asked (%s); waiting for it", type(error).__name__)
        except Exception as error:
            logger.exception("a look failed")
            observability.report(error)
        finally:
            connection.close_if_unusable_or_obsolete()
        if select.select([asked], [], [], seconds)[0]:
            return
