from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from booty_site.env import Environment


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-the-file\n")
    assert Environment({"GITHUB_TOKEN_FILE": str(file)}).secret("GITHUB_TOKEN") == "from-the-file"


def test_a_secret_file_that_is_not_there_is_a_problem_that_does_not_repeat_secrets(tmp_path: Path) -> None:
    env = Environment({"GITHUB_TOKEN_FILE": str(tmp_path / "nothing")})
    assert env.secret("GITHUB_TOKEN") == ""
    with pytest.raises(ImproperlyConfigured, match="GITHUB_TOKEN_FILE can't be read: FileNotFoundError"):
        env.refuse_problems()


@pytest.mark.parametrize(
    ("read", "name", "value", "complaint"),
    [
        (lambda env: env.fraction("SENTRY_SAMPLE_RATE", 1.0), "SENTRY_SAMPLE_RATE", "2", "is not a number between 0 and 1"),
        (lambda env: env.fraction("SENTRY_SAMPLE_RATE", 1.0), "SENTRY_SAMPLE_RATE", "nan", "is not a number between 0 and 1"),
        (lambda env: env.flag("DEBUG"), "DEBUG", "perhaps", "is not true or false"),
        (lambda env: env.whole("GITHUB_APP_ID", 0), "GITHUB_APP_ID", "x", "is not a whole number of at least 0"),
        (lambda env: env.seconds("BOOTY_RUN_TIMEOUT", 1), "BOOTY_RUN_TIMEOUT", "inf", "is not a number of seconds"),
        (lambda env: env.web_address("GITHUB_API_URL", "https://a"), "GITHUB_API_URL", "ftp://x", "does not start with http"),
        (lambda env: env.choice("BOOTY_ENGINE", "command", ["command"]), "BOOTY_ENGINE", "magic", "is not one of command"),
        (lambda env: env.argv("BOOTY_ENGINE_COMMAND"), "BOOTY_ENGINE_COMMAND", "[1]", "is neither a JSON list"),
    ],
)
def test_a_wrong_value_is_told_by_name(read: object, name: str, value: str, complaint: str) -> None:
    env = Environment({name: value})
    assert callable(read)
    read(env)
    with pytest.raises(ImproperlyConfigured) as refused:
        env.refuse_problems()
    assert f"- {name}: {value!r} {complaint}" in str(refused.value)


def test_all_wrong_values_are_told_at_once() -> None:
    env = Environment({"DEBUG": "perhaps", "SENTRY_SAMPLE_RATE": "7"})
    env.flag("DEBUG")
    env.fraction("SENTRY_SAMPLE_RATE", 1.0)
    with pytest.raises(ImproperlyConfigured, match=r"DEBUG(.|\n)*SENTRY_SAMPLE_RATE"):
        env.refuse_problems()


def test_a_wrong_database_url_is_refused_without_showing_its_password() -> None:
    env = Environment({"DATABASE_URL": "oracle://user:hunter22@host/name"})
    env.database("DATABASE_URL", "sqlite:///x")
    with pytest.raises(ImproperlyConfigured) as refused:
        env.refuse_problems()
    assert "hunter22" not in str(refused.value)


@pytest.mark.parametrize("text", ['["my agent", "--fast"]', "'my agent' --fast"])
def test_a_command_is_a_json_list_or_shell_words(text: str) -> None:
    assert Environment({"C": text}).argv("C") == ("my agent", "--fast")


def test_a_list_is_separated_by_commas_or_spaces() -> None:
    assert Environment({"L": "acme/*, other/one  third/x"}).words("L") == ("acme/*", "other/one", "third/x")
