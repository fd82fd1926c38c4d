"""The REST API: who may call what, and the way to each answer."""

from __future__ import annotations

import importlib
import json
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.doubles.github.authentication import Caller
from tests.doubles.github.openapi import BASE_PATH, description
from tests.doubles.github.payloads import Json
from tests.doubles.github.refusals import Refusal, not_found
from tests.doubles.github.state import Repository

if TYPE_CHECKING:
    from tests.doubles.github.authentication import Authenticator
    from tests.doubles.github.hooks import Deliverer
    from tests.doubles.github.pulls import World

LEVELS = ("none", "read", "write", "admin")
LARGEST_PAGE = 100


@dataclass
class Answer:
    """What goes back: JSON, or raw bytes with their own type."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Call:
    """One REST request on its way to its endpoint."""

    world: World
    authenticator: Authenticator
    deliverer: Deliverer
    caller: Caller
    values: Mapping[str, str]
    query: Mapping[str, list[str]]
    body: Any
    url: str
    found: Repository | None = None

    @property
    def repository(self) -> Repository:
        """The repository of the path."""
        if self.found is None:
            raise not_found()
        return self.found

    def number(self, name: str) -> int:
        """A number of the path."""
        return int(self.values[name])

    def asked(self, name: str, default: str | None = None) -> str | None:
        """A query parameter."""
        return self.query.get(name, [default])[-1] if name in self.query else default

    def page(self, items: Iterable[Any], build: Callable[[Any], Json]) -> tuple[list[Json], Json]:
        """Return one page of a list and the ``Link`` header to the others."""
        everything = list(items)
        size = max(1, min(int(self.asked("per_page") or 30), LARGEST_PAGE))
        page = max(1, int(self.asked("page") or 1))
        last = max(1, -(-len(everything) // size))
        links = []
        for relation, target, wanted in (
            ("prev", page - 1, page > 1),
            ("next", page + 1, page < last),
            ("last", last, page < last),
            ("first", 1, page > 1),
        ):
            if wanted:
                links.append(f'<{self._at_page(target)}>; rel="{relation}"')
        chosen = everything[(page - 1) * size : page * size]
        return [build(item) for item in chosen], ({"Link": ", ".join(links)} if links else {})

    def _at_page(self, page: int) -> str:
        query = {name: values[-1] for name, values in self.query.items()} | {"page": str(page)}
        return f"{self.url}?{urllib.parse.urlencode(query)}"

    def listed(self, items: Iterable[Any], build: Callable[[Any], Json]) -> Answer:
        """Answer with one page of a bare list."""
        found, headers = self.page(items, build)
        return Answer(200, found, headers)


@dataclass(frozen=True)
class Endpoint:
    """An answer to one operation, and what the caller needs for it."""

    run: Callable[[Call], Answer]
    scopes: tuple[str, ...]
    level: str
    callers: tuple[str, ...]


ENDPOINTS: dict[str, Endpoint] = {}
# Refusals that depend on nothing but the body; see ``answer``.
SHAPES: dict[str, Callable[[Any], None]] = {}


def answers(
    operation: str,
    *,
    scopes: tuple[str, ...] = ("metadata",),
    level: str = "read",
    callers: tuple[str, ...] = ("token", "installation"),
) -> Callable[[Callable[[Call], Answer]], Callable[[Call], Answer]]:
    """Register a function as the answer to an operation of the description.

    ``scopes`` are the App permissions of which one must reach ``level``.
    """

    def register(run: Callable[[Call], Answer]) -> Callable[[Call], Answer]:
        ENDPOINTS[operation] = Endpoint(run, scopes, level, callers)
        return run

    return register


def refuses_shape(operation: str) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Register a check of the body that answers 422 before the description does 400."""

    def register(check: Callable[[Any], None]) -> Callable[[Any], None]:
        SHAPES[operation] = check
        return check

    return register


