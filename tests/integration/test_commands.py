"""Management commands and the start of processes, as an operator meets them."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command

from tests.keys import make_private_key
from tests.repositories import CALCULATOR, commit, git, make_calculator, policy
from tests.stack import ROOT

QUICK = "python3 -c 'import test_calculator as t; t.test_add(); t.test_multiply()'"


def manage(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run manage.py in a process of its own, with nothing of this one's settings but where its state is."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.environ["BOOTY_STATE_DIR"],
        "BOOTY_STATE_DIR": os.environ["BOOTY_STATE_DIR"],
        **variables,
    }
    return subprocess.run(
        [sys.executable, "manage.py", *words], cwd=ROOT, env=environment, text=True, capture_output=True, check=False
    )


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The documented production settings, deploy/production.env, its secrets filled in."""
    key_file = tmp_path_factory.mktemp("production") / "app.pem"
    key_file.write_text(make_private_key())
    lines = (ROOT / "deploy" / "production.env").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    values = {name: value.replace("CHANGE-ME", secrets.token_hex(32)) for name, value in values.items()}
    return values | {"GITHUB_APP_PRIVATE_KEY_FILE": str(key_file), "BOOTY_STATE_DIR": str(key_file.parent)}


def test_no_migration_is_missing(db: None) -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def test_the_documented_production_settings_pass_the_deployment_checks(production: dict[str, str]) -> None:
    done = manage("check", "--deploy", "--fail-level", "WARNING", **production)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout + done.stderr


@pytest.mark.parametrize("command", [("rqworker", "--burst"), ("reconcile", "--once"), ("check",)])
def test_production_without_a_dsn_refuses_to_start_and_says_what_to_set(
    command: tuple[str, ...], production: dict[str, str]
) -> None:
    done = manage(*command, **production | {"SENTRY_DSN": ""})
    assert done.returncode != 0
    assert "SENTRY_DSN is not set in production" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_web_process_refuses_to_start_in_production_without_a_dsn(production: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import booty_site.wsgi"],
        cwd=ROOT,
        env=production | {"PATH": os.defpath, "SENTRY_DSN": "", "SENTRY_ENVIRONMENT": "prod"},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0
    assert "SENTRY_DSN is not set in production" in done.stderr
    assert "Traceback" not in done.stderr


def test_elsewhere_a_missing_dsn_is_one_line_in_the_log() -> None:
    done = manage("check")
    assert done.stderr.count("Sentry is off") == 1


def test_wrong_variables_are_told_together_without_a_traceback() -> None:
    done = manage(
        "check", SENTRY_SAMPLE_RATE="seven", DEBUG="perhaps", DATABASE_URL="oracle://u:hunter22@h/n", REDIS_URL="amqp://x"
    )
    assert done.returncode != 0
    for name in ("SENTRY_SAMPLE_RATE", "DEBUG", "DATABASE_URL", "REDIS_URL"):
        assert f"- {name}" in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter22" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SENTRY_DSN", "garbage"),
        ("REDIS_URL", "redis://host:port/0"),
        ("BOOTY_STATE_DIR", "/proc/nowhere"),
    ],
)
def test_a_value_that_only_breaks_later_is_told_at_start(name: str, value: str) -> None:
    done = manage("check", **{name: value})
    assert done.returncode != 0
    assert name in done.stderr
    assert "Traceback" not in done.stderr


def test_a_secret_that_was_not_changed_is_told(production: dict[str, str]) -> None:
    done = manage("check", **production | {"WEBHOOK_SECRET": "CHANGE-ME"})
    assert done.returncode != 0
    assert "A secret still holds CHANGE-ME" in done.stderr


def test_an_app_key_that_is_none_is_told_by_the_checks() -> None:
    done = manage("check", GITHUB_APP_ID="5", GITHUB_APP_PRIVATE_KEY="not a key")
    assert done.returncode != 0
    assert "GITHUB_APP_PRIVATE_KEY is not a private key" in done.stderr


def test_a_verification_that_can_not_begin_is_an_error_with_exit_code_two(repository: Path) -> None:
    assert manage("verify", str(repository), BOOTY_RUNS_DIR="/proc/nowhere").returncode == 2
    assert manage("verify", str(repository), SENTRY_SAMPLE_RATE="seven").returncode == 2


def test_an_app_id_without_its_key_is_told() -> None:
    assert "GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY belong together" in manage("check", GITHUB_APP_ID="5").stderr


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_calculator(tmp_path_factory.mktemp("local") / "calculator", policy(test=QUICK))
    git(folder, "tag", "good")
    commit(folder, {"calculator.py": CALCULATOR.replace("a * b", "a ** b")}, "Break it")
    git(folder, "tag", "red")
    commit(folder, {"calculator.py": CALCULATOR, ".booty.yml": "schema_version: 1\n"}, "Break the policy")
    git(folder, "tag", "broken")
    return folder


@pytest.mark.parametrize(
    ("ref", "status", "verdict", "code"),
    [
        ("good", 0, "passed", ""),
        ("red", 1, "failed", "tests_failed"),
        ("HEAD", 1, "failed", "config_invalid"),
        ("HEAD~4", 0, "neutral", ""),
    ],
)
def test_a_local_repository_is_verified_with_the_exit_code_of_its_verdict(
    repository: Path, ref: str, status: int, verdict: str, code: str
) -> None:
    done = manage("verify", str(repository), "--ref", ref, "--json")
    assert done.returncode == status, done.stderr
    told = json.loads(done.stdout)
    assert (told["verdict"], told["code"]) == (verdict, code)


def test_the_base_of_a_local_verification_decides_the_commands(repository: Path) -> None:
    done = manage("verify", str(repository), "--ref", "red", "--base", "good")
    assert done.returncode == 1
    assert done.stdout.startswith("failed (tests_failed): ")


@pytest.mark.parametrize("words", [("/nowhere",), ("REPOSITORY", "--ref", "nothing-of-that-name")])
def test_what_can_not_be_fetched_is_an_error_with_exit_code_two(repository: Path, words: tuple[str, ...]) -> None:
    done = manage("verify", *[str(repository) if word == "REPOSITORY" else word for word in words])
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_local_verification_leaves_nothing_behind(repository: Path, tmp_path: Path) -> None:
    manage("verify", str(repository), "--ref", "good", BOOTY_RUNS_DIR=str(tmp_path / "runs"))
    assert list((tmp_path / "runs").iterdir()) == []


def test_reconciling_once_says_what_it_did(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("reconcile", "--once", skip_checks=True)
    assert capsys.readouterr().out == "0 things put right.\n"
