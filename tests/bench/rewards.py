"""Conversions → rewards → balances ÷ a raw scan of the same rows; and one hot partner ÷ spread load."""

from projections.runner import Runner
from tests.bench.harness import Ratio, alternate, timed
from tests.bench.place import HOT, Place
from tests.bench.scan import head, scan


def measure(place: Place) -> list[Ratio]:
    """The engine and all views, in this process, one after the other; conversions are stored beforehand."""
    count = 500 if place.quick else 10_000
    runner = Runner(place.world.ledger)
    stored: list[tuple[int, int]] = []

    def settle(partner: int | None) -> float:
        before = head(place)
        place.world.send(*place.sales(count, partner))
        stored.append((before, head(place)))
        with timed() as seconds:
            place.world.engine.drain()
            runner.catch_up()
        return count / seconds()

    def scan_the_same(_: int) -> float:
        rows, seconds = scan(place, *stored[-1])
        assert rows >= count
        return rows / seconds

    place.world.engine.drain()
    runner.catch_up()
    tops, bottoms = alternate(lambda _: settle(None), scan_the_same, place.rounds)
    hot, spread = alternate(lambda _: settle(HOT), lambda _: settle(None), place.rounds)
    return [
        Ratio("rewards-vs-scan", tops, bottoms, "events/s"),
        Ratio("hot-partner", hot, spread, "events/s"),
    ]
