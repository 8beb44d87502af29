"""Projection rebuild (replay, compare, swap) ÷ a raw scan of the same log: balances, journal, all views."""

import sqlalchemy as sa

from projections.rebuild import rebuild
from projections.runner import Runner
from tests.bench.filling import fill
from tests.bench.harness import Ratio, alternate, timed
from tests.bench.place import Place
from tests.bench.scan import head, scan

QUICK_SALES = 10_000
FULL_SALES = 300_000
VIEWS: dict[str, tuple[str, ...]] = {
    "rebuild-vs-scan": ("balances",),
    "rebuild-journal-vs-scan": ("journal",),
    "rebuild-all-vs-scan": (),
}
"""What is rebuilt for each ratio; nothing named: every view."""


def measure(place: Place) -> list[Ratio]:
    """Events of the log per second on both sides. From here on the engine must not run: the log holds
    rewards that it did not write."""
    fill_up(place)
    return [_measure(place, name, views) for name, views in VIEWS.items()]


def fill_up(place: Place) -> None:
    """Fill the log, unless it is full, and let the views follow."""
    sales = QUICK_SALES if place.quick else FULL_SALES
    if head(place) < 3 * sales:
        fill(place, sales)
    Runner(place.world.ledger).catch_up()
    with place.world.database.write() as connection:
        connection.execute(sa.text("ANALYZE"))  # else the raw scan's plan waits for an autovacuum


def _measure(place: Place, name: str, views: tuple[str, ...]) -> Ratio:
    last = head(place)
    events, _ = scan(place, 0, last)

    def rebuild_views(_: int) -> float:
        with timed() as seconds:
            rebuild(place.world.ledger, views)
        return events / seconds()

    def scan_all(_: int) -> float:
        rows, seconds = scan(place, 0, last)
        return rows / seconds

    tops, bottoms = alternate(rebuild_views, scan_all, place.rounds)
    return Ratio(name, tops, bottoms, "events/s", at=f"{events:,} events")
