"""Endpoints of check runs and commit statuses."""

from __future__ import annotations

from typing import Any

from tests.doubles.github import git
from tests.doubles.github.payloads import Json
from tests.doubles.github.refusals import Refusal, invalid
from tests.doubles.github.rest import Answer, Call, answers, refuses_shape
from tests.doubles.github.state import CheckRun, Repository, Status, now

CHECKS = ("checks",)
STATUSES = ("statuses",)
CONCLUSIONS = frozenset({"action_required", "cancelled", "failure", "neutral", "skipped", "success", "timed_out"})
TEXT_LIMIT = 65535
ANNOTATION_LIMIT = 50
DESCRIPTION_LIMIT = 140


@refuses_shape("checks/create")
@refuses_shape("checks/update")
def check_run_shape(body: Any) -> None:
    """Refuse what GitHub refuses of a check run, whatever else is wrong."""
    conclusion = body.get("conclusion")
    if conclusion is not None and conclusion not in CONCLUSIONS:
        raise Refusal(422, f"Invalid request.\n\n{conclusion} is not a member of {sorted(CONCLUSIONS)}.")
    done = body.get("status") == "completed" or "completed_at" in body
    if done and conclusion is None:
        raise Refusal(422, 'Invalid request.\n\n"conclusion" wasn\'t supplied.')
    output = body.get("output")
    if not isinstance(output, dict):
        return
    for field in ("summary", "text"):
        text = output.get(field)
        if isinstance(text, str) and len(text) > TEXT_LIMIT:
            words = f"Only {TEXT_LIMIT} characters are allowed; {len(text)} were supplied."
            raise Refusal(422, f"Invalid request.\n\n{words}")
    annotations = output.get("annotations")
    if isinstance(annotations, list) and len(annotations) > ANNOTATION_LIMIT:
        words = f"No more than {ANNOTATION_LIMIT} items are allowed; {len(annotations)} were supplied."
        raise Refusal(422, f"Invalid request.\n\n{words}")


def _apply(run: CheckRun, body: Json) -> None:
    """Put what a request says into the check run."""
    run.requests.append(body)
    run.name = body.get("name", run.name)
    run.external_id = body.get("external_id", run.external_id)
    run.details_url = body.get("details_url", run.details_url)
    run.started_at = body.get("started_at", run.started_at)
    if "status" in body:
        run.status = body["status"]
        if run.status != "completed":
            # Going back to work takes an earlier result away.
            run.conclusion = run.completed_at = None
    if "conclusion" in body:
        run.status = "completed"
        run.conclusion = body["conclusion"]
        run.completed_at = body.get("completed_at") or now()
    output = body.get("output") or {}
    run.title = output.get("title", run.title)
    run.summary = output.get("summary", run.summary)
    run.text = output.get("text", run.text)
    run.annotations.extend(output.get("annotations", []))
    run.actions = body.get("actions", run.actions)


@answers("checks/create", scopes=CHECKS, level="write", callers=("installation",))
def create_check_run(call: Call) -> Answer:
    """POST a check run; the App's right only."""
    run = call.world.add_check_run(call.repository, call.body["name"], call.body["head_sha"])
    _apply(run, call.body)
    made = call.world.payloads.check_run(call.repository, run)
    return Answer(201, made, {"Location": made["url"]})


@answers("checks/get", scopes=CHECKS)
def get_check_run(call: Call) -> Answer:
    """GET a check run."""
    run = call.world.check_run(call.repository, call.number("check_run_id"))
    return Answer(200, call.world.payloads.check_run(call.repository, run))


@answers("checks/list-annotations", scopes=CHECKS)
def list_annotations(call: Call) -> Answer:
    """GET the annotations of a check run."""
    run = call.world.check_run(call.repository, call.number("check_run_id"))
    empty = dict.fromkeys(("start_column", "end_column", "title", "raw_details"))
    return call.listed(run.annotations, lambda one: empty | one | {"blob_href": ""})


@answers("checks/update", scopes=CHECKS, level="write", callers=("installation",))
def update_check_run(call: Call) -> Answer:
    """PATCH a check run."""
    run = call.world.check_run(call.repository, call.number("check_run_id"))
    _apply(run, call.body)
    return Answer(200, call.world.payloads.check_run(call.repository, run))


def commit_of(call: Call) -> str:
    """Return the commit the path names by hash, branch or tag."""
    sha = git.sha_of(call.repository.path, call.values["ref"])
    if sha is None:
        raise Refusal(422, f"No commit found for SHA: {call.values['ref']}")
    return sha


@answers("checks/list-for-ref", scopes=CHECKS)
def list_check_runs(call: Call) -> Answer:
    """GET the check runs of a commit; by default the latest of each name."""
    sha, name, app = commit_of(call), call.asked("check_name"), call.asked("app_id")
    status = call.asked("status")
    runs = [
        run
        for run in call.repository.check_runs.values()
        if run.head_sha == sha and name in (None, run.name) and status in (None, run.status)
    ]
    if app is not None and (call.world.app is None or int(app) != call.world.app.app_id):
        runs = []
    if call.asked("filter", "latest") == "latest":
        runs = list({run.name: run for run in runs}.values())
    runs.sort(key=lambda run: run.id, reverse=True)
    found, headers = call.page(runs, lambda run: call.world.payloads.check_run(call.repository, run))
    return Answer(200, {"total_count": len(runs), "check_runs": found}, headers)


@refuses_shape("repos/create-commit-status")
def status_shape(body: Any) -> None:
    """Refuse a description that is too long."""
    text = body.get("description")
    if isinstance(text, str) and len(text) > DESCRIPTION_LIMIT:
        words = f"description is too long (maximum is {DESCRIPTION_LIMIT} characters)"
        raise invalid("Status", None, "custom", words)


@answers("repos/create-commit-status", scopes=STATUSES, level="write")
def create_status(call: Call) -> Answer:
    """POST a commit status."""
    status = call.world.add_status(call.repository, call.values["sha"], call.body, call.caller.user)
    made = call.world.payloads.status(call.repository, status)
    return Answer(201, made, {"Location": made["url"]})


def _statuses(repository: Repository, sha: str) -> list[Status]:
    return [status for status in reversed(repository.statuses) if status.sha == sha]


@answers("repos/list-commit-statuses-for-ref", scopes=STATUSES)
def list_statuses(call: Call) -> Answer:
    """GET all statuses of a commit, newest first."""
    found = _statuses(call.repository, commit_of(call))
    return call.listed(found, lambda one: call.world.payloads.status(call.repository, one))


@answers("repos/get-combined-status-for-ref", scopes=STATUSES)
def combined_status(call: Call) -> Answer:
    """GET the latest status of each context and what they come to."""
    sha = commit_of(call)
    latest: dict[str, Status] = {}
    for status in _statuses(call.repository, sha):
        latest.setdefault(status.context.lower(), status)
    states = {status.state for status in latest.values()}
    state = "success" if states == {"success"} else "pending"
    if states & {"error", "failure"}:
        state = "failure"
    payloads = call.world.payloads
    found, headers = call.page(latest.values(), lambda one: payloads.status(call.repository, one, creator=False))
    base = payloads.repository_api(call.repository)
    combined = {
        "state": state,
        "statuses": found,
        "sha": sha,
        "total_count": len(latest),
        "repository": payloads.repository(call.repository),
        "commit_url": f"{base}/commits/{sha}",
        "url": f"{base}/commits/{sha}/status",
    }
    return Answer(200, combined, headers)
