"""`.booty.yml`, schema version 1: what a repository tells Booty about itself.

Read as untrusted text: bounded in size and depth, no aliases (they make a small file huge), plain
values only. Every mistake is reported with its line and what to do about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from booty_site.execution.git import FileRefused, Git

NAME = ".booty.yml"
MAX_BYTES = 64 * 1024
MAX_DEPTH = 8
SCHEMA_VERSION = 1
MAX_TIMEOUT_SECONDS = 6 * 3600

STARTER = """\
schema_version: 1
install_command: pip install -e . pytest
test_command: pytest
timeout_seconds: 600
"""


@dataclass(frozen=True)
class Mistake:
    """One thing wrong with a `.booty.yml`; `line` counts from 1, 0 means the file as a whole."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"{NAME}:{self.line}: {self.text}" if self.line else f"{NAME}: {self.text}"


class PolicyInvalid(Exception):
    """The file can't be used; `mistakes` lists everything that is wrong with it."""

    def __init__(self, *mistakes: Mistake) -> None:
        super().__init__("; ".join(map(str, mistakes)))
        self.mistakes = mistakes


@dataclass(frozen=True)
class Policy:
    """A valid `.booty.yml`. Commands are shell lines; `timeout_seconds` bounds each of them."""

    test_command: str
    setup_command: str = ""
    install_command: str = ""
    timeout_seconds: int = 600


def read_policy_file(git: Git, commit: str) -> bytes | None:
    """Return the bytes of a commit's file, None when there is none. Raises PolicyInvalid for a link, a folder or a giant."""
    try:
        return git.read_file(commit, NAME, limit=MAX_BYTES)
    except FileRefused as error:
        raise PolicyInvalid(Mistake(0, str(error))) from None


def parse_policy(content: bytes) -> Policy:
    """Return the policy of a file's bytes. Raises PolicyInvalid with every mistake found."""
    if len(content) > MAX_BYTES:
        raise PolicyInvalid(Mistake(0, f"is {len(content):,} bytes long; at most {MAX_BYTES:,} are read. Make it shorter."))
    entries = _entries(_compose(content))
    mistakes: list[Mistake] = []
    values: dict[str, Any] = {}
    for key, (line, value, key_line) in entries.items():
        if key not in READERS:
            mistakes.append(Mistake(key_line, f"unknown key {key!r}. Known keys: {', '.join(READERS)}."))
            continue
        try:
            values[key] = READERS[key](value)
        except ValueError as error:
            mistakes.append(Mistake(line, f"{key} {error}"))
    for key in ("schema_version", "test_command"):
        if key not in entries:
            mistakes.append(Mistake(0, f"{key} is missing. Add it."))
    if mistakes:
        raise PolicyInvalid(*sorted(mistakes, key=lambda mistake: mistake.line))
    del values["schema_version"]
    return Policy(**values)


def _version(value: object) -> int:
    if value != SCHEMA_VERSION or isinstance(value, bool):
        raise ValueError(f"must be {SCHEMA_VERSION}, the only version there is.")
    return SCHEMA_VERSION


def _command(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a command line, as text.")
    if "\0" in value or "\ufffd" in value:
        raise ValueError("holds a character that is not text.")
    return value.strip()


def _optional_command(value: object) -> str:
    """Return a command line; an empty one means that there is none."""
    return "" if value == "" else _command(value)


def _timeout(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_TIMEOUT_SECONDS:
        raise ValueError(f"must be a whole number of seconds from 1 to {MAX_TIMEOUT_SECONDS}.")
    return value


READERS = {
    "schema_version": _version,
    "test_command": _command,
    "setup_command": _optional_command,
    "install_command": _optional_command,
    "timeout_seconds": _timeout,
}


def _compose(content: bytes) -> yaml.Node | None:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise PolicyInvalid(Mistake(0, "is not UTF-8 text. Save it as UTF-8.")) from None
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            line = event.start_mark.line + 1 if event.start_mark else 0
            if isinstance(event, yaml.AliasEvent):
                raise PolicyInvalid(Mistake(line, "aliases (*name) are not allowed. Write the value out."))
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise PolicyInvalid(Mistake(line, "is nested too deeply. It is a flat list of keys."))
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "can't be read as YAML"
        raise PolicyInvalid(Mistake(mark.line + 1 if mark else 0, f"is not valid YAML: {problem}.")) from None


def _entries(root: yaml.Node | None) -> dict[str, tuple[int, object, int]]:
    """Return key -> (line of the value, value, line of the key)."""
    if not isinstance(root, yaml.MappingNode):
        line = root.start_mark.line + 1 if root else 0
        raise PolicyInvalid(Mistake(line, "must be a mapping of keys to values, such as `schema_version: 1`."))
    entries: dict[str, tuple[int, object, int]] = {}
    for key_node, value_node in root.value:
        line = key_node.start_mark.line + 1
        key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
        if key in entries:
            raise PolicyInvalid(Mistake(line, f"{key} is given twice. Keep one."))
        entries[key] = (value_node.start_mark.line + 1, _scalar(value_node), line)
    return entries


def _scalar(node: yaml.Node) -> object:
    """Return a plain value, or None for anything that is no plain value."""
    if not isinstance(node, yaml.ScalarNode):
        return None
    if node.tag == "tag:yaml.org,2002:str":
        return node.value
    if node.tag == "tag:yaml.org,2002:int" and node.value.isascii() and node.value.isdigit() and len(node.value) < 10:
        return int(node.value)
    return None
