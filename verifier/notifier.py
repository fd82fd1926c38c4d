"""Tells GitHub how a verification goes: the check on the commit, and one comment on the pull request."""

from __future__ import annotations

from booty_site import faults
from booty_site.errors import GitHubRefused
from booty_site.github import check_runs, comments
from booty_site.github.connect import connect
from booty_site.runs.kinds import Receipt
from booty_site.runs.states import State
from verifier import messages
from verifier.models import CHECK, Verdict, VerificationRun

PURPOSE = "verifier"
UNPROCESSABLE = 422
TOLD = (State.SUCCEEDED, State.FAILED, State.ERRORED)


class VerificationNotifier:
    def announce(self, run: VerificationRun) -> Receipt:
        return self._put_check(run, messages.in_progress())

    def deliver(self, run: VerificationRun, notice_kind: str) -> Receipt:
        faults.reach(f"notice.before_post.{notice_kind}")
        if notice_kind == CHECK:
            if run.check_run_id is None and self._newer_on_head(run):
                return Receipt()  # a check made now would hide the newer run's
            report = messages.concluded(run.state, run.verdict, run.failure_code, run.summary, run.details, run.sentry_event_id)
            try:
                return self._put_check(run, report)
            except GitHubRefused as refused:
                if refused.status == UNPROCESSABLE and run.state in (State.CANCELLED, State.SUPERSEDED):
                    return Receipt()  # the commit is not there, so there is no place for a check
                raise
        return self._put_comment(run)

    def _put_check(self, run: VerificationRun, report: check_runs.Report) -> Receipt:
        posted = check_runs.put(
            connect(run.repository), run.head_sha, str(run.pk), run.page_url, report, known_id=run.check_run_id
        )
        return Receipt(posted.url, {"check_run_id": posted.id, "check_url": posted.url})

    @staticmethod
    def _newer_on_head(run: VerificationRun) -> bool:
        newer = VerificationRun.objects.filter(repository=run.repository, head_sha=run.head_sha, created_at__gt=run.created_at)
        return newer.filter(pull_number=run.pull_number).exists()

    def _put_comment(self, run: VerificationRun) -> Receipt:
        """Make, edit or turn to "fixed" the one comment; what an older run would say is not said any more."""
        runs = VerificationRun.objects.filter(repository=run.repository, pull_number=run.pull_number)
        if runs.filter(created_at__gt=run.created_at, state__in=TOLD).exists():
            return Receipt()
        earlier = runs.exclude(comment_id=None).first()
        if run.state == State.SUCCEEDED and (earlier is None or run.verdict != Verdict.PASSED):
            return Receipt()
        if run.state == State.SUCCEEDED:
            body = messages.fixed_comment(run.head_sha, str(run.pk), run.page_url)
        else:
            body = messages.failure_comment(
                run.head_sha,
                run.state,
                run.failure_code,
                run.summary,
                run.details,
                run.sentry_event_id,
                str(run.pk),
                run.page_url,
            )
        known_id = earlier.comment_id if earlier else None
        posted = comments.put(connect(run.repository), run.pull_number, PURPOSE, body, known_id=known_id)
        return Receipt(posted.url, {"comment_id": posted.id, "comment_url": posted.url})
