"""The GraphQL API: drafts are only made ready here."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphql import (
    GraphQLError,
    GraphQLSchema,
    build_schema,
    graphql_sync,
    parse,
    validate,
)

from tests.doubles.github.authentication import Authenticator, Caller
from tests.doubles.github.pulls import World
from tests.doubles.github.refusals import Refusal
from tests.doubles.github.rest import Answer, check_access
from tests.doubles.github.state import Pull, Repository, User

SCHEMA = Path(__file__).with_name("schema.graphql")
PULLS = ("pull_requests",)
# What graphql-core hands to every field; none of it is needed.
Info = Any


@functools.cache
def schema() -> GraphQLSchema:
    """Load the cut schema on first use."""
    return build_schema(SCHEMA.read_text())


def _typed(kind: str, message: str) -> GraphQLError:
    """An error with the ``type`` GitHub puts beside the message."""
    return GraphQLError(message, extensions={"type": kind})


@dataclass
class GraphQLApi:
    """Answers GraphQL requests."""

    world: World
    authenticator: Authenticator
    violations: list[str]

    def answer(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request; errors come with status 200, as GitHub has it."""
        try:
            caller = self.authenticator.by_header(headers.get("authorization"))
        except Refusal as refusal:
            return Answer(refusal.status, refusal.body)
        try:
            asked = json.loads(body)
            query, variables = asked["query"], asked.get("variables")
            problems = validate(schema(), parse(query))
        except (ValueError, KeyError, TypeError) as error:
            self.violations.append(f"GraphQL: the body is not a query: {error}")
            return Answer(400, {"message": "Problems parsing JSON"})
        except GraphQLError as error:
            problems = [error]
        if problems:
            self.violations.extend(f"GraphQL: {problem.message}" for problem in problems)
            return Answer(200, {"errors": [problem.formatted for problem in problems]})
        with self.world.lock:
            done = graphql_sync(schema(), query, _Root(self.world, caller), variable_values=variables)
        found: dict[str, Any] = {"data": done.data}
        if done.errors:
            found["errors"] = [self._error(error) for error in done.errors]
        return Answer(200, found)

    def _error(self, error: GraphQLError) -> dict[str, Any]:
        shown: dict[str, Any] = dict(error.formatted)
        kind = shown.pop("extensions", {}).get("type")
        if kind is None and error.path is None:
            # Only a wrong variable fails before any field is looked at.
            self.violations.append(f"GraphQL: {error.message}")
        return ({"type": kind} if kind else {}) | shown


@dataclass
class _Root:
    """The fields of Query and Mutation."""

    world: World
    caller: Caller

    id = "Q_root"

    def viewer(self, _: Info) -> dict[str, Any]:
        return _user(self.caller.user)

    def node(self, _: Info, *, id: str) -> dict[str, Any]:
        repository, pull = self._pull(id, "read")
        return _pull(self.world, repository, pull)

    def repository(self, _: Info, **names: Any) -> dict[str, Any]:
        full_name = f"{names['owner']}/{names['name']}"
        try:
            found = self.world.repository(full_name)
            check_access(self.caller, found, ("metadata",), "read")
        except Refusal:
            words = f"Could not resolve to a Repository with the name '{full_name}'."
            raise _typed("NOT_FOUND", words) from None
        return _repository(self.world, found)

    def markPullRequestReadyForReview(self, _: Info, *, input: dict[str, Any]) -> dict[str, Any]:
        return self._set_draft(input, draft=False)

    def convertPullRequestToDraft(self, _: Info, *, input: dict[str, Any]) -> dict[str, Any]:
        return self._set_draft(input, draft=True)

    def _set_draft(self, given: dict[str, Any], *, draft: bool) -> dict[str, Any]:
        repository, pull = self._pull(given["pullRequestId"], "write")
        try:
            self.world.set_draft(repository, pull, draft, self.caller.user)
        except Refusal as refusal:
            raise _typed("UNPROCESSABLE", str(refusal)) from None
        return {
            "clientMutationId": given.get("clientMutationId"),
            "pullRequest": _pull(self.world, repository, pull),
        }

    def _pull(self, node_id: str, level: str) -> tuple[Repository, Pull]:
        unknown = f"Could not resolve to a node with the global id of '{node_id}'"
        found = self.world.pull_by_node(node_id)
        if found is None:
            raise _typed("NOT_FOUND", unknown)
        try:
            check_access(self.caller, found[0], PULLS, level)
        except Refusal as refusal:
            if refusal.status == 404:
                raise _typed("NOT_FOUND", unknown) from None
            raise _typed("FORBIDDEN", str(refusal)) from None
        return found


def _user(user: User) -> dict[str, Any]:
    return {"__typename": "User", "id": f"U_kgDO{user.id:08x}", "login": user.login}


def _repository(world: World, repository: Repository) -> dict[str, Any]:
    def pull_request(_: Info, *, number: int) -> dict[str, Any]:
        pull = repository.pulls.get(number)
        if pull is None:
            words = f"Could not resolve to a PullRequest with the number of {number}."
            raise _typed("NOT_FOUND", words)
        return _pull(world, repository, pull)

    return {
        "__typename": "Repository",
        "id": f"R_kgDO{repository.id:08x}",
        "name": repository.name,
        "nameWithOwner": repository.full_name,
        "url": f"{world.payloads.web}/{repository.full_name}",
        "pullRequest": pull_request,
    }


def _pull(world: World, repository: Repository, pull: Pull) -> dict[str, Any]:
    return {
        "__typename": "PullRequest",
        "id": pull.node_id,
        "databaseId": pull.id,
        "number": pull.number,
        "isDraft": pull.draft,
        "state": "MERGED" if pull.merged_at else pull.state.upper(),
        "merged": pull.merged_at is not None,
        "closed": pull.state == "closed",
        "locked": pull.issue.locked,
        "title": pull.title,
        "body": pull.body or "",
        "headRefName": pull.head_ref,
        "headRefOid": pull.head_sha,
        "baseRefName": pull.base_ref,
        "url": world.payloads.issue_html(repository, pull.issue),
    }
