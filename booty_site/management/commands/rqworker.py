from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django_rq.management.commands.rqworker import Command as RQWorkerCommand

WORKER_TTL_SECONDS = 60


class Command(RQWorkerCommand):
    help = "Work on Booty's queues; without arguments on all of them, verifier before jobs."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)  # type: ignore[no-untyped-call]  # django-rq has no types there
        # RQ waits almost this long for a broker that took a request and never answers; its own default is seven minutes.
        parser.set_defaults(worker_ttl=WORKER_TTL_SECONDS)

    def handle(self, *args: str, **options: Any) -> None:
        options["worker_class"] = options["worker_class"] or "booty_site.runs.worker.Worker"
        super().handle(*(args or tuple(settings.RQ_QUEUES)), **options)  # type: ignore[no-untyped-call]  # django-rq has no types there
