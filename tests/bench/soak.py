"""Runs a whole installation under steady load: `python -m tests.bench.soak --minutes 30`, or `make soak`.

`revshare up` on a fresh database (PostgreSQL with the settings that docs/operations.md recommends); over 32
connections nine POSTs of a conversion for each GET of a balance. With `--items 1000` each POST is a batch.
First at full speed, until all that was answered is rewarded and in the views: that is the peak. Then at 70%
of it. Memory of every part, p99, lag, connections and open files must stay flat, and nothing acknowledged may
be missing in the views; else it ends with 1. Prints a line for each minute, a table and one JSON line; every
sample goes to build/bench/soak-DATABASE.json, the curves to .svg.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa
from sqlalchemy import make_url

from ledger import ids
from projections.lag import lag
from tests.bench import report
from tests.bench.client import ROOT, Client, Load, get, post
from tests.bench.place import PARTNERS, Place, fresh_database, furnished
from tests.bench.server import stop_what_was_started, wait_until_ready
from tests.bench.sizes import per_conversion, sizes
from tests.bench.steadiness import Moment, Steady, judge
from tests.bench.watching import MIB, Watch
from tests.support.postgres import free_port, running_postgres

CONNECTIONS = 32
OF_PEAK = 0.7
SLICE_S = 5
PEAK_S = 15
PEAK_BATCHES_S = 3
"""Batches arrive faster than they are rewarded: more would only be waited for."""
PER_SECOND_MAX = 5_000
BATCHED_PER_SECOND_MAX = 100_000
POSTS_EACH = 9
"""So many conversions are sent for each balance that is asked for."""
CATCH_UP_S_MAX = 600
MOMENTS_TOLD = 12
"""So many slices are told in a line: a minute."""
MILLION = 1_000_000


def main() -> int:
    """Soak for the minutes asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--database", choices=("postgresql", "sqlite"), default="postgresql")
    parser.add_argument("--items", type=int, default=1, help="conversions in each POST; 1: no batches")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=setting,
        metavar="NAME=VALUE",
        help="a setting of the PostgreSQL that is started here, else as docs/operations.md says",
    )
    options = parser.parse_args()
    stop_what_was_started()
    about = report.about()
    with tempfile.TemporaryDirectory(prefix="revshare-soak-") as name:
        if options.database == "sqlite":
            with installed(None, Path(name), options.items) as soak:
                soak.run(options.minutes)
        else:
            with (
                running_postgres({**recommended(), **dict(options.set)}) as url,
                installed(url, Path(name), options.items) as soak,
            ):
                about["versions"]["postgresql"] = report.postgresql_version(url)
                soak.run(options.minutes)
    tell(about, options.database, soak)
    return 0 if soak.line["holds"] else 1


def setting(text: str) -> tuple[str, str]:
    """A name and its value."""
    name, given, value = text.partition("=")
    if not (name and given):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def recommended() -> dict[str, str]:
    """What docs/operations.md (Databases) says to give a PostgreSQL that has this machine."""
    quarter_mib = psutil.virtual_memory().total // 4 // MIB
    return {"shared_buffers": f"{quarter_mib}MB", "max_wal_size": "16GB", "checkpoint_timeout": "15min"}


@contextmanager
def installed(server_url: str | None, folder: Path, items: int) -> Iterator["Soak"]:
    """`revshare up` on a fresh database; stopped at the end."""
    client = Client(folder)
    with fresh_database(server_url, folder / "soak") as url, furnished(url) as (world, token):
        port, log = free_port(), folder / "up.log"
        settings = {
            "DATABASE_URL": url,
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "VAR_DIR": str(folder / "var"),
        }
        environment = {**os.environ, **settings, "SIMULATOR_PORT": str(free_port())}
        command = [sys.executable, "-m", "api.cli", "up"]
        with log.open("wb") as output:
            up = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        try:
            wait_until_ready(up, port, log)
            place = Place(url, folder / "soak", client, world, port, token, quick=False)
            watch = Watch(up.pid, make_url(url).port if server_url else None)
            yield Soak(place, watch, items)
        finally:
            up.terminate()
            up.wait(120)


