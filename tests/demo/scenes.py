"""What the demo sends to Booty, and how each of it must end."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.doubles.github import DeliveredHook
from tests.repositories import CALCULATOR, install_pytest, make_calculator, policy
from tests.stack import WHEELS, Stack

CALCULATOR_REPOSITORY = "acme/calculator"
VANISHED_REPOSITORY = "acme/vanished"
LABEL = os.environ.get("TRIGGER_LABEL") or "agent:builder"
DELIVERY_SECONDS, ISSUE_SECONDS = 60, 300
FAILING_TEST = "test_calculator.py::test_multiply"


@dataclass(frozen=True)
class Sent:
    """A delivery as GitHub saw it: the status and content of the answer, and its duration in seconds."""

    status: int
    answer: dict[str, Any]
    seconds: float

    @classmethod
    def of(cls, hook: DeliveredHook) -> Sent:
        try:
            answer = json.loads(hook.answer or "{}")
        except ValueError:
            answer = {}
        return cls(hook.status or 0, answer, hook.duration)


@dataclass(frozen=True)
class Expected:
    """How a scene must end. `told` are texts that what GitHub was told must hold."""

    status: int = 202
    state: str = ""
    verdict: str = ""
    code: str = ""
    check: str = ""
    told: tuple[str, ...] = ()
    sentry: bool = False


@dataclass(frozen=True)
class Scene:
    title: str
    act: Callable[[Stack], Sent]
    expected: Expected = field(default_factory=Expected)


def prepare(stack: Stack) -> None:
    """Make the repositories and the people of the demo."""
    github = stack.github
    booty_yml = policy(install=install_pytest(WHEELS))
    source = make_calculator(stack.folder / "source", booty_yml)
    for name in (CALCULATOR_REPOSITORY, VANISHED_REPOSITORY):
        github.add_repository(name, source=source)
    github.add_user("ada")
    github.add_user("mallory")
    for name in (CALCULATOR_REPOSITORY, VANISHED_REPOSITORY):
        github.set_permission(name, "ada", "write")


def _delivered(stack: Stack, event: str, action: str, act: Callable[[], object]) -> Sent:
    """Do something on GitHub and return the delivery of an event that follows from it."""
    github = stack.github
    before = len(github.deliveries)
    act()

    def found() -> list[DeliveredHook]:
        hooks = [hook for hook in github.deliveries[before:] if (hook.event, hook.action) == (event, action)]
        return [hook for hook in hooks if hook.status is not None]

    if not github.wait_for(lambda: bool(found()), timeout=DELIVERY_SECONDS):
        raise TimeoutError(f"no delivery of {event}.{action} within {DELIVERY_SECONDS} s\n{stack.logs()}")
    return Sent.of(found()[0])


def _pull(branch: str, title: str, files: dict[str, str]) -> Callable[[Stack], Sent]:
    def act(stack: Stack) -> Sent:
        github = stack.github
        github.push(CALCULATOR_REPOSITORY, branch, files, by="ada", message=title)
        return _delivered(
            stack, "pull_request", "opened", lambda: github.open_pull(CALCULATOR_REPOSITORY, branch, "main", title, "", by="ada")
        )

    return act


def _fork_pull(stack: Stack) -> Sent:
    github, fork = stack.github, "mallory/calculator"
    github.add_repository(fork, source=stack.folder / "source", fork_of=CALCULATOR_REPOSITORY)
    github.push(fork, "gift", {"gift.py": "print('surprise')\n"}, by="mallory")
    return _delivered(
        stack,
        "pull_request",
        "opened",
        lambda: github.open_pull(CALCULATOR_REPOSITORY, "gift", "main", "A gift", "", by="mallory", head_repo=fork),
    )


def _labelled_issue(repository: str, title: str, body: str, *, lose_repository: bool = False) -> Callable[[Stack], Sent]:
    def act(stack: Stack) -> Sent:
        github = stack.github
        issue = github.open_issue(repository, title, body, by="ada")
        if lose_repository:
            shutil.rmtree(github.repository(repository).path)
        return _delivered(stack, "issues", "labeled", lambda: github.label_issue(repository, issue.number, LABEL, by="ada"))

    return act


def _second_time(stack: Stack) -> Sent:
    first = next(hook for hook in stack.github.deliveries if hook.event == "pull_request")
    return Sent.of(stack.github.redeliver(first.delivery_id))


def _forged(stack: Stack) -> Sent:
    first = next(hook for hook in stack.github.deliveries if hook.event == "pull_request")
    return Sent.of(stack.github.send_hook("pull_request", first.payload, secret="not the secret"))


def _own_pull(stack: Stack) -> Sent:
    github = stack.github

    def found() -> list[DeliveredHook]:
        hooks = [hook for hook in github.deliveries if hook.event == "pull_request" and hook.status is not None]
        return [hook for hook in hooks if hook.payload["sender"]["login"].endswith("[bot]") and hook.status == 202]

    if not github.wait_for(lambda: bool(found()), timeout=ISSUE_SECONDS):
        raise TimeoutError(f"no pull request came of the labelled issue within {ISSUE_SECONDS} s\n{stack.logs()}")
    return Sent.of(found()[0])


SCENES = (
    Scene(
        "A good pull request",
        _pull("good", "Explain the calculator", {"README.md": "# Calculator\n\nIt adds and multiplies.\n"}),
        Expected(state="succeeded", verdict="passed", check="success"),
    ),
    Scene(
        "A pull request whose tests fail",
        _pull("red", "Multiply faster", {"calculator.py": CALCULATOR.replace("a * b", "a ** b")}),
        Expected(state="failed", verdict="failed", code="tests_failed", check="failure", told=(FAILING_TEST,)),
    ),
    Scene(
        "A pull request with a broken .booty.yml",
        _pull("broken", "Configure", {".booty.yml": policy() + "test_comand: pytest\n"}),
        Expected(state="failed", verdict="failed", code="config_invalid", check="failure", told=("test_comand", ".booty.yml:4")),
    ),
    Scene(
        "A pull request from a fork",
        _fork_pull,
        Expected(state="succeeded", verdict="neutral", check="neutral", told=("fork",)),
    ),
    Scene(
        "A labelled issue",
        _labelled_issue(CALCULATOR_REPOSITORY, "Teach it to subtract", "I miss `subtract`."),
        Expected(state="succeeded", told=("ready for review",)),
    ),
    Scene(
        "A labelled issue whose pipeline crashes",
        _labelled_issue(VANISHED_REPOSITORY, "Teach it to subtract", "", lose_repository=True),
        Expected(state="errored", code="workspace_unavailable", told=("could not be fetched",), sentry=True),
    ),
    Scene("The first delivery, sent again", _second_time, Expected(status=200)),
    Scene("A delivery with a forged signature", _forged, Expected(status=403)),
)
OWN_PULL = Scene(
    "The pull request that came of the issue", _own_pull, Expected(state="succeeded", verdict="passed", check="success")
)
