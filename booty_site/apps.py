from __future__ import annotations

from django.apps import AppConfig


class BootySiteConfig(AppConfig):
    name = "booty_site"
    verbose_name = "Booty"

    def ready(self) -> None:
        from booty_site import checks as checks  # importing registers them
        from booty_site import observability

        observability.init()
