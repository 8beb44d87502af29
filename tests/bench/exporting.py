"""What exports and reports take: `python -m tests.bench.exporting --sales 50000 --sales 200000`.

Fills a log with so many conversions, each rewarded and matured (four legs), then runs `revshare journal
export` in each format, and each report, in processes of their own. Prints one JSON line a size with legs a
second, also of the process's own processor time (what PostgreSQL takes is not in it), and the most memory,
which must not grow with the journal.
"""

import argparse
import json
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

from projections.journal_export.formats import NAMES
from projections.runner import Runner
from tests.bench.client import Client
from tests.bench.filling import fill
from tests.bench.history import MIB, run
from tests.bench.place import Place, place
from tests.support.postgres import running_postgres

LEGS_A_SALE = 4
REPORTS = {
    "trial-balance": ("--by", "partner"),
    "roll-forward": ("--from", "2020-01", "--to", "2026-12"),
    "ageing": (),
}


def main() -> int:
    """Measure each size, the smaller ones on the way to the larger."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.exporting", description=__doc__)
    parser.add_argument("--sales", type=int, action="append", help="conversions in the log; may be repeated")
    parser.add_argument("--database", choices=("postgresql", "sqlite"), default="postgresql")
    options = parser.parse_args()
    sales = sorted(options.sales or [50_000, 200_000])
    with tempfile.TemporaryDirectory(prefix="revshare-bench-") as name:
        if options.database == "sqlite":
            measure(None, Path(name), sales)
        else:
            with running_postgres() as url:
                measure(url, Path(name), sales)
    return 0


def measure(url: str | None, folder: Path, sales: list[int]) -> None:
    """One line a size."""
    with place(url, folder / "exporting", Client(folder), quick=False) as here:
        first = 0
        for number in sales:
            fill(here, number, first=first)
            Runner(here.world.ledger).catch_up()
            first, legs = number, LEGS_A_SALE * number
            line: dict[str, Any] = {"legs": legs, "database": here.database}
            for name in NAMES:
                file = folder / f"{number}.{name}"
                told = timed(here, legs, "journal", "export", "--format", name, str(file))
                line[name] = {**told, "mib": round(file.stat().st_size / MIB, 1)}
                file.unlink()
            for report, options in REPORTS.items():
                line[report] = timed(here, legs, "reports", report, *options, "--format", "csv")
            print(json.dumps(line), flush=True)


def timed(here: Place, legs: int, *arguments: str) -> dict[str, int]:
    """How many legs a second a command gets through, and its most memory."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds, peak = run(here, *arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "legs_per_s": round(legs / seconds),
        "legs_per_processor_s": round(legs / processor_s),
        "memory_mib": round(peak / MIB),
    }


if __name__ == "__main__":
    sys.exit(main())
