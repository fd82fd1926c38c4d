from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from booty_site.errors import BootyError, RunTimedOut, code_of
from booty_site.execution.environments import run_folders
from booty_site.execution.git import CommitGone, Git, Remote
from booty_site.execution.process import CommandResult
from booty_site.redaction import redact
from booty_site.runs.workbench import Workbench
from verifier.models import Verdict
from verifier.pipeline import Judgement, Question, judge

PASSED, FAILED, ERRORED = 0, 1, 2
SHOWN = ("fetch", "setup", "install", "test")


class Printer:
    """Writes commands to standard error as they go, so that standard output holds the verdict alone."""

    def began(self, name: str, argv: Sequence[str]) -> str:
        return name

    def printed(self, command: str, output: str) -> None:
        return None

    def ended(self, command: str, result: CommandResult) -> None:
        if result.ok and command not in SHOWN:
            return
        ending = f"exit code {result.exit_code}" if result.exit_code is not None else result.ending.replace("_", " ")
        sys.stderr.write(f"{command}: {ending} after {result.seconds:.1f} s\n")


class Command(BaseCommand):
    help = "Verify a commit of any repository, without GitHub. Exits 0 when it passed, 1 when it failed, 2 when Booty failed."

    # Nothing that the checks look at is used here: no database, no broker, no GitHub.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("repository", help="a folder with a git repository, or an address to clone")
        parser.add_argument("--ref", default="HEAD", help="branch, tag or commit to verify (default: HEAD)")
        parser.add_argument("--base", help="branch, tag or commit whose .booty.yml counts (default: that of --ref itself)")
        parser.add_argument("--json", action="store_true", help="print the verdict as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(ERRORED))
        try:
            with run_folders(settings.BOOTY_RUNS_DIR) as folders:
                bench = Workbench(folders, Printer(), seconds=settings.BOOTY_RUN_TIMEOUT)
                judgement = judge(self._question(options, bench), bench)
        except BootyError as error:
            self._print_error(error, as_json=options["json"])
            sys.exit(ERRORED)
        self._print(judgement, as_json=options["json"])
        sys.exit(FAILED if judgement.verdict is Verdict.FAILED else PASSED)

    def _question(self, options: dict[str, Any], bench: Workbench) -> Question:
        folder = Path(options["repository"])
        remote = Remote(str(folder.resolve()) if folder.is_dir() else options["repository"])
        git = Git(
            bench.folders.root / "names",
            lambda name, argv, cwd, env, stdin: bench.command(name, argv, cwd=cwd, env=env, stdin=stdin),
        )
        git.prepare()
        try:
            head = git.find(remote, options["ref"])
            base = git.find(remote, options["base"]) if options["base"] else head
        except CommitGone as error:
            raise CommandError(f"{options['repository']} has no branch, tag or commit {error}.", returncode=ERRORED) from None
        return Question(remote, head, base)

    def _print(self, judgement: Judgement, *, as_json: bool) -> None:
        if as_json:
            content = {
                "verdict": judgement.verdict.value,
                "code": judgement.code.value if judgement.code else "",
                "summary": redact(judgement.summary),
                "details": redact(judgement.details),
            }
            self.stdout.write(json.dumps(content, indent=2))
            return
        code = f" ({judgement.code.value})" if judgement.code else ""
        self.stdout.write(f"{judgement.verdict.label}{code}: {redact(judgement.summary)}")
        if judgement.details:
            self.stdout.write(f"\n{redact(judgement.details)}")

    def _print_error(self, error: BootyError, *, as_json: bool) -> None:
        if as_json:
            content = {"verdict": "", "code": code_of(error), "summary": redact(error.public), "details": redact(str(error))}
            self.stdout.write(json.dumps(content, indent=2))
        elif isinstance(error, RunTimedOut):
            self.stderr.write(f"errored ({error.code}): {error.public} Raise BOOTY_RUN_TIMEOUT if that is right.")
        else:
            self.stderr.write(f"errored ({error.code}): {error.public}\n{redact(str(error))}")
