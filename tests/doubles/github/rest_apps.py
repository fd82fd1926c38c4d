"""Endpoints about the caller, the App and its installation."""

from __future__ import annotations

import time
import urllib.parse

from tests.doubles.github.payloads import Json
from tests.doubles.github.records import DeliveredHook
from tests.doubles.github.refusals import Refusal, not_found
from tests.doubles.github.rest import LEVELS, Answer, Call, answers
from tests.doubles.github.state import AppIdentity

APP = ("app",)
HOUR = 3600


@answers("users/get-authenticated", callers=("token",))
def get_user(call: Call) -> Answer:
    """GET /user."""
    return Answer(200, call.world.payloads.user(call.caller.user))


@answers("users/get-by-username")
def get_username(call: Call) -> Answer:
    """GET /users/{username}."""
    user = call.world.users.get(call.values["username"].lower())
    if user is None:
        raise not_found()
    return Answer(200, call.world.payloads.user(user))


@answers("rate-limit/get", callers=("token", "installation", "app"))
def get_rate_limit(_: Call) -> Answer:
    """GET /rate_limit."""
    one = {"limit": 5000, "used": 1, "remaining": 4999, "reset": int(time.time()) + HOUR}
    names = ("core", "search", "graphql", "integration_manifest", "source_import")
    return Answer(200, {"resources": dict.fromkeys(names, one), "rate": one})


@answers("apps/get-authenticated", callers=APP)
def get_app(call: Call) -> Answer:
    """GET /app."""
    return Answer(200, call.world.payloads.app() | {"installations_count": 1})


def _app(call: Call) -> AppIdentity:
    if call.world.app is None:
        raise not_found()
    return call.world.app


def _installation(call: Call) -> Json:
    app = _app(call)
    payloads = call.world.payloads
    base = f"{payloads.api}/app/installations/{app.installation_id}"
    installed = [r for r in call.world.repositories.values() if r.installed]
    account = installed[0].owner if installed else payloads.app_owner
    return {
        "id": app.installation_id,
        "client_id": payloads.app()["client_id"],
        "account": payloads.user(account),
        "repository_selection": "selected",
        "access_tokens_url": f"{base}/access_tokens",
        "repositories_url": f"{payloads.api}/installation/repositories",
        "html_url": f"{payloads.web}/settings/installations/{app.installation_id}",
        "app_id": app.app_id,
        "app_slug": app.slug,
        "target_id": account.id,
        "target_type": account.kind,
        "permissions": dict(app.permissions),
        "events": payloads.app()["events"],
        "created_at": "2024-01-01T00:00:00Z",
        "updated_at": "2024-01-01T00:00:00Z",
        "single_file_name": None,
        "has_multiple_single_files": False,
        "single_file_paths": [],
        "suspended_by": None,
        "suspended_at": None,
    }


@answers("apps/list-installations", callers=APP)
def list_installations(call: Call) -> Answer:
    """GET /app/installations."""
    return call.listed([_installation(call)], lambda found: found)


def _check_installation(call: Call) -> None:
    if call.number("installation_id") != _app(call).installation_id:
        raise not_found()


@answers("apps/get-installation", callers=APP)
def get_installation(call: Call) -> Answer:
    """GET /app/installations/{installation_id}."""
    _check_installation(call)
    return Answer(200, _installation(call))


@answers("apps/get-repo-installation", callers=APP)
def get_repository_installation(call: Call) -> Answer:
    """GET /repos/{owner}/{repo}/installation."""
    if not call.repository.installed:
        raise not_found()
    return Answer(200, _installation(call))


@answers("apps/create-installation-access-token", callers=APP)
def create_token(call: Call) -> Answer:
    """POST /app/installations/{installation_id}/access_tokens."""
    _check_installation(call)
    granted = dict(_app(call).permissions)
    wanted = call.body.get("permissions") or granted
    for scope, level in wanted.items():
        if LEVELS.index(level) > LEVELS.index(granted.get(scope, "none")):
            raise Refusal(422, "The permissions requested are not granted to this installation.")
    # Every installation may read what a repository is called.
    wanted = {"metadata": "read"} | wanted
    token, until = call.authenticator.new_installation_token(wanted, _chosen(call))
    found = {
        "token": token,
        "expires_at": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "permissions": wanted,
        "repository_selection": "selected",
    }
    return Answer(201, found)


