from __future__ import annotations

import logging
import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, connection

from booty_site.runs import reconciler

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Find what was forgotten: runs to dispatch again, runs whose worker was lost, notices that are due."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="look once and end, for cron")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["once"]:
            self.stdout.write(f"{reconciler.look()} things put right.")
            return
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        self.stdout.write(f"Reconciler looks every {settings.BOOTY_RECONCILE_SECONDS:g} s.")
        while not stop.is_set():
            try:
                reconciler.look()
            except DatabaseError as error:
                logger.warning("the database can't be asked (%s); waiting for it", type(error).__name__)
                connection.close()
            stop.wait(settings.BOOTY_RECONCILE_SECONDS)
