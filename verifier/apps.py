from __future__ import annotations

from django.apps import AppConfig


class VerifierConfig(AppConfig):
    name = "verifier"

    def ready(self) -> None:
        from booty_site import webhooks
        from booty_site.github import events
        from booty_site.runs import kinds
        from verifier import handlers, notifier, pipeline
        from verifier.models import VerificationRun

        webhooks.register(events.PullRequestChanged, handlers.pull_request_changed)
        webhooks.register(events.PullRequestClosed, handlers.pull_request_closed)
        webhooks.register(events.RerunRequested, handlers.rerun_requested)
        kinds.register(kinds.RunKind(VerificationRun, pipeline.verify_pull_request, notifier.VerificationNotifier()))
