"""Projection rebuild, all views with comparison and swap, ÷ a raw scan of the same log."""

from projections.rebuild import rebuild
from projections.runner import Runner
from tests.bench.harness import Ratio, alternate, timed
from tests.bench.place import Place
from tests.bench.scan import head, scan


def measure(place: Place) -> Ratio:
    """Events of the log per second on both sides."""
    place.world.engine.drain()
    Runner(place.world.ledger).catch_up()
    last = head(place)
    events, _ = scan(place, 0, last)

    def rebuild_all(_: int) -> float:
        with timed() as seconds:
            rebuild(place.world.ledger)
        return events / seconds()

    def scan_all(_: int) -> float:
        rows, seconds = scan(place, 0, last)
        return rows / seconds

    tops, bottoms = alternate(rebuild_all, scan_all, place.rounds)
    return Ratio("rebuild-vs-scan", tops, bottoms, "events/s", at=f"{events:,} events")