def _chosen(call: Call) -> frozenset[str] | None:
    """Return the names of the repositories a token is asked for, or None for all."""
    names = {name.lower() for name in call.body.get("repositories", [])}
    ids = set(call.body.get("repository_ids", []))
    if not names and not ids:
        return None
    installed = [one for one in call.world.repositories.values() if one.installed]
    known = {one.name.lower(): one.id for one in installed}
    if names - set(known) or ids - set(known.values()):
        raise Refusal(
            422,
            "There is at least one repository that does not exist or is not accessible to the parent installation.",
        )
    return frozenset(name for name, number in known.items() if name in names or number in ids)


@answers("apps/list-repos-accessible-to-installation", callers=("installation",))
def list_repositories(call: Call) -> Answer:
    """GET /installation/repositories."""
    chosen = call.caller.repositories
    everything = [
        one for one in call.world.repositories.values() if one.installed and (chosen is None or one.name.lower() in chosen)
    ]
    found, headers = call.page(everything, call.world.payloads.repository)
    body = {
        "total_count": len(everything),
        "repository_selection": "selected",
        "repositories": found,
    }
    return Answer(200, body, headers)


def _status_words(hook: DeliveredHook) -> str:
    if hook.status is None:
        return hook.answer
    return "OK" if 200 <= hook.status < 300 else f"Invalid HTTP Response: {hook.status}"


def _delivery(call: Call, hook: DeliveredHook) -> Json:
    return {
        "id": hook.id,
        "guid": hook.delivery_id,
        "delivered_at": hook.delivered_at,
        "redelivery": hook.redelivery,
        "duration": round(hook.duration, 2),
        "status": _status_words(hook),
        "status_code": hook.status or 0,
        "event": hook.event,
        "action": hook.action,
        "installation_id": _app(call).installation_id,
        "repository_id": hook.repository_id,
        "throttled_at": None,
    }


@answers("apps/list-webhook-deliveries", callers=APP)
def list_deliveries(call: Call) -> Answer:
    """GET /app/hook/deliveries: newest first, paged by a cursor."""
    before = call.asked("cursor")
    wanted = call.asked("status")
    hooks = [
        hook
        for hook in reversed(call.deliverer.deliveries)
        if (before is None or hook.id < int(before.removeprefix("v1_")))
        and (wanted is None or (wanted == "success") == (200 <= (hook.status or 0) < 300))
    ]
    size = max(1, min(int(call.asked("per_page") or 30), 100))
    headers = {}
    if len(hooks) > size:
        asked = {"per_page": size, "cursor": f"v1_{hooks[size - 1].id}"} | ({"status": wanted} if wanted else {})
        headers["Link"] = f'<{call.url}?{urllib.parse.urlencode(asked)}>; rel="next"'
    return Answer(200, [_delivery(call, hook) for hook in hooks[:size]], headers)


@answers("apps/get-webhook-delivery", callers=APP)
def get_delivery(call: Call) -> Answer:
    """GET /app/hook/deliveries/{delivery_id}."""
    for hook in call.deliverer.deliveries:
        if hook.id == call.number("delivery_id"):
            answered: Json = {"headers": {}, "payload": None if hook.status is None else hook.answer}
            asked = {"headers": {"X-GitHub-Event": hook.event}, "payload": hook.payload}
            return Answer(200, _delivery(call, hook) | {"request": asked, "response": answered})
    raise not_found()


@answers("apps/redeliver-webhook-delivery", callers=APP)
def redeliver(call: Call) -> Answer:
    """POST /app/hook/deliveries/{delivery_id}/attempts."""
    if not call.deliverer.put_again(call.number("delivery_id")):
        raise not_found()
    return Answer(202, {})
