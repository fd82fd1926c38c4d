"""`make demo` and `make serve`: Booty with everything around it, on real input."""

from __future__ import annotations

import argparse
import json
import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from tests.demo import report
from tests.demo.scenes import OWN_PULL, SCENES, prepare
from tests.stack import ROOT, Stack

SET_PASSWORD = """
import os
from django.contrib.auth.models import User
user, _ = User.objects.get_or_create(username=os.environ["BOOTY_ADMIN_NAME"], defaults={"is_staff": True, "is_superuser": True})
user.set_password(os.environ["BOOTY_ADMIN_PASSWORD"])
user.save()
"""
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
ENGINE = Path(__file__).with_name("engine.py")
# Read from the environment as in service; GitHub's are honoured by `make serve` only, since the demo plays GitHub itself.
HONOURED = (
    *("DATABASE_URL", "REDIS_URL", "SENTRY_DSN", "SENTRY_RELEASE", "SENTRY_ENVIRONMENT", "SENTRY_SAMPLE_RATE"),
    *("DEBUG", "ALLOWED_HOSTS", "TRIGGER_LABEL", "TARGET_BRANCH", "SECRET_KEY", "WEBHOOK_SECRET", "ALLOWED_REPOSITORIES"),
)
GITHUBS = ("GITHUB_API_URL", "GITHUB_TOKEN", "GITHUB_APP_ID", "GITHUB_APP_PRIVATE_KEY")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.demo")
    parser.add_argument("--serve", action="store_true", help="stay up until interrupted")
    serve = parser.parse_args().serve
    for number in STOPPING:
        signal.signal(number, _end)
    folder = Path(os.environ.get("BOOTY_STATE_DIR") or ROOT / ".state").resolve() / ("serve" if serve else "demo")
    _clear(folder, ("github", "source") if serve else (".",))
    port = _port(default=8000 if serve else None)
    own_github = serve and bool(_given(GITHUBS))
    with Stack(folder, port=port, overrides=_overrides(own_github=own_github)) as stack:
        _start(stack)
        if serve:
            _print_way_in(stack)
        good = own_github or play(stack, serve=serve)
        if serve:
            print("\nRunning. Press Ctrl-C to end it.", flush=True)
            threading.Event().wait()
    if not serve:
        print("\nEvery process was ended.")
    return 0 if good else 1


def _clear(folder: Path, names: tuple[str, ...]) -> None:
    """Remove what an earlier start left in a folder of ours; a folder that is not ours is left alone."""
    marker = folder / "made-by-booty"
    if folder.exists() and any(folder.iterdir()) and not marker.exists():
        sys.exit(f"{folder} holds something that Booty did not make. Choose another BOOTY_STATE_DIR, or remove it yourself.")
    for name in names:
        shutil.rmtree(folder / name, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    marker.touch()


def _port(default: int | None) -> int | None:
    """Return the port that PORT names, when it is free."""
    text = os.environ.get("PORT", "")
    if text and not (text.isdigit() and 0 < int(text) < 65536):
        sys.exit(f"PORT: {text!r} is not a port number.")
    port = int(text) if text else default
    if port is not None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                sys.exit(f"Port {port} is taken. Choose another one: PORT=8001 make serve")
    return port


def _given(names: tuple[str, ...]) -> dict[str, str]:
    """Return what the environment says of variables, those with _FILE included."""
    both = {file for name in names for file in (name, f"{name}_FILE")}
    return {name: value for name, value in os.environ.items() if name in both and value}


def _overrides(*, own_github: bool) -> dict[str, str]:
    given = _given(HONOURED) | {name: value for name, value in os.environ.items() if name.startswith("BOOTY_") and value}
    given.pop("BOOTY_STATE_DIR", None)
    if own_github:
        cleared = dict.fromkeys(GITHUBS, "")
        return cleared | given | _given(GITHUBS)
    given["ALLOWED_REPOSITORIES"] = f"acme/* {given.get('ALLOWED_REPOSITORIES', '')}"
    return {"BOOTY_ENGINE_COMMAND": json.dumps([sys.executable, str(ENGINE)])} | given


def _start(stack: Stack) -> None:
    begun = time.monotonic()
    stack.prepare()
    prepare(stack)
    stack.start_web()
    stack.start_worker()
    stack.start_reconciler()
    print(f"Broker, Sentry and GitHub doubles, web, worker and reconciler are up after {time.monotonic() - begun:.1f} s.")
    print("The coding engine is a script that makes one prepared change: it proves the way, not intelligence.\n", flush=True)


def play(stack: Stack, *, serve: bool) -> bool:
    """Play every scene, print the table, and tell whether all came out as they must."""
    # The rows are read here with Booty's own models; this process reports nothing to Sentry.
    os.environ.update(stack.environment | {"SENTRY_DSN": "", "DJANGO_SETTINGS_MODULE": "booty_site.settings"})
    import django

    logging.disable(logging.INFO)
    django.setup()
    from tests.demo.observed import observe

    begun = time.monotonic()
    sent = [(scene, scene.act(stack)) for scene in SCENES]
    lines = [observe(stack, scene.title, answer, scene.expected) for scene, answer in sent]
    own = OWN_PULL.act(stack)
    lines.insert(5, observe(stack, OWN_PULL.title, own, OWN_PULL.expected))
    print(report.table(lines))
    print(f"\n{len(lines)} deliveries in {time.monotonic() - begun:.1f} s.")
    violations = list(stack.github.violations)
    for violation in violations:
        print(report.paint(f"A request does not fit GitHub's API description: {violation}", "wrong"))
    if serve:
        print("\nIts page in the admin:")
        for line in lines:
            if line.page:
                print(f"  {line.title:<42} {line.page}")
    else:
        print("\nWhere to look: `make serve` plays the same and stays up; in its admin open Jobs, Verification runs")
        print("or Webhook deliveries, and a run for its timeline, its commands with their output, and its notices.")
    wrong = sum(bool(line.complaints) for line in lines) + len(violations)
    print("\nEvery line came out as it must." if not wrong else f"\n{wrong} lines did not come out as they must.")
    if wrong:
        print(stack.logs())
    return not wrong


def _print_way_in(stack: Stack) -> None:
    """Make the admin's user with a password of this start, and say where everything is."""
    name, password = "admin", secrets.token_urlsafe(12)
    stack.manage("shell", "--command", SET_PASSWORD, BOOTY_ADMIN_NAME=name, BOOTY_ADMIN_PASSWORD=password)
    print(f"Admin     {stack.url}/admin/  user {name}  password {password}")
    print(f"Webhook   {stack.url}/webhooks/github")
    github, dsn = stack.environment["GITHUB_API_URL"], stack.environment["SENTRY_DSN"]
    print(f"GitHub    {stack.github.web_url + ' (a double)' if github == stack.github.api_url else 'yours'}")
    print(f"Sentry    {stack.sentry.url + ' (a double)' if dsn == stack.sentry.dsn else 'yours'}")
    print(f"State     {stack.folder}\n", flush=True)


def _end(number: int, frame: FrameType | None) -> None:
    # Once is enough: another signal, such as make's own, must not break off the ending of the processes.
    for other in STOPPING:
        signal.signal(other, signal.SIG_IGN)
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
