"""What the admin shows of every kind of run, and what an operator can do about one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from django_rq.settings import get_queues_map

from booty_site.markdown import plain
from booty_site.runs import admission, dispatch, lifecycle
from booty_site.runs.models import NoticeState, Run

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    # Django's own class can't be subscripted.
    ModelAdmin = admin.ModelAdmin


@dataclass(frozen=True)
class Moment:
    """One line of a run's timeline."""

    at: datetime
    text: str
    detail: str = ""


class RepositoryFilter(admin.SimpleListFilter):
    title = "repository"
    parameter_name = "repository"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = model_admin.model._default_manager.order_by("repository").values_list("repository", flat=True).distinct()
        return [(name, name) for name in names[:100] if name]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(repository=self.value()) if self.value() else queryset


class RunAdmin(ModelAdmin):
    """Read-only rows; `number_field` is searched for numbers, `title_field` and the repository for words."""

    number_field: ClassVar[str]
    title_field: ClassVar[str]

    change_form_template = "booty/run.html"
    list_display: tuple[Any, ...] = (
        "badge",
        "subject_link",
        "title",
        "repository",
        "code",
        "created_at",
        "time_taken",
        "attempt",
        "owed",
    )
    list_display_links = ("subject_link",)
    list_filter = ("state", "failure_code", RepositoryFilter, "created_at")
    search_fields = ("repository",)
    search_help_text = "A number such as 12 or #12, or words of the repository's name or the title."
    list_per_page = 50
    show_full_result_count = False
    actions = ("retry_selected", "cancel_selected")

    class Media:
        css: ClassVar = {"all": ("booty/admin.css",)}

    def retry_run(self, run: Any, by: str) -> tuple[Run, bool]:
        """Return a new run like this one, or the active one there is, and whether it is new."""
        raise NotImplementedError  # each app's admin says how; the admin's own metaclass rules out an abstract method

    def facts(self, run: Any) -> list[tuple[str, str | SafeString]]:
        """Return what is particular to this kind of run, as names and values."""
        raise NotImplementedError  # each app's admin knows its own; abstract methods are ruled out as above

    # the list

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        owed = Count("notices", filter=~Q(notices__state=NoticeState.SENT))
        runs: QuerySet[Any] = super().get_queryset(request).annotate(notices_unsent=owed)
        return runs

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        for word in search_term.split():
            number = word.removeprefix("#")
            if number.isascii() and number.isdigit() and int(number) < 2**31:
                queryset = queryset.filter(**{self.number_field: int(number)})
            else:
                matches = Q(repository__icontains=word) | Q(**{f"{self.title_field}__icontains": word})
                queryset = queryset.filter(matches)
        return queryset, False

    @admin.display(description="state", ordering="state")
    def badge(self, run: Run) -> SafeString:
        return format_html('<span class="booty-badge booty-{}">{}</span>', run.state, run.get_state_display())

    @admin.display(description="subject", ordering="subject")
    def subject_link(self, run: Run) -> str:
        return f"#{getattr(run, self.number_field)}"

    @admin.display(description="title")
    def title(self, run: Run) -> str:
        return str(getattr(run, self.title_field))[:80]

    @admin.display(description="failure code", ordering="failure_code")
    def code(self, run: Run) -> str:
        return run.failure_code or "–"

    @admin.display(description="time")
    def time_taken(self, run: Run) -> str:
        return f"{run.duration.total_seconds():.1f} s" if run.duration is not None else "–"

    @admin.display(description="notices")
    def owed(self, run: Any) -> str | SafeString:
        if not run.notices_unsent:
            return "–"
        return format_html('<span class="booty-badge booty-errored">{} unsent</span>', run.notices_unsent)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        title = str(self.model._meta.verbose_name_plural).capitalize()
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    # one run

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [field.name for field in self.model._meta.fields]

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.model._meta.app_label}_{self.model._meta.model_name}"
        wrap = self.admin_site.admin_view
        return [
            path("<path:object_id>/retry/", wrap(require_POST(self.retry_view)), name=f"{name}_retry"),
            path("<path:object_id>/cancel/", wrap(require_POST(self.cancel_view)), name=f"{name}_cancel"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        run = self.get_object(request, unquote(object_id))
        if run is not None:
            commands = list(run.commands.all())
            for command in commands:
                command.shown_output = plain(command.output)
            extra_context = {
                "title": f"{run.repository} #{getattr(run, self.number_field)}: {getattr(run, self.title_field)}",
                "subtitle": None,
                "run": run,
                "badge": self.badge(run),
                "facts": self._facts(run),
                "timeline": timeline(run, commands),
                "commands": commands,
                "notices": run.notices.all(),
                "may_act": self.has_change_permission(request, run),
                "retry_url": self._url("retry", run),
                "cancel_url": self._url("cancel", run),
                **(extra_context or {}),
            }
        return super().change_view(request, object_id, form_url, extra_context)

    def _url(self, name: str, run: Run) -> str:
        return reverse(f"admin:{run._meta.app_label}_{run._meta.model_name}_{name}", args=[run.pk])

    def _facts(self, run: Any) -> list[tuple[str, str | SafeString]]:
        facts = [
            *self.facts(run),
            ("Asked for by", f"{run.requested_by or 'unknown'} ({run.trigger})"),
            ("Time", self.time_taken(run)),
            *([("Waits for", waits)] if (waits := admission.why_waiting(run)) else []),
            ("Attempt", str(run.attempt) + (f", {run.handed_back} of them handed back" if run.handed_back else "")),
            *([("Last setback", run.setback)] if run.setback else []),
            ("Worker", run.worker or "–"),
            ("RQ job", rq_link(run)),
            ("Sentry event", sentry_link(run)),
        ]
        if run.delivery_id:
            url = reverse("admin:booty_site_webhookdelivery_change", args=[run.delivery_id])
            facts.append(("Delivery", link(url, str(run.delivery.delivery_id))))
        if run.retry_of_id:
            facts.append(("Retry of", link(self._url("change", run.retry_of), str(run.retry_of_id))))
        facts += [("Retried by", link(self._url("change", retry), str(retry.pk))) for retry in run.retries.all()]
        return facts

    # actions

    def retry_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        run = self._run_to_act_on(request, object_id)
        new = self._retry(request, run)
        return HttpResponseRedirect(self._url("change", new or run))

    def cancel_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        run = self._run_to_act_on(request, object_id)
        self._cancel(request, run)
        return HttpResponseRedirect(self._url("change", run))

    @admin.action(description="Retry the selected runs", permissions=["change"])
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for run in queryset:
            self._retry(request, run)

    @admin.action(description="Cancel the selected runs", permissions=["change"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for run in queryset:
            self._cancel(request, run)

    def _run_to_act_on(self, request: HttpRequest, object_id: str) -> Run:
        run: Run | None = self.get_object(request, unquote(object_id))
        if run is None:
            raise Http404
        if not self.has_change_permission(request, run):
            raise PermissionDenied
        return run

    def _retry(self, request: HttpRequest, run: Run) -> Run | None:
        if not run.is_terminal:
            self.message_user(request, f"{run} has not ended yet; cancel it first to start anew.", messages.WARNING)
            return None
        new, created = self.retry_run(run, by=request.user.get_username())
        if not created:
            self.message_user(request, f"{run} is being worked on already.", messages.WARNING)
            return new
        dispatch.after_commit(new)
        self.log_change(request, run, f"Retried as {new.pk}.")
        self.message_user(request, f"{run} was queued again.", messages.SUCCESS)
        return new

    def _cancel(self, request: HttpRequest, run: Run) -> None:
        if lifecycle.cancel(run, by=request.user.get_username()):
            self.log_change(request, run, "Cancelled.")
            self.message_user(
                request, f"{run} was cancelled. What was running for it is stopped within seconds.", messages.SUCCESS
            )
        else:
            self.message_user(request, f"{run} had ended already, or is about to.", messages.WARNING)


def timeline(run: Any, commands: list[Any]) -> list[Moment]:
    """Return what happened to a run, in order."""
    moments = [Moment(run.created_at, "Queued", f"by {run.trigger}")]
    if run.delivery:
        moments.append(Moment(run.delivery.received_at, "Delivery received", run.delivery.delivery_id))
    if run.dispatched_at:
        moments.append(Moment(run.dispatched_at, "Handed to the broker", run.rq_job_id))
    if run.started_at:
        moments.append(Moment(run.started_at, "Claimed by a worker", run.worker))
    moments += command_moments(commands)
    if run.finished_at:
        moments.append(Moment(run.finished_at, run.get_state_display().capitalize(), run.summary))
    for notice in run.notices.all():
        name = notice.kind.replace("_", " ")
        if notice.sent_at:
            moments.append(Moment(notice.sent_at, f"Told: {name}", notice.url))
        elif notice.last_error:
            moments.append(Moment(notice.created_at, f"Not told yet: {name}", notice.last_error))
    return sorted(moments, key=lambda moment: moment.at)


def command_moments(commands: list[Any]) -> list[Moment]:
    """Return a line for each command; those of one step that went well share a line."""
    moments: list[Moment] = []
    shared: list[Any] = []
    for command in commands:
        if shared and (command.exit_code != 0 or command.name != shared[0].name):
            moments.append(_shared_moment(shared))
            shared = []
        shared.append(command)
        if command.exit_code != 0:
            moments.append(_shared_moment(shared))
            shared = []
    return [*moments, _shared_moment(shared)] if shared else moments


def _shared_moment(commands: list[Any]) -> Moment:
    first, title = commands[0], f"Command: {commands[0].name}"
    if len(commands) == 1:
        return Moment(first.started_at, title, command_ending(first))
    return Moment(first.started_at, title, f"{len(commands)} commands, {sum(c.seconds for c in commands):.1f} s")


def command_ending(command: Any) -> str:
    if not command.ending:
        return "running"
    ending = f"exit code {command.exit_code}" if command.exit_code is not None else command.get_ending_display()
    return f"{ending}, {command.seconds:.1f} s"


def link(url: str, text: str) -> SafeString:
    return format_html('<a href="{}">{}</a>', url, text)


def rq_link(run: Run) -> str | SafeString:
    if not run.dispatches:
        return "not dispatched yet"
    try:
        index = get_queues_map()[run.queue]
        return link(reverse("admin:django_rq_job_detail", args=[index, run.rq_job_id]), run.rq_job_id)
    except (KeyError, NoReverseMatch):
        return run.rq_job_id


def sentry_link(run: Run) -> str | SafeString:
    if not run.sentry_event_id:
        return "–"
    if not settings.BOOTY_SENTRY_EVENT_URL:
        return run.sentry_event_id
    return link(settings.BOOTY_SENTRY_EVENT_URL.replace("{event_id}", run.sentry_event_id), run.sentry_event_id)


def github_link(run: Run, path_on_github: str, text: str) -> SafeString:
    return link(f"{settings.GITHUB_WEB_URL}/{run.repository}/{path_on_github}", text)
