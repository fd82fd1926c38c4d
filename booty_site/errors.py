"""What can go wrong on Booty's side: each error carries a stable code and a sentence safe to publish."""

from __future__ import annotations


class BootyError(Exception):
    """An error of Booty or of its surroundings.

    `code` is stable and shown to people. `public` is the sentence that may appear on GitHub: it names
    no path of the host, no secret and no traceback. The exception's own text may be more precise and
    stays in the admin and in Sentry.
    """

    code = "crashed"
    public = "Booty met an error of its own."
    # Whether the cause may pass by itself, so that another attempt makes sense.
    transient = False

    def __init__(self, message: str = "", *, public: str | None = None) -> None:
        super().__init__(message or self.public)
        if public is not None:
            self.public = public


class WorkspaceUnavailable(BootyError):
    """The repository could not be fetched or checked out; `transient` when the network or the server was at fault."""

    code = "workspace_unavailable"
    public = "The repository could not be fetched. Check that it exists and that Booty may read it."

    def __init__(self, message: str = "", *, public: str | None = None, transient: bool = False) -> None:
        super().__init__(message, public=public)
        self.transient = transient


class EnvironmentUnavailable(WorkspaceUnavailable):
    """The Python environment for the repository's commands could not be made."""

    public = "No Python environment could be made for the repository's commands."


class SandboxUnavailable(BootyError):
    """The sandbox for a repository's commands could not be made. Without it nothing of a repository is run."""

    code = "sandbox_unavailable"
    public = "The sandbox could not be started on the worker. The run's page in the admin says why."


class EngineFailed(BootyError):
    """The coding engine could not be started, or ended in a way that says nothing about the code."""

    code = "engine_failed"
    public = "The coding engine failed."


class GitHubRefused(BootyError):
    """GitHub did not do what was asked.

    `status` is the HTTP status, or 0 when GitHub could not be reached; `retry_after` is in seconds,
    when GitHub named a time.
    """

    code = "github_refused"
    public = "GitHub did not accept a request that Booty needed."

    def __init__(
        self,
        message: str = "",
        *,
        status: int = 0,
        retry_after: float | None = None,
        public: str | None = None,
    ) -> None:
        super().__init__(message, public=public)
        self.status = status
        self.retry_after = retry_after
        # 403 is GitHub's answer to a spent rate limit too; then it names a time.
        self.transient = status in (0, 408, 429) or status >= 500 or (status == 403 and retry_after is not None)


class RunTimedOut(BootyError):
    """The run used up the time that a whole run may take."""

    code = "run_timed_out"
    public = "The run took longer than a whole run may take."


class RunStopped(Exception):
    """This process no longer owns the run: it was cancelled, superseded or taken over.

    Not a BootyError, since nothing went wrong: the process ends its work and says nothing.
    """


class RunInterrupted(Exception):
    """This process was asked to end, so it hands its run back; nothing went wrong with it."""


def code_of(error: BaseException) -> str:
    """Return the stable failure code of any exception."""
    return error.code if isinstance(error, BootyError) else BootyError.code


def public_sentence(error: BaseException) -> str:
    """Return the sentence about any exception that may be published."""
    return error.public if isinstance(error, BootyError) else BootyError.public
