from __future__ import annotations

from typing import Any

from django.conf import settings
from django_rq.management.commands.rqworker import Command as RQWorkerCommand


class Command(RQWorkerCommand):
    help = "Work on Booty's queues; without arguments on all of them, verifier before jobs."

    def handle(self, *args: str, **options: Any) -> None:
        options["worker_class"] = options["worker_class"] or "booty_site.runs.worker.Worker"
        super().handle(*(args or tuple(settings.RQ_QUEUES)), **options)  # type: ignore[no-untyped-call]  # django-rq has no types there
