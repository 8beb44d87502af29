"""Measures the ratio table: `python -m tests.bench [--quick] [--database URL | postgresql | sqlite]`.

Prints what it does while it does it, then the table, and last one JSON line for each ratio. The same with
every round, the machine and the versions goes to build/bench/bench.json, and a plot to build/bench/bench.svg.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import (
    auditing,
    balances,
    batch,
    payouts,
    peers,
    rebuilding,
    report,
    rewards,
    single_post,
    tailing,
    verifying,
)
from tests.bench.client import Client
from tests.bench.harness import HEADING, Check, Ratio, timed
from tests.bench.place import place
from tests.bench.server import stop_what_was_started
from tests.support.postgres import running_postgres

QUICK_EVENTS = (10_000,)
FULL_EVENTS = (10_000, 1_000_000)


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller rounds: under five minutes in all")
    parser.add_argument(
        "--database",
        help="sqlite, postgresql (started here), or the URL of a PostgreSQL in which databases can be made",
    )
    parser.add_argument("--only", help="the ratios and checks whose name begins so")
    parser.add_argument(
        "--events", type=int, action="append", help="sizes of the log for balance-p99 and as-of-vs-current"
    )
    parser.add_argument("--name", default="bench", help="what the files under build/bench/ are called")
    options = parser.parse_args()
    stop_what_was_started()
    about = report.about()
    began = time.monotonic()
    found: list[tuple[str, Ratio]] = []
    checks: list[tuple[str, Check]] = []
    with tempfile.TemporaryDirectory(prefix="revshare-bench-") as name:
        folder = Path(name)
        client = Client(folder)
        say(f"load client: {client.name}; server: gunicorn by api/gunicorn_conf.py")
        with servers(options.database) as urls:
            for url in urls:
                if url is not None:
                    about["versions"]["postgresql"] = report.postgresql_version(url)
                kind = "sqlite" if url is None else "postgresql"
                for one in measure_on(url, folder, client, options):
                    if isinstance(one, Check):
                        checks.append((kind, one))
                    else:
                        found.append((kind, one))
    about |= {"client": client.name, "quick": options.quick, "seconds": round(time.monotonic() - began)}
    tell(found, checks, about, options.name)
    return 0 if all(one.holds for _, one in checks) else 1


def tell(found: report.Found, checks: report.Checks, about: dict[str, Any], name: str) -> None:
    """The table, the files and the lines."""
    print()
    print(HEADING)
    for database, ratio in found:
        print(ratio.as_text(database))
    print()
    for database, check in checks:
        print(check.as_text(database))
    document = {
        **about,
        "ratios": report.as_document(found),
        "checks": [check.as_line(database) for database, check in checks],
    }
    title = f"commit {about['commit'][:7]}, {about['at'][:10]}"
    for path in (report.write(name, document), report.plot(name, found, title)):
        if path is not None:
            print(f"written: {path.relative_to(report.ROOT)}")
    print(f"{about['seconds']} s\n")
    for line in [*document["checks"], *(ratio.as_line(database) for database, ratio in found)]:
        print(json.dumps(line))


def measure_on(
    url: str | None, folder: Path, client: Client, options: argparse.Namespace
) -> list[Ratio | Check]:
    """Every ratio on one kind of database, in several of it one after the other: None stands for SQLite."""
    kind = "sqlite" if url is None else "postgresql"
    found: list[Ratio | Check] = []

    def run(names: Sequence[str], measure: Callable[[], Iterable[Ratio | Check]]) -> None:
        if options.only is not None and not any(name.startswith(options.only) for name in names):
            return
        say(f"{kind}: {', '.join(names)}")
        with timed() as seconds:
            measured = list(measure())
        for one in measured:  # told at once: a run that is broken off has shown what it had
            say(f"    {one.as_text(kind)}")
        say(f"    took {seconds():.1f} s")
        found.extend(measured)

    # All three sides begin with an empty table: what each row costs grows with those that are there.
    with place(url, folder / f"{kind}-batches", client, quick=options.quick) as here:
        run(["batch-vs-raw", "batch-vs-library"], lambda: batch.measure(here))
    with place(url, folder / f"{kind}-doors", client, quick=options.quick) as here:
        run(["single-post"], lambda: [single_post.measure(here)])
        run(["ours-vs-naive-save", "ours-vs-naive-orm"], lambda: peers.measure(here))
        run(["audit-log"], lambda: [auditing.measure(here)])
        run(["no-skip"], lambda: [tailing.check(here)])
    with place(url, folder / f"{kind}-books", client, quick=options.quick) as here:
        for events in options.events or (QUICK_EVENTS if options.quick else FULL_EVENTS):
            run(["balance-p99", "as-of-vs-current"], partial(balances.measure, here, events))
        run(["rewards-vs-scan", "hot-partner"], lambda: rewards.measure(here))
        # Last, since no engine may run over the log that it fills.
        run(list(rebuilding.VIEWS), lambda: rebuilding.measure(here))
        run(["verify-vs-scan", "verify-all-vs-scan"], lambda: verifying.measure(here))
    with place(url, folder / f"{kind}-payouts", client, quick=options.quick) as here:
        run(["payouts-vs-sdk"], lambda: payouts.measure(here))
    return found


@contextmanager
def servers(asked: str | None) -> Iterator[list[str | None]]:
    """The databases to measure on: SQLite (None) and a PostgreSQL, or the one asked for."""
    if asked == "sqlite":
        yield [None]
    elif asked is not None and asked != "postgresql":
        yield [asked]
    else:
        with running_postgres() as url:
            yield [url] if asked else [url, None]


def say(text: str) -> None:
    """Tell what happens now."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
