from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from booty_site.runs.retention import prune


class Command(BaseCommand):
    help = "Purge payloads and command output that are older than BOOTY_KEEP_DAYS. The rows stay. Run it daily."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=settings.BOOTY_KEEP_DAYS, help="keep what is younger than so many days")

    def handle(self, *args: Any, **options: Any) -> None:
        purged = prune(timezone.now() - timedelta(days=options["days"]))
        self.stdout.write(
            f"Older than {options['days']} days: purged the payloads of {purged.deliveries} deliveries and "
            f"{purged.notices} notices, and the output of {purged.commands} commands."
        )
