"""Cut GitHub's published descriptions down to what the double needs.

Run it from the root of the project, with the ``npm`` program at hand:

    python -m tests.doubles.github.cut_specification

It fetches the two npm packages named in ``PACKAGES`` with ``npm pack`` into a
temporary folder and writes ``openapi.json`` and ``schema.graphql`` beside this
file. Both sources are under the MIT licence; their notices are kept inside the
written files.

What is cut: every operation the double does not answer, all answers (only
requests are validated), descriptions and examples. References are put in place
of the components they name, so the result has no components at all.
"""

from __future__ import annotations

import json
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    build_schema,
)

HERE = Path(__file__).resolve().parent
PACKAGES = {
    "openapi": "@octokit/openapi@23.0.2",
    "graphql": "@octokit/graphql-schema@15.26.1",
}

REPOSITORY = "/repos/{owner}/{repo}"
OPERATIONS: dict[str, tuple[str, ...]] = {
    "/user": ("get",),
    "/users/{username}": ("get",),
    "/rate_limit": ("get",),
    "/app": ("get",),
    "/app/installations": ("get",),
    "/app/installations/{installation_id}": ("get",),
    "/app/installations/{installation_id}/access_tokens": ("post",),
    "/app/hook/deliveries": ("get",),
    "/app/hook/deliveries/{delivery_id}": ("get",),
    "/app/hook/deliveries/{delivery_id}/attempts": ("post",),
    "/installation/repositories": ("get",),
    REPOSITORY: ("get",),
    f"{REPOSITORY}/installation": ("get",),
    f"{REPOSITORY}/issues": ("get",),
    f"{REPOSITORY}/issues/{{issue_number}}": ("get",),
    f"{REPOSITORY}/issues/{{issue_number}}/comments": ("get", "post"),
    f"{REPOSITORY}/issues/comments/{{comment_id}}": ("get", "patch", "delete"),
    f"{REPOSITORY}/issues/{{issue_number}}/events": ("get",),
    f"{REPOSITORY}/issues/{{issue_number}}/labels": ("get", "post"),
    f"{REPOSITORY}/issues/{{issue_number}}/labels/{{name}}": ("delete",),
    f"{REPOSITORY}/pulls": ("get", "post"),
    f"{REPOSITORY}/pulls/{{pull_number}}": ("get", "patch"),
    f"{REPOSITORY}/pulls/{{pull_number}}/files": ("get",),
    f"{REPOSITORY}/commits/{{ref}}": ("get",),
    f"{REPOSITORY}/commits/{{ref}}/check-runs": ("get",),
    f"{REPOSITORY}/commits/{{ref}}/status": ("get",),
    f"{REPOSITORY}/commits/{{ref}}/statuses": ("get",),
    f"{REPOSITORY}/check-runs": ("post",),
    f"{REPOSITORY}/check-runs/{{check_run_id}}": ("get", "patch"),
    f"{REPOSITORY}/check-runs/{{check_run_id}}/annotations": ("get",),
    f"{REPOSITORY}/statuses/{{sha}}": ("post",),
    f"{REPOSITORY}/collaborators/{{username}}/permission": ("get",),
    f"{REPOSITORY}/git/ref/{{ref}}": ("get",),
    f"{REPOSITORY}/git/refs/{{ref}}": ("delete",),
    f"{REPOSITORY}/branches/{{branch}}": ("get",),
}

TYPES: dict[str, tuple[str, ...]] = {
    "Query": ("id", "node", "repository", "viewer"),
    "Mutation": ("convertPullRequestToDraft", "markPullRequestReadyForReview"),
    "ConvertPullRequestToDraftInput": (),
    "ConvertPullRequestToDraftPayload": ("clientMutationId", "pullRequest"),
    "MarkPullRequestReadyForReviewInput": (),
    "MarkPullRequestReadyForReviewPayload": ("clientMutationId", "pullRequest"),
    "Node": ("id",),
    "PullRequest": (
        "baseRefName",
        "body",
        "closed",
        "databaseId",
        "headRefName",
        "headRefOid",
        "id",
        "isDraft",
        "locked",
        "merged",
        "number",
        "state",
        "title",
        "url",
    ),
    "PullRequestState": (),
    "Repository": ("id", "name", "nameWithOwner", "pullRequest", "url"),
    "User": ("id", "login"),
    "GitObjectID": (),
    "URI": (),
}

SPOKEN = {"description", "summary", "examples", "example", "externalDocs", "tags"}


def _resolved(node: Any, document: dict[str, Any]) -> Any:
    """Put what a reference names in its place, and drop text for readers."""
    if isinstance(node, list):
        return [_resolved(item, document) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step.replace("~1", "/").replace("~0", "~")]
        return _resolved(target, document)
    kept: dict[str, Any] = {}
    for key, value in node.items():
        # The names below "properties" are the client's words, not keywords: a
        # property may well be called "description".
        if key == "properties" and isinstance(value, dict):
            kept[key] = {name: _resolved(schema, document) for name, schema in value.items()}
        elif key in SPOKEN or (key.startswith("x-") and key != "x-multi-segment"):
            continue
        else:
            kept[key] = _resolved(value, document)
    return kept


