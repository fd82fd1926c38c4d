"""The GitHub double: its webhooks, the list of their deliveries, and what is open."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from github import Auth, GithubIntegration
from github.HookDelivery import HookDeliverySummary
from github.PaginatedList import PaginatedList
from github.Repository import Repository as RemoteRepository

from tests.doubles.github import GitHubDouble, WebhookTarget
from tests.integration.github_double.common import (
    INSTALLATION,
    NAME,
    SECRET,
    TOKEN,
    Received,
    client,
    listed,
    redeliver,
)


@contextmanager
def refusing_port() -> Iterator[int]:
    """Hold a port that is bound and does not listen: nobody else gets it, and it refuses."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_the_label_events_of_an_issue_are_read_page_by_page(double: GitHubDouble, by_app: RemoteRepository) -> None:
    double.open_issue(NAME, "Broken", "It is broken.", "ann", labels=["booty"])
    double.unlabel_issue(NAME, 1, "booty", "bob")
    by_app.get_issue(1).add_to_labels("done")

    events = list(client(double, Auth.Token(TOKEN), per_page=2).get_repo(NAME).get_issue(1).get_events())

    told = [(event.event, event.actor.login, event.label.name) for event in events]
    assert told == [("labeled", "ann", "booty"), ("unlabeled", "bob", "booty"), ("labeled", "booty[bot]", "done")]
    assert all(event.created_at is not None and event.id for event in events)
    asked = [request.query.get("page") for request in double.requests if request.path.endswith("/events")]
    assert asked == [None, ["2"]]
    assert double.violations == []


def test_a_label_already_on_makes_no_event(double: GitHubDouble, by_app: RemoteRepository) -> None:
    double.open_issue(NAME, "Broken", "It is broken.", "ann", labels=["booty"])

    by_app.get_issue(1).add_to_labels("booty")

    assert len(double.issue(NAME, 1).events) == 1


def test_the_label_events_of_a_pull_are_those_of_its_issue(double: GitHubDouble, by_app: RemoteRepository) -> None:
    double.push(NAME, "topic", {"a.txt": "a\n"}, "ann")
    double.open_pull(NAME, "topic", "main", "A", "", "ann")
    double.label_issue(NAME, 1, "booty", "ann")

    (event,) = by_app.get_pull(1).get_issue_events()

    assert (event.event, event.label.name) == ("labeled", "booty")


def test_what_is_open_and_labelled_is_found(double: GitHubDouble, by_app: RemoteRepository) -> None:
    for number, labels in enumerate((["booty"], ["booty"], ["other"]), start=1):
        double.open_issue(NAME, f"Issue {number}", "Text.", "ann", labels)
    double.close_issue(NAME, 2, "ann")
    for branch in ("topic", "gone"):
        double.push(NAME, branch, {f"{branch}.txt": "a\n"}, "ann")
        double.open_pull(NAME, branch, "main", branch, "", "ann")
    double.label_issue(NAME, 4, "booty", "ann")
    double.close_pull(NAME, 5, "ann")

    issues = list(by_app.get_issues(state="open", labels=["booty"]))
    pulls = list(by_app.get_pulls(state="open"))

    assert [(issue.number, issue.pull_request is not None) for issue in issues] == [(4, True), (1, False)]
    assert [pull.number for pull in pulls] == [4]
    assert list(by_app.get_issues(since=datetime(2100, 1, 1, tzinfo=UTC))) == []
    assert double.violations == []


def test_the_app_finds_the_repositories_of_its_installation(double: GitHubDouble, integration: GithubIntegration) -> None:
    double.add_repository("octo/second")
    double.add_repository("octo/third")
    double.add_repository("octo/not-ours", installed=False)

    (installation,) = integration.get_installations()

    assert installation.id == INSTALLATION
    assert [found.full_name for found in installation.get_repos()] == [NAME, "octo/second", "octo/third"]
    assert double.violations == []


def test_deliveries_are_listed_newest_first_through_every_page(double: GitHubDouble, integration: GithubIntegration) -> None:
    double.open_issue(NAME, "Broken", "It is broken.", "ann", labels=["a", "b", "c", "d"])
    assert double.wait_for_deliveries()

    found = listed(integration)

    assert [delivery.id for delivery in found] == [hook.id for hook in reversed(double.deliveries)]
    assert {(delivery.event, delivery.status, delivery.status_code) for delivery in found} == {("issues", "OK", 202)}
    assert len([request for request in double.requests if request.path.endswith("/deliveries")]) == 3
    assert double.violations == []


