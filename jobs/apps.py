from __future__ import annotations

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "jobs"

    def ready(self) -> None:
        from booty_site import webhooks
        from booty_site.github import events
        from booty_site.runs import kinds
        from jobs import handlers, notifier, pipeline
        from jobs.models import Job

        webhooks.register(events.IssueLabelled, handlers.issue_labelled)
        webhooks.register(events.IssueWithdrawn, handlers.issue_withdrawn)
        kinds.register(kinds.RunKind(Job, pipeline.build, notifier.JobNotifier()))