def _check_caller(endpoint: Endpoint, caller: Caller) -> None:
    if caller.kind in endpoint.callers:
        return
    if "app" in endpoint.callers or caller.kind == "app":
        raise Refusal(401, "A JSON web token could not be decoded")
    who = "personal access token" if caller.kind == "token" else "integration"
    raise Refusal(403, f"Resource not accessible by {who}")


def check_access(caller: Caller, repository: Repository, scopes: tuple[str, ...], level: str) -> None:
    """Refuse a caller that may not see the repository or not do this in it."""
    if caller.kind == "installation":
        granted = caller.permissions
        chosen = caller.repositories
        if not repository.installed or (chosen is not None and repository.name.lower() not in chosen):
            raise not_found()
        if max(LEVELS.index(granted.get(scope, "none")) for scope in scopes) < LEVELS.index(level):
            raise Refusal(403, "Resource not accessible by integration")
    elif caller.kind == "token":
        permission = repository.permissions.get(caller.user.login, "none")
        if permission == "none":
            raise not_found()
        # Anyone who can read may comment and open pull requests.
        enough = "read" if set(scopes) & {"issues", "pull_requests"} else level
        if LEVELS.index(permission) < LEVELS.index(enough):
            raise Refusal(403, "Resource not accessible by personal access token")


@dataclass
class RestApi:
    """Dispatches REST requests."""

    world: World
    authenticator: Authenticator
    deliverer: Deliverer
    violations: list[str]

    def __post_init__(self) -> None:
        # The endpoints register themselves when their modules are loaded.
        for name in ("apps", "issues", "pulls", "checks", "commits"):
            importlib.import_module(f"tests.doubles.github.rest_{name}")

    def answer(
        self,
        method: str,
        path: str,
        query: dict[str, list[str]],
        headers: Mapping[str, str],
        body: bytes,
    ) -> Answer:
        """Answer one request; ``path`` begins below the base path."""
        try:
            return self._answer(method, path, query, headers, body)
        except Refusal as refusal:
            return Answer(refusal.status, refusal.body)

    def _answer(
        self,
        method: str,
        path: str,
        query: dict[str, list[str]],
        headers: Mapping[str, str],
        body: bytes,
    ) -> Answer:
        found = description().find(method, path)
        if found is None:
            raise self._violated(method, path, "the double knows no such operation")
        operation, values = found
        kind = headers.get("content-type", "")
        wrong = description().violation(operation, values, query, body, kind)
        broken = self._violated(method, path, wrong) if wrong is not None else None
        caller = self.authenticator.by_header(headers.get("authorization"))
        endpoint = ENDPOINTS[operation.operation_id]
        _check_caller(endpoint, caller)
        with self.world.lock:
            repository = self._repository(values, endpoint, caller)
            parsed = _parsed(body)
            if operation.operation_id in SHAPES and isinstance(parsed, dict):
                # Some mistakes the description knows too, but GitHub's answer
                # to them is 422: the client sees that, the double notes both.
                SHAPES[operation.operation_id](parsed)
            if broken is not None:
                raise broken
            call = Call(
                world=self.world,
                authenticator=self.authenticator,
                deliverer=self.deliverer,
                caller=caller,
                values=values,
                query=query,
                body=parsed,
                url=self.world.payloads.api + path,
                found=repository,
            )
            return endpoint.run(call)

    def _violated(self, method: str, path: str, wrong: str) -> Refusal:
        sentence = f"{method} {BASE_PATH}{path}: {wrong}"
        self.violations.append(sentence)
        return Refusal(400, f"Not as GitHub describes it. {sentence}")

    def _repository(self, values: Mapping[str, str], endpoint: Endpoint, caller: Caller) -> Repository | None:
        if "repo" not in values:
            return None
        repository = self.world.repository(f"{values['owner']}/{values['repo']}")
        check_access(caller, repository, endpoint.scopes, endpoint.level)
        return repository


def _parsed(body: bytes) -> Any:
    if not body:
        return {}
    try:
        return json.loads(body)
    except ValueError:
        return None