def test_the_pages_of_failed_deliveries_have_no_other_ones(
    double: GitHubDouble, integration: GithubIntegration, received: Received
) -> None:
    double.open_issue(NAME, "Broken", "It is broken.", "ann")
    assert double.wait_for_deliveries()
    with refusing_port() as port:
        double.set_webhook(WebhookTarget(f"http://127.0.0.1:{port}/hook", SECRET))
        for label in ("a", "b", "c"):
            double.label_issue(NAME, 1, label, "ann")
        assert double.wait_for_deliveries()

    failed = PaginatedList(HookDeliverySummary, integration.requester, "/app/hook/deliveries", {"status": "failure"})

    assert [delivery.action for delivery in failed] == ["labeled"] * 3


def test_a_lost_webhook_is_neither_sent_nor_listed(
    double: GitHubDouble, integration: GithubIntegration, received: Received
) -> None:
    double.open_issue(NAME, "Broken", "It is broken.", "ann")
    double.lose_webhooks()
    double.label_issue(NAME, 1, "booty", "ann")
    double.deliver_webhooks()
    double.close_issue(NAME, 1, "ann")

    assert double.wait_for_deliveries()
    assert [delivery.action for delivery in listed(integration)] == ["closed", "opened"]
    assert len(received) == 2
    assert [event.event for event in double.issue(NAME, 1).events] == ["labeled"]


def test_what_a_target_that_was_down_missed_comes_with_the_redelivery(
    double: GitHubDouble, integration: GithubIntegration, received: Received
) -> None:
    with refusing_port() as port:
        double.set_webhook(WebhookTarget(f"http://127.0.0.1:{port}/hook", SECRET))
        double.open_issue(NAME, "Broken", "It is broken.", "ann")
        assert double.wait_for_deliveries()
    (first,) = listed(integration)
    assert (first.status_code, first.status, first.redelivery) == (0, "failed to connect to host", False)

    double.set_webhook(WebhookTarget(received.url, SECRET))
    redeliver(integration, first)

    assert double.wait_for_deliveries()
    again, before = listed(integration)
    assert (again.guid, again.status_code, again.status, again.redelivery) == (first.guid, 202, "OK", True)
    assert (before.id, before.status_code) == (first.id, 0)
    ((headers, body),) = received
    assert (headers["X-GitHub-Delivery"], body) == (first.guid, double.deliveries[0].raw_body)


def test_a_target_that_does_not_answer_in_time_fails_the_delivery(double: GitHubDouble, integration: GithubIntegration) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        double.set_webhook(WebhookTarget(f"http://127.0.0.1:{silent.getsockname()[1]}/hook", SECRET, timeout=0.05))
        double.open_issue(NAME, "Broken", "It is broken.", "ann")
        assert double.wait_for_deliveries()

    (delivery,) = listed(integration)
    assert (delivery.status_code, delivery.status) == (0, "timed out")


def test_the_list_names_the_status_a_target_refused_with(double: GitHubDouble, integration: GithubIntegration) -> None:
    double.set_webhook(WebhookTarget(f"{double.web_url}/no-such-page", SECRET))
    double.open_issue(NAME, "Broken", "It is broken.", "ann")
    assert double.wait_for_deliveries()

    (delivery,) = listed(integration)
    assert (delivery.status_code, delivery.status) == (404, "Invalid HTTP Response: 404")


def test_closing_reopening_and_unlabelling_an_issue_are_told(double: GitHubDouble) -> None:
    double.open_issue(NAME, "Broken", "It is broken.", "ann", labels=["booty"])
    double.unlabel_issue(NAME, 1, "booty", "bob")
    double.close_issue(NAME, 1, "bob")
    double.reopen_issue(NAME, 1, "ann")

    assert double.wait_for_deliveries()
    unlabeled, closed, reopened = [hook.payload for hook in double.deliveries[2:]]
    assert (unlabeled["action"], unlabeled["label"]["name"], unlabeled["issue"]["labels"]) == ("unlabeled", "booty", [])
    assert (closed["action"], closed["issue"]["state"], closed["sender"]["login"]) == ("closed", "closed", "bob")
    assert closed["issue"]["closed_at"] is not None
    assert (reopened["action"], reopened["issue"]["state"], reopened["issue"]["closed_at"]) == ("reopened", "open", None)
    assert "label" not in closed


def test_closing_and_unlabelling_a_pull_are_told_as_the_pull(double: GitHubDouble) -> None:
    double.push(NAME, "topic", {"a.txt": "a\n"}, "ann")
    double.open_pull(NAME, "topic", "main", "A", "", "ann")
    double.label_issue(NAME, 1, "booty", "ann")
    double.unlabel_issue(NAME, 1, "booty", "ann")
    double.close_issue(NAME, 1, "ann")

    assert double.wait_for_deliveries()
    unlabeled, closed = [hook.payload for hook in double.deliveries[2:]]
    assert {hook.event for hook in double.deliveries} == {"pull_request"}
    assert (unlabeled["action"], unlabeled["label"]["name"]) == ("unlabeled", "booty")
    found = closed["pull_request"]
    assert (closed["action"], found["state"], found["merged"], found["labels"]) == ("closed", "closed", False, [])
