from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from booty_site.models import WebhookDelivery
from booty_site.runs import kinds
from booty_site.runs.admin import ModelAdmin, RepositoryFilter, link


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ModelAdmin):
    list_display = ("received_at", "badge", "event", "repository", "sender", "reason", "run")
    list_filter = ("status", "event", RepositoryFilter, "received_at")
    search_fields = ("delivery_id__startswith", "repository__icontains", "sender__istartswith")
    search_help_text = "A delivery's id, or words of the repository's name or the sender."
    list_per_page = 50
    show_full_result_count = False
    exclude = ("payload", "run_id")
    readonly_fields = (
        "received_at",
        "source",
        "delivery_id",
        "event",
        "repository",
        "sender",
        "status",
        "reason",
        "run",
        "content",
    )

    class Media:
        css = {"all": ("booty/admin.css",)}  # noqa: RUF012  (Django reads Media as a plain class)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="status", ordering="status")
    def badge(self, delivery: WebhookDelivery) -> SafeString:
        return format_html('<span class="booty-badge booty-{}">{}</span>', delivery.status, delivery.get_status_display())

    @admin.display(description="run")
    def run(self, delivery: WebhookDelivery) -> str | SafeString:
        """Link to the run; a delivery led to a run of the kind that its event asks for."""
        if delivery.run_id is None:
            return "–"
        kind = "job" if delivery.event == "issues" else "verification"
        model = kinds.named(kind).model._meta
        try:
            return link(
                reverse(f"admin:{model.app_label}_{model.model_name}_change", args=[delivery.run_id]), str(delivery.run_id)[:8]
            )
        except NoReverseMatch:
            return str(delivery.run_id)

    @admin.display(description="payload")
    def content(self, delivery: WebhookDelivery) -> str | SafeString:
        if delivery.payload is None:
            return "not kept: only what was accepted keeps its payload"
        return format_html("<details><summary>show</summary><pre>{}</pre></details>", json.dumps(delivery.payload, indent=2))
