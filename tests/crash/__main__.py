"""`make crash-test`: breaks Booty at every point and in every way that is listed, and counts the breaches of its promise.

    python -m tests.crash [--short] [--only TEXT] [--database sqlite|postgres|both]
    python -m tests.crash --random SECONDS [--seed N]

Exits non-zero on a single breach, and when a tool that it needs is missing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime

from tests.crash.trial import Result, try_database
from tests.doubles.postgres import find_programs

DATABASES = ("sqlite", "postgres")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__.splitlines()[0])
    parser.add_argument("--database", choices=(*DATABASES, "both"), default="both")
    parser.add_argument("--short", action="store_true", help="the lane that CI runs")
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    parser.add_argument("--random", type=float, metavar="SECONDS", help="random faults for so long instead of the list")
    parser.add_argument("--seed", type=int, default=None, help="of the random faults; printed, so that it can be given again")
    options = parser.parse_args()
    if options.database != "sqlite" and find_programs() is None:
        sys.exit("PostgreSQL's server programs are not installed. On Debian: apt-get install postgresql")
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(10**6)
    if options.random:
        print(f"SEED={options.seed} SECONDS={options.random:g}", flush=True)
    chosen = DATABASES if options.database == "both" else (options.database,)
    # A process for each database: the doubles of one must not wait for the other's.
    with ProcessPoolExecutor(len(chosen), mp_context=multiprocessing.get_context("spawn")) as pool:
        tables = list(pool.map(try_database, chosen, [vars(options)] * len(chosen)))
    return report(dict(zip(chosen, tables, strict=True)))


def report(tables: dict[str, list[Result]]) -> int:
    """Print the table and the count of violations; returns the exit code."""
    print(f"\n{'fault':<58} " + " ".join(f"{database:>18}" for database in tables))
    names = list(dict.fromkeys(result.name for results in tables.values() for result in results))
    broken, tried = 0, 0
    for name in names:
        cells = []
        for results in tables.values():
            result = next((result for result in results if result.name == name), None)
            cells.append("–" if result is None else f"{len(result.violations)} in {result.seconds:.0f} s")
            tried += result is not None
            broken += bool(result and result.violations)
        print(f"{name:<58} " + " ".join(f"{cell:>18}" for cell in cells))
    print(f"\n{datetime.now(UTC):%Y-%m-%d}: the promise was broken in {broken} of {tried} faults.")
    for database, results in tables.items():
        slowest = max(results, key=lambda result: result.slowest_answer)
        print(f"{database}: the slowest 202 took {slowest.slowest_answer:.2f} s ({slowest.name}).")
    return 1 if broken or not tried else 0


if __name__ == "__main__":
    sys.exit(main())
