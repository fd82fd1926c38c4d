"""The GitHub double itself, driven by real PyGithub and real git."""

from __future__ import annotations

import base64
import os
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from github import Auth, Github, GithubException, GithubIntegration
from github.HookDelivery import HookDeliverySummary
from github.PaginatedList import PaginatedList
from github.Repository import Repository as RemoteRepository

from tests.doubles.github import AppIdentity, GitHubDouble, RecordedRequest, WebhookTarget, sign

NAME = "octo/hello"
TOKEN = "a-token-for-tests"
SECRET = "a-secret-for-tests"
APP_ID = 77
INSTALLATION = 5


class Received(list[tuple[dict[str, str], bytes]]):
    """The webhooks a small server got."""

    url = ""


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def received() -> Iterator[Received]:
    found = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.append((dict(self.headers), body))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Stay silent."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}/hook"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


@pytest.fixture
def double(tmp_path: Path, key: rsa.RSAPrivateKey, received: Received) -> Iterator[GitHubDouble]:
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    made = GitHubDouble(
        tmp_path / "github",
        token=TOKEN,
        app=AppIdentity(APP_ID, public.decode(), INSTALLATION),
        webhook=WebhookTarget(received.url, SECRET),
    )
    with made:
        made.add_repository(NAME)
        made.set_permission(NAME, "ann", "write")
        yield made
    assert made.errors == []


def client(double: GitHubDouble, auth: Auth.Auth, per_page: int = 30) -> Github:
    return Github(
        auth=auth,
        base_url=double.api_url,
        retry=None,
        seconds_between_requests=0,
        seconds_between_writes=0,
        per_page=per_page,
    )


@pytest.fixture
def by_token(double: GitHubDouble) -> RemoteRepository:
    return client(double, Auth.Token(TOKEN)).get_repo(NAME)


@pytest.fixture
def app_auth(key: rsa.RSAPrivateKey) -> Auth.AppAuth:
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Auth.AppAuth(APP_ID, private.decode())


@pytest.fixture
def by_app(double: GitHubDouble, app_auth: Auth.AppAuth) -> RemoteRepository:
    return client(double, app_auth.get_installation_auth(INSTALLATION)).get_repo(NAME)


