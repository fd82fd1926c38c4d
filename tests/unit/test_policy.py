from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booty_site.execution.policy import STARTER, Policy, PolicyInvalid, parse_policy


def mistakes(text: str | bytes) -> list[str]:
    with pytest.raises(PolicyInvalid) as refused:
        parse_policy(text.encode() if isinstance(text, str) else text)
    return [str(mistake) for mistake in refused.value.mistakes]


def test_the_starter_file_is_valid() -> None:
    assert parse_policy(STARTER.encode()).test_command == "pytest"


def test_every_key_is_read() -> None:
    text = "schema_version: 1\nsetup_command: a\ninstall_command: b\ntest_command: c\ntimeout_seconds: 5\n"
    assert parse_policy(text.encode()) == Policy("c", "a", "b", 5)


def test_an_unknown_key_is_named_with_its_line() -> None:
    (mistake,) = mistakes("schema_version: 1\ntest_command: pytest\ntest_comand: pytest\n")
    assert mistake.startswith(".booty.yml:3: unknown key 'test_comand'.")


def test_all_mistakes_are_told_together_in_the_order_of_lines() -> None:
    found = mistakes("schema_version: 2\ntimeout_seconds: soon\nfoo: bar\n")
    assert [mistake.split(":")[1].strip() for mistake in found] == ["test_command is missing. Add it.", "1", "2", "3"]


@pytest.mark.parametrize("value", ["true", "-1", "0", "1.5", "1e3", "99999999", "[]", "'60'", "0x10"])
def test_a_timeout_that_is_no_sensible_number_is_refused(value: str) -> None:
    (mistake,) = mistakes(f"schema_version: 1\ntest_command: pytest\ntimeout_seconds: {value}\n")
    assert "must be a whole number of seconds from 1 to" in mistake


@pytest.mark.parametrize("value", ["", "[a, b]", "12", "null", "{a: b}"])
def test_a_command_that_is_no_text_is_refused(value: str) -> None:
    (mistake,) = mistakes(f"schema_version: 1\ntest_command: {value}\n")
    assert mistake == ".booty.yml:2: test_command must be a command line, as text."


def test_a_key_given_twice_is_refused() -> None:
    assert "given twice" in mistakes("schema_version: 1\ntest_command: a\ntest_command: b\n")[0]


def test_a_yaml_bomb_is_refused_at_its_first_alias() -> None:
    bomb = "a: &a [x, x]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]\n"
    assert "aliases (*name) are not allowed" in mistakes(bomb)[0]


def test_deep_nesting_is_refused_before_it_is_built() -> None:
    assert "nested too deeply" in mistakes("a: " + "[" * 5000)[0]


def test_a_file_of_many_megabytes_is_refused_by_its_size() -> None:
    assert "is 10,000,000 bytes long" in mistakes(b"#" * 10_000_000)[0]


@pytest.mark.parametrize(
    "text", ["", "- a\n- b\n", "just text", "!!python/object/apply:os.system [id]", "a: b: c", b"\xff\xfe\x00"]
)
def test_what_is_no_mapping_of_keys_is_refused(text: str | bytes) -> None:
    assert mistakes(text)


@given(st.binary(max_size=400) | st.text(max_size=400).map(lambda text: text.encode("utf-8", "replace")))
def test_any_file_gives_a_policy_or_a_refusal(content: bytes) -> None:
    try:
        assert parse_policy(content).test_command
    except PolicyInvalid as refused:
        told = refused.mistakes
    else:
        return
    assert told


@given(st.from_regex(r"[a-z_]{1,20}", fullmatch=True), st.integers(min_value=0, max_value=30))
def test_the_line_of_a_mistake_is_the_line_in_the_file(key: str, comments: int) -> None:
    text = "schema_version: 1\ntest_command: pytest\n" + "# a comment\n" * comments + f"x{key}: 1\n"
    assert mistakes(text)[0].startswith(f".booty.yml:{3 + comments}: ")


def test_the_file_that_the_readme_shows_is_valid() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    block = readme.split("```yaml\n")[1].split("```")[0]
    assert parse_policy(block.encode()) == Policy("pytest", "", "pip install -e . pytest", 600)
