"""Names and helpers of the tests of the GitHub double."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from github import Auth, Github, GithubException, GithubIntegration
from github.HookDelivery import HookDeliverySummary
from github.PaginatedList import PaginatedList

from tests.doubles.github import GitHubDouble

NAME = "octo/hello"
TOKEN = "a-token-for-tests"
SECRET = "a-secret-for-tests"
APP_ID = 77
INSTALLATION = 5


class Received(list[tuple[dict[str, str], bytes]]):
    """The webhooks a small server got."""

    url = ""


def client(double: GitHubDouble, auth: Auth.Auth, per_page: int = 30) -> Github:
    return Github(
        auth=auth,
        base_url=double.api_url,
        retry=None,
        seconds_between_requests=0,
        seconds_between_writes=0,
        per_page=per_page,
    )


def listed(integration: GithubIntegration) -> list[HookDeliverySummary]:
    """Read the whole list of deliveries, newest first; PyGithub has no method for an App's."""
    return list(PaginatedList(HookDeliverySummary, integration.requester, "/app/hook/deliveries"))


def redeliver(integration: GithubIntegration, delivery: HookDeliverySummary) -> None:
    integration.requester.requestJsonAndCheck("POST", f"/app/hook/deliveries/{delivery.id}/attempts")


def run_git(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    plain = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0"}
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.invalid")
    return subprocess.run(
        ["git", "-C", str(folder), *who, *arguments],
        env=os.environ | plain,
        capture_output=True,
        text=True,
        check=check,
    )


def refused(error: pytest.ExceptionInfo[GithubException]) -> int:
    return error.value.status
