"""Conversions → rewards → balances ÷ a raw scan of the same rows; and one hot partner ÷ spread load."""

from tests.bench.following import Follower, following
from tests.bench.harness import Ratio, alternate, timed
from tests.bench.place import HOT, Place
from tests.bench.scan import head, scan


def measure(place: Place) -> list[Ratio]:
    """The engine in this process and all views in another one at the same time, as `revshare up` runs them.

    Conversions are stored beforehand, while both rest; the clock stops when the last balance stands.
    """
    place.world.engine.drain()
    with following(place.url) as views:
        return _measure(place, views)


def _measure(place: Place, views: Follower) -> list[Ratio]:
    count = 2_000 if place.quick else 20_000
    stored: list[tuple[int, int]] = []

    def settle(partner: int | None) -> float:
        before = head(place)
        place.world.send(*place.sales(count, partner))
        stored.append((before, head(place)))
        with timed() as seconds:
            views.begin()
            place.world.engine.drain()
            views.rest_at(head(place))
        return count / seconds()

    def scan_the_same(_: int) -> float:
        rows, seconds = scan(place, *stored[-1])
        assert rows >= count
        return rows / seconds

    tops, bottoms = alternate(lambda _: settle(None), scan_the_same, place.rounds)
    hot, spread = alternate(lambda _: settle(HOT), lambda _: settle(None), place.rounds)
    return [
        Ratio("rewards-vs-scan", tops, bottoms, "events/s"),
        Ratio("hot-partner", hot, spread, "events/s"),
    ]
