from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from booty_site.github.events import REPOSITORY_NAME
from booty_site.models import EVERYTHING, Repository, WebhookDelivery
from booty_site.runs import admission, kinds
from booty_site.runs.admin import ModelAdmin, RepositoryFilter, link

if TYPE_CHECKING:
    RepositoryModelForm = forms.ModelForm[Repository]
else:
    # Django's own class can't be subscripted.
    RepositoryModelForm = forms.ModelForm


class RepositoryForm(RepositoryModelForm):
    class Meta:
        model = Repository
        fields = ("name", "paused", "max_running")

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"]).strip().lower()
        if name != EVERYTHING and not REPOSITORY_NAME.match(name):
            raise forms.ValidationError("Write owner/name as on GitHub, or * for all repositories.")
        return name


@admin.register(Repository)
class RepositoryAdmin(ModelAdmin):
    """Where an operator pauses all work, or one repository, and says how much of it may run at once."""

    form = RepositoryForm
    list_display = ("title", "condition", "limit", "under_way", "queued")
    list_display_links = ("title",)
    list_filter = ("paused",)
    search_fields = ("name",)
    ordering = ("name",)
    actions = ("pause", "resume")

    class Media:
        css = {"all": ("booty/admin.css",)}  # noqa: RUF012  (Django reads Media as a plain class)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name",) if obj is not None else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # There is no limit for all of them together: how many workers there are is one.
        return ("name", "paused") if obj is not None and obj.name == EVERYTHING else ("name", "paused", "max_running")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        everything = obj is not None and obj.name == EVERYTHING
        return not everything and super().has_delete_permission(request, obj)

    @admin.display(description="repository", ordering="name")
    def title(self, repository: Repository) -> str:
        return str(repository)

    @admin.display(description="state", ordering="paused")
    def condition(self, repository: Repository) -> SafeString:
        name, text = ("errored", "paused") if repository.paused else ("succeeded", "working")
        return format_html('<span class="booty-badge booty-{}">{}</span>', name, text)

    @admin.display(description="may run at once")
    def limit(self, repository: Repository) -> str:
        if repository.name == EVERYTHING:
            return "–"
        return str(admission.limit_of(repository))

    @admin.display(description="under way")
    def under_way(self, repository: Repository) -> int:
        return admission.count(repository.name, admission.UNDER_WAY)

    @admin.display(description="queued")
    def queued(self, repository: Repository) -> int:
        return admission.count(repository.name, admission.QUEUED)

    @admin.action(description="Pause: queued runs wait, runs under way go on", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Repository]) -> None:
        self._set(request, queryset, paused=True)

    @admin.action(description="Resume: queued runs start within seconds", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Repository]) -> None:
        self._set(request, queryset, paused=False)

    def _set(self, request: HttpRequest, queryset: QuerySet[Repository], *, paused: bool) -> None:
        word = "Paused" if paused else "Resumed"
        for repository in queryset:
            Repository.objects.filter(pk=repository.pk).update(paused=paused)
            self.log_change(request, repository, f"{word}.")
            self.message_user(request, f"{word}: {repository}.", messages.SUCCESS)


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
