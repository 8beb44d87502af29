"""How a rebuild grows with history: `python -m tests.bench.history --sales 100000 --sales 1000000`.

Fills a log with so many conversions, each rewarded and matured (three facts), lets the views follow, then
runs `revshare rebuild` in a process of its own and samples its memory, which must be bounded by its batches
and not by history. Prints one JSON line a size; all of them go to build/bench/history-DATABASE.json.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from projections.runner import Runner
from tests.bench import report
from tests.bench.client import ROOT, Client
from tests.bench.filling import FACTS_A_SALE, fill
from tests.bench.harness import timed
from tests.bench.place import Place, place
from tests.bench.sizes import per_conversion, sizes
from tests.support.postgres import running_postgres

LOOK_S = 0.1
FLAT = 1.25
"""Memory of a rebuild over the longest history ÷ that over the shortest: more is not flat."""
MIB = 2**20


def main() -> int:
    """Measure each size, the smaller ones on the way to the larger."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.history", description=__doc__)
    parser.add_argument("--sales", type=int, action="append", help="conversions in the log; may be repeated")
    parser.add_argument("--database", choices=("postgresql", "sqlite"), default="postgresql")
    options = parser.parse_args()
    sales = sorted(options.sales or [100_000, 1_000_000])
    about = report.about()
    with tempfile.TemporaryDirectory(prefix="revshare-bench-") as name:
        if options.database == "sqlite":
            lines = measure(None, Path(name), sales)
        else:
            with running_postgres() as url:
                about["versions"]["postgresql"] = report.postgresql_version(url)
                lines = measure(url, Path(name), sales)
    flat = lines[-1]["rebuild_memory_mib"] <= FLAT * lines[0]["rebuild_memory_mib"]
    document = {**about, "database": options.database, "sizes": lines, "memory_flat": flat}
    path = report.write(f"history-{options.database}", document)
    print(f"memory is {'flat' if flat else 'NOT FLAT'}; written: {path.relative_to(ROOT)}")
    return 0 if flat else 1


def measure(url: str | None, folder: Path, sales: list[int]) -> list[dict[str, Any]]:
    """One line a size, printed when it is known."""
    lines = []
    with place(url, folder / "history", Client(folder), quick=False) as here:
        empty, first = sizes(here.world.database), 0
        for number in sales:
            with timed() as filled:
                fill(here, number, first=first)
            with timed() as followed:
                Runner(here.world.ledger).catch_up()
            with here.world.database.write() as connection:
                connection.execute(sa.text("ANALYZE"))
            grown = per_conversion(empty, sizes(here.world.database), number)
            seconds, peak = rebuild(here)
            facts = FACTS_A_SALE * (number - first)
            lines.append(
                {
                    "history": number,
                    "database": here.database,
                    "fill_facts_per_s": round(facts / filled()),
                    "views_facts_per_s": round(facts / followed()),
                    "rebuild_s": round(seconds, 1),
                    "rebuild_facts_per_s": round(FACTS_A_SALE * number / seconds),
                    "rebuild_memory_mib": round(peak / MIB),
                    "bytes_per_conversion": grown,
                }
            )
            print(json.dumps(lines[-1]), flush=True)
            first = number
    return lines


def rebuild(here: Place) -> tuple[float, int]:
    """`revshare rebuild` of every view: its seconds, and the most memory that was its own."""
    return run(here, "rebuild")


def run(here: Place, *arguments: str) -> tuple[float, int]:
    """A command in a process of its own: its seconds, and the most memory that was its own."""
    command = [sys.executable, "-m", "api.cli", *arguments]
    environment = {**os.environ, "DATABASE_URL": here.url}
    peak, began = 0, time.perf_counter()
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, watched.memory_info().rss)
            time.sleep(LOOK_S)
        said = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise RuntimeError(f"{arguments[0]} failed:\n{said[-2_000:]}")
    return time.perf_counter() - began, peak


if __name__ == "__main__":
    sys.exit(main())
