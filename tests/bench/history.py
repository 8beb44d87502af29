"""How a rebuild grows with history: `python -m tests.bench.history --sales 100000 --sales 1000000`.

Fills a log with so many conversions, each rewarded and matured (three facts), lets the views follow, then
runs `revshare rebuild` in a process of its own and samples its memory, which must be bounded by its batches
and not by history. Then some sales more, how fast the views follow those, and the p99 of balances. With
`--from-nothing` the views are empty before the rebuild: half the time and the disk, nothing to compare.
Prints what it knows of a size as it comes, in JSON; the whole goes to build/bench/history-DATABASE.json.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from projections import position
from projections.runner import Runner
from projections.view import position_name
from projections.views import views_named
from tests.bench import report
from tests.bench.balances import ratios
from tests.bench.client import ROOT, Client
from tests.bench.filling import BACK_S, FACTS_A_SALE, fill, filled_partners
from tests.bench.harness import timed
from tests.bench.place import PARTNERS, Place, place
from tests.bench.scan import head
from tests.bench.sizes import per_conversion, sizes
from tests.support.postgres import running_postgres

LOOK_S = 0.1
MORE = 50_000
"""Sales that come after a rebuild, to be followed."""
FLAT = 1.25
"""Memory of a rebuild over the longest history ÷ that over the shortest: more is not flat."""
MIB = 2**20


def main() -> int:
    """Measure each size, the smaller ones on the way to the larger."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.history", description=__doc__)
    parser.add_argument("--sales", type=int, action="append", help="conversions in the log; may be repeated")
    parser.add_argument("--database", choices=("postgresql", "sqlite"), default="postgresql")
    parser.add_argument("--from-nothing", action="store_true", help="one size, by a rebuild of empty views")
    options = parser.parse_args()
    if options.from_nothing and len(options.sales or []) != 1:
        parser.error("--from-nothing takes one size")
    sales = sorted(options.sales or [100_000, 1_000_000])
    about = report.about()
    with tempfile.TemporaryDirectory(prefix="revshare-bench-") as name:
        if options.database == "sqlite":
            lines = measure(None, Path(name), sales, options.from_nothing)
        else:
            with running_postgres() as url:
                about["versions"]["postgresql"] = report.postgresql_version(url)
                lines = measure(url, Path(name), sales, options.from_nothing)
    flat = lines[-1]["rebuild_memory_mib"] <= FLAT * lines[0]["rebuild_memory_mib"]
    document = {**about, "database": options.database, "sizes": lines, "memory_flat": flat}
    path = report.write(f"history-{options.database}", document)
    print(f"memory is {'flat' if flat else 'NOT FLAT'}; written: {path.relative_to(ROOT)}")
    return 0 if flat else 1


def measure(url: str | None, folder: Path, sales: list[int], from_nothing: bool) -> list[dict[str, Any]]:
    """One line a size, printed when it is known."""
    lines = []
    with place(url, folder / "history", Client(folder), quick=False) as here:
        empty, first = sizes(here.world.database), 0
        for number in sales:
            with timed() as filled:
                fill(here, number, first=first)
            line = {
                "history": number,
                "database": here.database,
                "from_nothing": from_nothing,
                "fill_facts_per_s": round(FACTS_A_SALE * (number - first) / filled()),
            }
            print(json.dumps(line), flush=True)
            (empty_views if from_nothing else follow)(here)
            seconds, peak = run(here, "rebuild", *(["--accept-differences"] if from_nothing else []))
            line |= {
                "rebuild_s": round(seconds, 1),
                "rebuild_facts_per_s": round(head(here) / seconds),
                "rebuild_memory_mib": round(peak / MIB),
                "bytes_per_conversion": per_conversion(empty, sizes(here.world.database), number),
            }
            print(json.dumps(line), flush=True)
            first = number + MORE
            fill(here, first, first=number)
            line["views_facts_per_s"] = round(FACTS_A_SALE * MORE / follow(here))
            back_s = min(BACK_S, number) - PARTNERS  # each partner had a balance by then
            for ratio in ratios(here, filled_partners(), here.world.now, back_s, ""):
                line[ratio.name] = round(ratio.value, 2)
                line[f"{ratio.name}-us"] = [
                    round(statistics.median(each)) for each in (ratio.above, ratio.below)
                ]
            lines.append(line)
            print(json.dumps(line), flush=True)
    return lines


def follow(here: Place) -> float:
    """Let the views catch up: the seconds that it took. The database's statistics are those of then."""
    with timed() as seconds:
        Runner(here.world.ledger).catch_up()
    with here.world.database.write() as connection:
        connection.execute(sa.text("ANALYZE"))
    return seconds()


def empty_views(here: Place) -> None:
    """Let the views say that they stand at the log's end, which is where a rebuild of them goes to."""
    names = [position_name(view) for view in views_named(())]
    with here.world.database.write() as connection:
        connection.execute(sa.text("ANALYZE"))
        position.ensure(connection, names)
        position.move(connection, names, head(here), here.world.ledger.clock())


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