class Soak:
    """An installation under load. `run` leaves what came of it in `moments`, `verdicts` and `line`."""

    def __init__(self, place: Place, watch: Watch, items: int) -> None:
        self._place = place
        self._watch = watch
        self._items = items
        self._posted = 0
        self.moments: list[Moment] = []
        self.verdicts: list[Steady] = []
        self.line: dict[str, Any] = {}

    def run(self, minutes: float) -> None:
        """Find the peak, soak, judge."""
        database = self._place.world.database
        empty = sizes(database)
        peak = self._peak()
        rate = OF_PEAK * peak["peak_per_s"]
        say(f"for {minutes:g} minutes at {rate:,.1f} requests/s")
        self._watch.look()
        posted, used = self._posted, self._watch.processor_s()
        began = time.monotonic()
        with ThreadPoolExecutor(1) as pool:
            while time.monotonic() - began < minutes * 60:
                self.moments.append(self._moment(pool, rate, began))
                if len(self.moments) % MOMENTS_TOLD == 0:
                    say(f"    {told(self.moments[-MOMENTS_TOLD:])}")
        took_s = time.monotonic() - began
        self._catch_up()
        self._watch.look()
        conversions = self._posted - posted
        stored = self._in_the_views()
        whole = Steady("conversions acknowledged, in the views", self._posted, stored, self._posted == stored)
        self.verdicts = [*judge(self.moments), whole]
        self.line = {
            "soak_minutes": round(took_s / 60, 1),
            "database": self._place.database,
            "items": self._items,
            "holds": all(verdict.holds for verdict in self.verdicts),
            **peak,
            "answered_per_s": round(sum(moment.answered for moment in self.moments) / took_s, 1),
            "conversions": conversions,
            "p50_ms": _median(moment.p50_ms for moment in self.moments),
            "p99_ms": _median(moment.p99_ms for moment in self.moments),
            "lag_s_max": round(max(moment.lag_s for moment in self.moments), 2),
            "processor_s_per_million": {
                part: round((seconds - used.get(part, 0)) / conversions * MILLION)
                for part, seconds in self._watch.processor_s().items()
            },
            "bytes_per_conversion": per_conversion(empty, sizes(database), self._posted),
        }

    def _peak(self) -> dict[str, Any]:
        """What all parts together sustain: answers, over the time until nothing of them waits."""
        seconds_full = PEAK_S if self._items == 1 else PEAK_BATCHES_S
        say(f"at full speed for {seconds_full} s, then until everything is in the views")
        requests = self._requests(0, seconds_full)
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(self._send, requests, 0, seconds_full)
            time.sleep(seconds_full * 0.9)
            events, seconds = self._behind()
            load = running.result()
        caught_up_s = self._catch_up()
        peak = {
            "full_speed_per_s": round(load.per_second, 1),
            "full_speed_lag_events": events,
            "full_speed_lag_s": round(seconds, 1),
            "caught_up_s": round(caught_up_s, 1),
            "peak_per_s": round(load.answered / (load.seconds + caught_up_s), 1),
        }
        say(f"    {peak}")
        return peak

    def _moment(self, pool: ThreadPoolExecutor, rate: float, began: float) -> Moment:
        running = pool.submit(self._send, self._requests(rate, SLICE_S), rate, SLICE_S)
        time.sleep(SLICE_S / 2)
        seen, (events, seconds), connections = self._watch.look(), self._behind(), self._connections()
        load = running.result()
        return Moment(
            at_s=time.monotonic() - began,
            answered=load.answered,
            p50_ms=load.p50_us / 1_000,
            p99_ms=load.p99_us / 1_000,
            lag_events=events,
            lag_s=seconds,
            connections=connections,
            memory_mib=seen.memory,
            files=seen.files,
        )

    def _requests(self, rate: float, seconds: float) -> list[bytes]:
        """Conversions and balances by turns, in this order; at full speed more than can be answered."""
        place, items, requests = self._place, self._items, []
        most = (PER_SECOND_MAX if items == 1 else BATCHED_PER_SECOND_MAX // items) if rate == 0 else rate
        for number in range(1, int(most * seconds) + 2):
            if items == 1:
                [body] = place.bodies(1)
                requests.append(post("/v1/conversions", place.token, body))
            else:
                lines = b"\n".join(place.bodies(items))
                requests.append(post("/v1/conversions/batch", place.token, lines, "application/x-ndjson"))
            if number % POSTS_EACH == 0:
                partner = ids.partner_id(f"partner-{number % PARTNERS}")
                requests.append(get(f"/v1/partners/{partner}/balances", place.token))
        return requests

    def _send(self, requests: list[bytes], rate: float, seconds: float) -> Load:
        place = self._place
        load = place.client.send(place.port, requests, connections=CONNECTIONS, seconds=seconds, rate=rate)
        self._posted += (load.answered - load.answered // (POSTS_EACH + 1)) * self._items
        return load

    def _behind(self) -> tuple[int, float]:
        """How many facts, and seconds, the slowest reader is behind."""
        world = self._place.world
        world.now = datetime.now(UTC)
        with world.database.read() as connection:
            lags = lag(world.ledger, connection)
        return max(one.events for one in lags), max(one.seconds for one in lags)

    def _catch_up(self) -> float:
        """Wait until nothing waits; the seconds that took."""
        began = time.monotonic()
        while self._behind()[0]:
            if time.monotonic() - began > CATCH_UP_S_MAX:
                raise RuntimeError(f"the readers did not catch up in {CATCH_UP_S_MAX} s")
            time.sleep(0.05)
        return time.monotonic() - began

    def _connections(self) -> int:
        """Others than ours; SQLite has none to count."""
        if self._place.database == "sqlite":
            return 0
        return self._count(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )

    def _in_the_views(self) -> int:
        return self._count("SELECT count(*) FROM conversions")

    def _count(self, statement: str) -> int:
        with self._place.world.database.read() as connection:
            return int(connection.execute(sa.text(statement)).scalar_one())


def told(moments: Sequence[Moment]) -> str:
    """A line on some slices."""
    p99 = [moment.p99_ms for moment in moments]
    return (
        f"to {moments[-1].at_s / 60:4.1f} min: {sum(moment.answered for moment in moments):,} answered, "
        f"p50 {_median(moment.p50_ms for moment in moments):g} ms, "
        f"p99 {_median(p99):g} ms (highest {max(p99):,.0f}), "
        f"lag at most {max(moment.lag_s for moment in moments):.1f} s"
    )


def tell(about: dict[str, Any], database: str, soak: Soak) -> None:
    """The table, the files and the line."""
    print(f"\n{'':<42} {'first third':>12} {'last third':>12}")
    for name, first, last, holds in soak.verdicts:
        print(f"{name:<42} {first:>12,.1f} {last:>12,.1f}  {'steady' if holds else 'NOT STEADY'}")
    name = f"soak-{database}" + ("" if soak.line["items"] == 1 else "-batches")
    moments = [moment._asdict() for moment in soak.moments]
    paths = [report.write(name, {**about, **soak.line, "moments": moments}), curves(name, soak.moments)]
    print("\nwritten: " + ", ".join(str(path.relative_to(ROOT)) for path in paths))
    print(json.dumps(soak.line))


def curves(name: str, moments: Sequence[Moment]) -> Path:
    """Latency, lag and memory over the minutes."""

    def points(values: Sequence[float]) -> list[tuple[float, float]]:
        return [(moment.at_s / 60, value) for moment, value in zip(moments, values, strict=True)]

    parts = sorted({part for moment in moments for part in moment.memory_mib})
    return report.curves(
        name,
        [
            (
                "p50 and p99, ms, by minute",
                {"p50": points([m.p50_ms for m in moments]), "p99": points([m.p99_ms for m in moments])},
            ),
            ("lag of the slowest reader, s", {"lag": points([m.lag_s for m in moments])}),
            (
                "memory of each part, MiB",
                {part: points([m.memory_mib.get(part, 0) for m in moments]) for part in parts},
            ),
        ],
    )


def _median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 1)


def say(text: str) -> None:
    """Tell what happens now."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