@pytest.fixture
def integration(double: GitHubDouble, app_auth: Auth.AppAuth) -> GithubIntegration:
    """The App itself, which reads its lists two by two."""
    return GithubIntegration(
        auth=app_auth,
        base_url=double.api_url,
        retry=None,
        seconds_between_requests=0,
        seconds_between_writes=0,
        per_page=2,
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


def test_a_label_reaches_the_webhook_signed(double: GitHubDouble, received: Received) -> None:
    issue = double.open_issue(NAME, "Broken", "It is broken.", "ann")
    double.label_issue(NAME, issue.number, "booty", "ann")

    assert double.wait_for_deliveries()
    headers, body = received[-1]
    assert headers["X-GitHub-Event"] == "issues"
    assert headers["X-Hub-Signature-256"] == sign(SECRET, body)
    assert double.deliveries[-1].payload["label"]["name"] == "booty"


def test_the_app_comments_under_its_own_name(double: GitHubDouble, by_app: RemoteRepository) -> None:
    double.open_issue(NAME, "Broken", "It is broken.", "ann")

    comment = by_app.get_issue(1).create_comment("Looking at it.")
    comment.edit("Done.")

    (kept,) = double.comments(NAME, 1)
    assert (kept.user.login, kept.body, kept.by_app) == ("booty[bot]", "Done.", True)
    assert double.violations == []


def test_a_draft_becomes_ready_through_graphql(double: GitHubDouble, by_app: RemoteRepository) -> None:
    double.push(NAME, "booty/issue-1", {"a.txt": "a\n"}, "ann")
    pull = by_app.create_pull(base="main", head="booty/issue-1", title="A", body="", draft=True)
    assert double.pull(NAME, pull.number).draft

    pull.mark_ready_for_review()

    assert not double.pull(NAME, pull.number).draft
    assert double.wait_for_deliveries()
    actions = [(hook.event, hook.action) for hook in double.deliveries]
    assert actions == [("pull_request", "opened"), ("pull_request", "ready_for_review")]


def test_a_second_pull_for_the_same_branches_is_refused(double: GitHubDouble, by_token: RemoteRepository) -> None:
    double.push(NAME, "topic", {"a.txt": "a\n"}, "ann")
    double.open_pull(NAME, "topic", "main", "A", "", "ann")

    with pytest.raises(GithubException) as error:
        by_token.create_pull(base="main", head="topic", title="B", body="")

    assert refused(error) == 422
    assert "already exists for octo:topic" in str(error.value)


def test_a_push_over_http_moves_the_pull_and_tells_of_it(double: GitHubDouble, tmp_path: Path) -> None:
    before = double.push(NAME, "topic", {"a.txt": "a\n"}, "ann")
    double.open_pull(NAME, "topic", "main", "A", "", "ann")
    clone = tmp_path / "clone"
    run_git(tmp_path, "clone", "--branch", "topic", double.clone_url(NAME, TOKEN), str(clone))
    run_git(clone, "commit", "--allow-empty", "-m", "More")

    run_git(clone, "push", "origin", "topic")

    after = run_git(clone, "rev-parse", "HEAD").stdout.strip()
    assert double.pull(NAME, 1).head_sha == after
    assert run_git(clone, "ls-remote", "origin", "refs/pull/1/head").stdout.startswith(after)
    assert double.wait_for_deliveries()
    told = double.deliveries[-1].payload
    assert (told["action"], told["before"], told["after"]) == ("synchronize", before, after)


def test_a_clone_needs_the_token(double: GitHubDouble, tmp_path: Path) -> None:
    done = run_git(tmp_path, "clone", double.clone_url(NAME, "wrong"), "clone", check=False)

    assert done.returncode != 0
    assert "Authentication failed" in done.stderr


def test_a_check_run_goes_from_progress_to_its_result(double: GitHubDouble, by_app: RemoteRepository) -> None:
    sha = double.push(NAME, "topic", {"a.txt": "a\n"}, "ann")

    run = by_app.create_check_run("booty", sha, status="in_progress")
    run.edit(conclusion="failure", output={"title": "No", "summary": "It does not work."})

    (kept,) = double.check_runs(NAME, sha, "booty")
    assert (kept.status, kept.conclusion, kept.title) == ("completed", "failure", "No")
    assert [found.id for found in by_app.get_commit(sha).get_check_runs()] == [run.id]


def test_check_runs_are_for_the_app_only(double: GitHubDouble, by_token: RemoteRepository) -> None:
    sha = double.push(NAME, "topic", {"a.txt": "a\n"}, "ann")

    with pytest.raises(GithubException) as error:
        by_token.create_check_run("booty", sha)

    assert refused(error) == 403


def test_a_summary_that_is_too_long_is_refused_and_noted(double: GitHubDouble, by_app: RemoteRepository) -> None:
    sha = double.push(NAME, "topic", {"a.txt": "a\n"}, "ann")

    with pytest.raises(GithubException) as error:
        by_app.create_check_run("booty", sha, output={"title": "T", "summary": "x" * 65536})

    assert refused(error) == 422
    assert len(double.violations) == 1


def test_a_field_github_does_not_know_is_noted(double: GitHubDouble, by_token: RemoteRepository) -> None:
    double.push(NAME, "topic", {"a.txt": "a\n"}, "ann")
    pull = double.open_pull(NAME, "topic", "main", "A", "", "ann", draft=True)

    with pytest.raises(GithubException) as error:
        by_token.requester.requestJsonAndCheck("PATCH", f"/repos/{NAME}/pulls/{pull.number}", input={"draft": False})

    assert refused(error) == 400
    assert "there is no field draft" in double.violations[0]


def test_an_expired_installation_token_is_refused(double: GitHubDouble, by_app: RemoteRepository) -> None:
    double.expire_installation_tokens()

    with pytest.raises(GithubException) as error:
        by_app.get_branch("main")

    assert refused(error) == 401


def test_a_dropped_reply_leaves_the_work_done(double: GitHubDouble, by_token: RemoteRepository) -> None:
    double.open_issue(NAME, "Broken", "It is broken.", "ann")
    issue = by_token.get_issue(1)
    double.drop_reply("POST", "/comments$")

    with pytest.raises(OSError, match="Connection aborted"):
        issue.create_comment("Once.")

    assert [comment.body for comment in double.comments(NAME, 1)] == ["Once."]


def test_a_callback_sees_the_world_before_the_request_takes_effect(double: GitHubDouble, by_token: RemoteRepository) -> None:
    double.open_issue(NAME, "Broken", "It is broken.", "ann")
    seen: list[tuple[Any, int]] = []

    def look(request: RecordedRequest) -> None:
        seen.append((request.body, len(double.comments(NAME, 1))))

    double.on_request("POST", "/comments$", look)
    by_token.get_issue(1).create_comment("Hello.")

    assert seen == [({"body": "Hello."}, 0)]


def test_the_token_is_not_kept_with_the_request(double: GitHubDouble, by_token: RemoteRepository) -> None:
    assert by_token.full_name == NAME
    (request,) = double.requests
    assert request.scheme == "token"
    assert TOKEN not in repr(request)


def test_it_comes_back_at_the_same_address(double: GitHubDouble, by_token: RemoteRepository) -> None:
    double.stop()
    with pytest.raises(OSError, match=r"refused|aborted"):
        by_token.get_branch("main")

    double.start()

    assert by_token.get_branch("main").name == "main"


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


def connect(double: GitHubDouble, path: str, *headers: str) -> socket.socket:
    """Begin a POST by hand, so that it can be cut wherever a test wants."""
    host, _, port = double.web_url.removeprefix("http://").partition(":")
    basic = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
    authorization = f"Basic {basic}" if ".git/" in path else f"Bearer {TOKEN}"
    head = [f"POST {path} HTTP/1.1", f"Host: {host}:{port}", f"Authorization: {authorization}", *headers, "", ""]
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.sendall("\r\n".join(head).encode())
    return connection


COMMENTS = f"/api/v3/repos/{NAME}/issues/1/comments"
RECEIVE_PACK = f"/{NAME}.git/git-receive-pack"


@pytest.mark.parametrize(
    ("path", "header", "sent"),
    [
        (COMMENTS, "Content-Length: 17", b""),
        (COMMENTS, "Content-Length: 17", b'{"body": '),
        (RECEIVE_PACK, "Content-Length: 5000", b"0000"),
        (RECEIVE_PACK, "Transfer-Encoding: chunked", b""),
        (RECEIVE_PACK, "Transfer-Encoding: chunked", b"4\r\n0000\r\n1"),
        (RECEIVE_PACK, "Transfer-Encoding: chunked", b"4\r\n0000\r\n1000\r\n0123"),
        (RECEIVE_PACK, "Transfer-Encoding: chunked", b"4\r\n0000\r\n0\r\n"),
    ],
)
def test_a_request_cut_in_its_body_never_happened(double: GitHubDouble, path: str, header: str, sent: bytes) -> None:
    double.open_issue(NAME, "Broken", "It is broken.", "ann")

    with connect(double, path, header) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(1000)

    assert (answer, double.requests, double.violations, double.errors) == (b"", [], [], [])
    assert double.comments(NAME, 1) == []


@pytest.fixture
def is_through() -> Callable[[], bool]:
    """Tell whether every request of this test is through with its thread, which then has left its errors."""
    before = set(threading.enumerate())
    return lambda: not any("process_request_thread" in one.name for one in set(threading.enumerate()) - before)


def test_a_client_killed_before_its_answer_leaves_the_work_done_and_no_error(
    double: GitHubDouble, is_through: Callable[[], bool]
) -> None:
    double.open_issue(NAME, "Broken", "It is broken.", "ann")
    go_on = threading.Event()
    double.hang("POST", "/comments$", seconds_event=go_on)
    body = b'{"body": "Hello"}'

    with connect(double, COMMENTS, f"Content-Length: {len(body)}") as connection:
        connection.sendall(body)
        assert double.wait_for(lambda: [request.fault for request in double.requests] == ["hang"], 10)
        # Closed with a reset, as the kernel does for a process that was killed.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    go_on.set()

    assert double.wait_for(is_through, 10)
    assert double.errors == []
    assert [comment.body for comment in double.comments(NAME, 1)] == ["Hello"]


def test_a_push_whose_git_was_killed_still_moves_the_pull(
    double: GitHubDouble, tmp_path: Path, is_through: Callable[[], bool]
) -> None:
    double.push(NAME, "topic", {"a.txt": "a\n"}, "ann")
    double.open_pull(NAME, "topic", "main", "A", "", "ann")
    clone = tmp_path / "clone"
    run_git(tmp_path, "clone", "--branch", "topic", double.clone_url(NAME, TOKEN), str(clone))
    run_git(clone, "commit", "--allow-empty", "-m", "More")
    go_on = threading.Event()
    double.hang("POST", "/git-receive-pack$", seconds_event=go_on)

    with subprocess.Popen(["git", "-C", str(clone), "push", "--quiet", "origin", "topic"], start_new_session=True) as push:
        assert double.wait_for(lambda: double.requests[-1].fault == "hang", 10)
        os.killpg(push.pid, signal.SIGKILL)
    go_on.set()

    assert double.wait_for(is_through, 10)
    assert double.errors == []
    assert double.pull(NAME, 1).head_sha == run_git(clone, "rev-parse", "HEAD").stdout.strip()
    assert double.wait_for_deliveries()
    assert double.deliveries[-1].action == "synchronize"