def _with_bare_label_lists(operation: dict[str, Any]) -> None:
    """Let labels come as a bare list too.

    GitHub's prose says so ("You can also pass an array of labels directly") and
    PyGithub does it, but this version of the description only has the object.
    """
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    labels = schema["oneOf"][0]["properties"]["labels"]
    schema["oneOf"].append(dict(labels))


def cut_openapi(document: dict[str, Any], notice: str) -> dict[str, Any]:
    """Return the small description of the operations the double answers."""
    paths: dict[str, Any] = {}
    for path, methods in OPERATIONS.items():
        paths[path] = {}
        for method in methods:
            source = document["paths"][path][method]
            operation: dict[str, Any] = {"operationId": source["operationId"]}
            if "parameters" in source:
                operation["parameters"] = _resolved(source["parameters"], document)
            if "requestBody" in source:
                operation["requestBody"] = _resolved(source["requestBody"], document)
            operation["responses"] = {"default": {"description": "Left out."}}
            paths[path][method] = operation
    _with_bare_label_lists(paths[f"{REPOSITORY}/issues/{{issue_number}}/labels"]["post"])
    return {
        "openapi": document["openapi"],
        "info": {
            "title": "The part of GitHub's REST API that the double answers",
            "version": document["info"]["version"],
            "license": document["info"]["license"],
            "x-source": PACKAGES["openapi"],
            "x-licence-notice": notice,
        },
        "servers": [{"url": "/api/v3"}],
        "paths": paths,
    }


def _argument_words(arguments: dict[str, GraphQLArgument]) -> str:
    """Write the arguments of a field, or nothing when it takes none."""
    words = ", ".join(f"{name}: {argument.type}" for name, argument in arguments.items())
    return f"({words})" if words else ""


def _type_words(kind: GraphQLNamedType, wanted: tuple[str, ...]) -> str:
    """Write one type in the schema language, with the wanted fields only."""
    if isinstance(kind, GraphQLScalarType):
        return f"scalar {kind.name}"
    if isinstance(kind, GraphQLEnumType):
        lines = [f"  {value}" for value in kind.values]
        return "\n".join([f"enum {kind.name} {{", *lines, "}"])
    if isinstance(kind, GraphQLInputObjectType):
        lines = [f"  {name}: {field.type}" for name, field in kind.fields.items()]
        return "\n".join([f"input {kind.name} {{", *lines, "}"])
    if not isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
        raise SystemExit(f"Do not know how to write {kind.name}")
    missing = set(wanted) - set(kind.fields)
    if missing:
        raise SystemExit(f"{kind.name} has no {', '.join(sorted(missing))}")
    word = "type" if isinstance(kind, GraphQLObjectType) else "interface"
    bases = " & ".join(base.name for base in kind.interfaces if base.name in TYPES)
    implements = f" implements {bases}" if bases else ""
    lines = [f"  {name}{_argument_words(kind.fields[name].args)}: {kind.fields[name].type}" for name in wanted]
    return "\n".join([f"{word} {kind.name}{implements} {{", *lines, "}"])


def cut_graphql(source: str, notice: str) -> str:
    """Return the small schema: a few types, and of those a few fields."""
    schema = build_schema(source, assume_valid=True)
    blocks = []
    for name, wanted in TYPES.items():
        kind = schema.get_type(name)
        if kind is None:
            raise SystemExit(f"The schema has no {name}")
        blocks.append(_type_words(kind, wanted))
    head = [f"Cut from {PACKAGES['graphql']} by cut_specification.py.", "", *notice.splitlines()]
    comment = "\n".join(f"# {line}".rstrip() for line in head)
    return comment + "\n\n" + "\n\n".join(blocks) + "\n"


def _fetch(package: str, folder: Path) -> Path:
    """Fetch one npm package and return its unpacked folder."""
    folder.mkdir()
    packed = subprocess.run(
        ["npm", "pack", "--silent", package],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    archive = folder / packed.stdout.strip().splitlines()[-1]
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    return folder / "package"


def main() -> None:
    """Write both files anew."""
    with tempfile.TemporaryDirectory() as temporary:
        openapi = _fetch(PACKAGES["openapi"], Path(temporary, "openapi"))
        document = json.loads((openapi / "generated" / "api.github.com.json").read_text())
        cut = cut_openapi(document, (openapi / "LICENSE").read_text().strip())
        (HERE / "openapi.json").write_text(json.dumps(cut, indent=1) + "\n")
        graphql = _fetch(PACKAGES["graphql"], Path(temporary, "graphql"))
        schema = cut_graphql((graphql / "schema.graphql").read_text(), (graphql / "LICENSE.md").read_text().strip())
        (HERE / "schema.graphql").write_text(schema)


if __name__ == "__main__":
    main()
