"""GitHub's API, spoken through PyGithub: who we are there, and how its refusals reach the rest of Booty."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property

import requests
from github import Auth, Github, GithubException, GithubIntegration, UnknownObjectException
from github.Repository import Repository
from urllib3.util.retry import Retry

from booty_site.errors import GitHubRefused
from booty_site.execution.git import Remote

UNAUTHORIZED, NOT_FOUND = 401, 404
LONGEST_WAIT_SECONDS = 24 * 3600.0
WRITE_PERMISSIONS = ("admin", "maintain", "write")


@dataclass(frozen=True)
class Credentials:
    """How Booty signs in: as an App (it may make checks), or with a personal token. An answer is awaited for `seconds`."""

    api_url: str
    web_url: str
    token: str = ""
    app_id: int = 0
    private_key: str = ""
    seconds: int = 15

    @property
    def is_app(self) -> bool:
        return bool(self.app_id)


class GitHub:
    """One repository on GitHub, as Booty may use it. Methods raise GitHubRefused."""

    def __init__(self, credentials: Credentials, full_name: str) -> None:
        self.credentials = credentials
        self.full_name = full_name

    @cached_property
    def repository(self) -> Repository:
        return self._api.get_repo(self.full_name)

    @cached_property
    def login(self) -> str:
        """The login that Booty's own comments carry."""
        with refusals("asking who Booty is"):
            if self.credentials.is_app:
                return f"{self._integration.get_app().slug}[bot]"
            return self._api.get_user().login

    def remote(self) -> Remote:
        """Return the address to clone from and push to, and the token for it."""
        with refusals("asking for a token"):
            token = self._auth.token if self.credentials.is_app else self.credentials.token
        return Remote(f"{self.credentials.web_url}/{self.full_name}.git", token)

    def may_write(self, login: str) -> bool:
        """Tell whether a person may push to the repository."""
        with refusals(f"asking for the permission of {login}"):
            try:
                return self.repository.get_collaborator_permission(login) in WRITE_PERMISSIONS
            except UnknownObjectException:
                raise  # the repository itself is not there for us
            except GithubException as error:
                if error.status == NOT_FOUND:
                    return False  # "… is not a user", as GitHub says of other Apps' bots
                raise

    def spent(self) -> float:
        """Return the share of this hour's requests that is used up, 0 to 1, as GitHub's last answer said."""
        remaining, limit = self._api.rate_limiting
        return 1 - remaining / limit if limit > 0 else 0.0

    @cached_property
    def _integration(self) -> GithubIntegration:
        return app_integration(self.credentials)

    @cached_property
    def _auth(self) -> Auth.Auth:
        if not self.credentials.is_app:
            if not self.credentials.token:
                raise GitHubRefused(
                    "no GitHub credentials are set: set GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY, or GITHUB_TOKEN",
                    status=UNAUTHORIZED,
                )
            return Auth.Token(self.credentials.token)
        with refusals("asking for the App's installation"):
            owner, name = self.full_name.split("/", 1)
            installation = self._integration.get_repo_installation(owner, name)
            return self._integration.auth.get_installation_auth(installation.id, requester=self._integration.requester)

    @cached_property
    def _api(self) -> Github:
        return Github(
            auth=self._auth,
            base_url=self.credentials.api_url,
            timeout=self.credentials.seconds,
            retry=_retry(),
            seconds_between_requests=None,
            seconds_between_writes=None,
            # Objects are read when a field is asked for, not when they are named.
            lazy=True,
        )


def app_integration(credentials: Credentials) -> GithubIntegration:
    """Return GitHub as the App sees it, signed in by its key."""
    return GithubIntegration(
        auth=Auth.AppAuth(credentials.app_id, credentials.private_key),
        base_url=credentials.api_url,
        timeout=credentials.seconds,
        retry=_retry(),
        seconds_between_requests=None,
        seconds_between_writes=None,
    )


def _retry() -> Retry:
    """Return the retries of a client: reads only, since a POST repeated after a 5xx doubles a comment."""
    return Retry(
        total=2,
        backoff_factor=0.3,
        allowed_methods=("GET", "HEAD"),
        status_forcelist=(500, 502, 503, 504),
        respect_retry_after_header=False,
        raise_on_status=False,
    )


@contextmanager
def refusals(doing: str) -> Iterator[None]:
    """Turn whatever the client raises into GitHubRefused, with the status and the time GitHub asks to wait."""
    try:
        yield
    except GithubException as error:
        status = int(error.status or 0)
        raise GitHubRefused(
            f"GitHub answered {status} when {doing}: {_reason(error)}",
            status=status,
            retry_after=_wait_seconds(error.headers or {}),
            public=f"GitHub answered {status} when {doing}.",
        ) from error
    except requests.RequestException as error:
        raise GitHubRefused(
            f"GitHub could not be reached when {doing}: {type(error).__name__}",
            public=f"GitHub could not be reached when {doing}.",
        ) from error


def _reason(error: GithubException) -> str:
    data = error.data
    return str(data.get("message") or data)[:300] if isinstance(data, dict) else str(data)[:300]


def _wait_seconds(headers: dict[str, str]) -> float | None:
    """Return how long GitHub asks to wait ("Rate limits for the REST API", GitHub docs), at most a day."""
    lower = {name.lower(): str(value) for name, value in headers.items()}
    after, reset = lower.get("retry-after", ""), lower.get("x-ratelimit-reset", "")
    wait = None
    if after.isdigit():
        wait = float(after)
    elif after:
        with suppress(ValueError):
            wait = email.utils.parsedate_to_datetime(after).timestamp() - time.time()
    elif lower.get("x-ratelimit-remaining") == "0" and reset.isdigit():
        wait = float(reset) - time.time()
    return None if wait is None else min(max(wait, 0.0), LONGEST_WAIT_SECONDS)
