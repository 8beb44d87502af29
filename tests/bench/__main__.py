"""Measures the ratio table: `python -m tests.bench [--quick] [--database URL | postgresql | sqlite]`.

Prints what it does while it does it, then the table, and last one JSON line for each ratio.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench import balances, batch, rebuilding, rewards, single_post
from tests.bench.client import Client
from tests.bench.harness import HEADING, NOT_MEASURED, Ratio
from tests.bench.place import place
from tests.support.postgres import running_postgres

QUICK_EVENTS = (10_000,)
FULL_EVENTS = (10_000, 100_000)


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller rounds: under five minutes in all")
    parser.add_argument(
        "--database",
        help="sqlite, postgresql (started here), or the URL of a PostgreSQL in which databases can be made",
    )
    parser.add_argument("--only", help="the ratios whose name begins so")
    parser.add_argument("--events", type=int, action="append", help="sizes of the log for balance-p99")
    options = parser.parse_args()
    began = time.monotonic()
    found: list[tuple[str, Ratio]] = []
    with tempfile.TemporaryDirectory(prefix="revshare-bench-") as name:
        folder = Path(name)
        client = Client(folder)
        say(f"load client: {client.name}; server: gunicorn gthread by api/gunicorn_conf.py")
        with servers(options.database) as urls:
            for url in urls:
                found += measure_on(url, folder, client, options)
    print()
    print(HEADING)
    for database, ratio in found:
        print(ratio.as_text(database))
    print(f"\nnot measured: {'; '.join(NOT_MEASURED)}")
    print(f"{time.monotonic() - began:.0f} s\n")
    for database, ratio in found:
        print(ratio.as_json(database))
    return 0


def measure_on(
    url: str | None, folder: Path, client: Client, options: argparse.Namespace
) -> list[tuple[str, Ratio]]:
    """Every ratio on one database: None stands for SQLite. The doors and the books have a database each."""
    kind = "sqlite" if url is None else "postgresql"
    found: list[Ratio] = []

    def wanted(*names: str) -> bool:
        asked = options.only is None or any(name.startswith(options.only) for name in names)
        if asked:
            say(f"{kind}: {', '.join(names)}")
        return asked

    with place(url, folder / f"{kind}-doors", client, quick=options.quick) as here:
        if wanted("single-post"):
            found.append(single_post.measure(here))
        if wanted("batch-vs-raw", "batch-vs-library"):
            found += batch.measure(here)
    with place(url, folder / f"{kind}-books", client, quick=options.quick) as here:
        for events in options.events or (QUICK_EVENTS if options.quick else FULL_EVENTS):
            if wanted("balance-p99"):
                found.append(balances.measure(here, events))
        if wanted("rewards-vs-scan", "hot-partner"):
            found += rewards.measure(here)
        if wanted(*rebuilding.VIEWS):
            found += rebuilding.measure(here)
    return [(kind, ratio) for ratio in found]


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
