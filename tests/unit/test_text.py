"""What happens to text of strangers, and to secrets, before a person reads it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from booty_site.execution.process import CappedOutput
from booty_site.markdown import code, fenced, inert, plain, tail
from booty_site.redaction import MASK, redact, redact_tree
from tests.keys import make_private_key


@given(st.text())
def test_a_fenced_text_can_not_close_its_own_fence(text: str) -> None:
    block = fenced(text)
    fence = block.split("text\n", 1)[0]
    assert fence not in plain(text)
    assert block.endswith(f"\n{fence}")


@given(st.text())
def test_a_code_span_holds_no_longer_run_of_ticks_than_its_own(text: str) -> None:
    span = code(text)
    ticks = len(span) - len(span.lstrip("`"))
    inner = span[ticks : len(span) - ticks]
    assert all(len(run) != ticks for run in re.findall(r"`+", inner))
    assert "\n" not in span


def test_terminal_escapes_are_taken_out() -> None:
    assert plain("\x1b[31mred\x1b[0m \x1b]0;title\x07bell\x07 nul\x00") == "red bell nul"


def test_text_inside_a_sentence_notifies_nobody_and_makes_no_markup() -> None:
    text = inert("FAILED @acme/all <img src=x> ![x](y) \x1b[31m")
    assert "@acme" not in text
    assert "<img" not in text
    assert "![" not in text


def test_the_tail_is_the_last_lines() -> None:
    assert tail("\n".join(map(str, range(100))), lines=3) == "97\n98\n99"


def test_a_capped_output_keeps_both_ends_and_says_what_is_missing() -> None:
    output = CappedOutput(head=4, tail=4)
    for chunk in (b"ab", b"cdef", b"ghijkl"):
        output.add(chunk)
    assert output.text() == "abcd\n[... 4 bytes left out ...]\nijkl"


@given(st.lists(st.binary(max_size=30), max_size=20))
def test_a_capped_output_never_holds_more_than_its_two_ends(chunks: list[bytes]) -> None:
    output = CappedOutput(head=5, tail=7)
    for chunk in chunks:
        output.add(chunk)
    whole = b"".join(chunks)
    assert output.left_out == max(0, len(whole) - 12)
    if not output.left_out:
        assert output.text() == whole.decode("utf-8", "replace")


def shaped_like(prefix: str) -> str:
    """Return a text of a token's shape; made here, so that no scanner takes this file for a leak."""
    return prefix + "A1b2C3d4" * 5


@pytest.mark.parametrize("prefix", ["ghp_", "ghs_", "gho_", "github_pat_", "sk-", "Bearer ", "Authorization: Basic "])
def test_what_is_shaped_like_a_token_is_masked(prefix: str) -> None:
    assert "A1b2C3d4A1b2" not in redact(f"cloning with {shaped_like(prefix)} failed")


def test_a_password_in_a_url_is_masked() -> None:
    assert redact("fetch https://x-access-token:hunter22@example.org/a.git") == f"fetch https://{MASK}@example.org/a.git"


def test_a_private_key_is_masked_as_a_whole() -> None:
    key = make_private_key()
    text = redact(f"key:\n{key}\nend")
    assert not any(line in text for line in key.splitlines() if len(line) > 20)


def test_bootys_own_secrets_are_masked_wherever_they_stand(settings: Settings) -> None:
    assert settings.WEBHOOK_SECRET not in redact(f"x{settings.WEBHOOK_SECRET}y")


def test_paths_of_the_host_are_masked(settings: Settings) -> None:
    assert redact(f"open {settings.BASE_DIR}/jobs/pipeline.py") == "open <booty>/jobs/pipeline.py"


def test_values_of_sensitive_names_are_masked_in_nested_data() -> None:
    event = {"extra": {"prompt": "secret plan", "list": [{"Cookie": "a=b"}, {"fine": "text"}]}, "request": {"csrf_token": "x"}}
    assert redact_tree(event) == {
        "extra": {"prompt": MASK, "list": [{"Cookie": MASK}, {"fine": "text"}]},
        "request": {"csrf_token": MASK},
    }
