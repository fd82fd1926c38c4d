"""Check incoming REST requests against GitHub's own description."""

from __future__ import annotations

import functools
import json
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from werkzeug.datastructures import Headers, ImmutableMultiDict

BASE_PATH = "/api/v3"
DESCRIPTION = Path(__file__).with_name("openapi.json")

# PyGithub's lists ask for these by themselves, and GitHub answers them anywhere.
PAGING = frozenset({"per_page", "page"})
# GitHub still answers the old address of a commit's statuses, which its
# description no longer has: PyGithub asks there.
OLD_STATUSES = re.compile(r"(/repos/[^/]+/[^/]+)/statuses/([^/]+)")


@dataclass(frozen=True)
class Operation:
    """One operation of the description, found by method and path."""

    operation_id: str
    method: str
    template: str
    pattern: re.Pattern[str]
    multi_segment: frozenset[str]
    query_names: frozenset[str]
    body_schema: Mapping[str, Any] | None

    def literal_segments(self) -> int:
        """Count the fixed parts: the template with most of them wins."""
        return sum(not part.startswith("{") for part in self.template.split("/"))


@dataclass
class _Request:
    """What openapi-core wants to see of a request."""

    host_url: str
    path: str
    method: str
    body: bytes | None
    content_type: str
    parameters: RequestParameters = field(default_factory=RequestParameters)


def _operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    for template, methods in document["paths"].items():
        for method, described in methods.items():
            parameters = described.get("parameters", [])
            several = frozenset(p["name"] for p in parameters if p.get("x-multi-segment"))
            pattern = ""
            for part in re.split(r"(\{\w+\})", template):
                if part.startswith("{"):
                    name = part[1:-1]
                    pattern += f"(?P<{name}>{'.+' if name in several else '[^/]+'})"
                else:
                    pattern += re.escape(part)
            content = described.get("requestBody", {}).get("content", {})
            yield Operation(
                operation_id=described["operationId"],
                method=method.upper(),
                template=template,
                pattern=re.compile(pattern),
                multi_segment=several,
                query_names=frozenset(p["name"] for p in parameters if p["in"] == "query"),
                body_schema=content.get("application/json", {}).get("schema"),
            )


class Description:
    """The cut description, loaded once, and the check against it."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.operations = sorted(_operations(document), key=Operation.literal_segments, reverse=True)
        # The document was made by a script of ours and is not checked again at
        # every start: that would take longer than all the rest.
        self._checker = OpenAPI.from_dict(document, config=Config(spec_validator_cls=None))

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """Return the operation and its path values; ``path`` has no base path."""
        if method == "GET":
            path = OLD_STATUSES.sub(r"\1/commits/\2/statuses", path)
        for operation in self.operations:
            if operation.method != method:
                continue
            match = operation.pattern.fullmatch(path)
            if match:
                values = {k: urllib.parse.unquote(v) for k, v in match.groupdict().items()}
                return operation, values
        return None

    def violation(
        self,
        operation: Operation,
        values: Mapping[str, str],
        query: Mapping[str, list[str]],
        body: bytes,
        content_type: str,
    ) -> str | None:
        """Return a sentence about what is wrong with the request, or None."""
        stray = set(query) - operation.query_names - PAGING
        if stray:
            return f"there is no query parameter {', '.join(sorted(stray))}"
        # openapi-core takes a path value as one segment only, so a branch with a
        # slash goes in quoted.
        quoted = {name: urllib.parse.quote(value, safe="") for name, value in values.items()}
        request = _Request(
            host_url="http://double",
            path=BASE_PATH + operation.template.format(**quoted),
            method=operation.method.lower(),
            body=body or None,
            # GitHub reads JSON whatever the header says, and PyGithub sends it
            # with the right one; a client of neither kind shall learn of it.
            content_type=content_type or ("application/json" if body else ""),
            parameters=RequestParameters(
                query=ImmutableMultiDict([(k, v) for k, vs in query.items() for v in vs]),
                header=Headers(),
                cookie=ImmutableMultiDict(),
            ),
        )
        try:
            self._checker.validate_request(request)
        except OpenAPIError as error:
            return _sentence(error)
        return _stray_fields(operation, body)


def _stray_fields(operation: Operation, body: bytes) -> str | None:
    """Name the top-level fields GitHub does not know.

    GitHub ignores them in silence (``draft`` in an update of a pull request is
    the well-known trap), so nobody but the double would tell.
    """
    schema = operation.body_schema
    if not body or schema is None or schema.get("type") != "object":
        return None
    stray = set(json.loads(body)) - set(schema.get("properties", {}))
    return f"there is no field {', '.join(sorted(stray))} in the body" if stray else None


def _sentence(error: BaseException) -> str:
    """Say what openapi-core found, by its innermost reasons."""
    words: list[str] = []
    current: BaseException | None = error
    while current is not None:
        found = getattr(current, "schema_errors", None)
        if found:
            # The outer sentences repeat the whole body: these are all there is to say.
            return "; ".join(f"{'.'.join(map(str, one.absolute_path)) or 'the whole'}: {one.message[:300]}" for one in found)
        words.append(str(current)[:300])
        current = current.__cause__
    return "; ".join(dict.fromkeys(words))


@functools.cache
def description() -> Description:
    """Load the description on first use; every double of a process shares it."""
    return Description(json.loads(DESCRIPTION.read_text()))
