"""Balance GET p99 ÷ no-op GET p99 on the same server, with a log of the size asked for."""

from ledger import ids
from projections.runner import Runner
from tests.bench.client import get
from tests.bench.harness import Ratio, alternate
from tests.bench.place import PARTNERS, Place
from tests.bench.scan import head

CONNECTIONS = 2
"""Few, so that latency is not the length of a queue."""
CHUNK = 5_000


def grow(place: Place, events: int) -> None:
    """Send sales until the log holds so many events, their rewards among them."""
    runner = Runner(place.world.ledger)
    while (missing := events - head(place)) > 0:
        place.world.send(*place.sales(min(CHUNK, missing // 2 + 1)))
        place.world.engine.drain()
    runner.catch_up()


def measure(place: Place, events: int) -> Ratio:
    """The balances of each partner in turn, by a key that may see all."""
    grow(place, events)
    count = 1_000 if place.quick else 10_000
    paths = [f"/v1/partners/{ids.partner_id(f'partner-{n}')}/balances" for n in range(PARTNERS)]

    def p99_us(targets: list[str]) -> float:
        requests = [get(targets[n % len(targets)], place.token) for n in range(count)]
        return place.client.send(place.port, requests, connections=CONNECTIONS, seconds=60).p99_us

    tops, bottoms = alternate(lambda _: p99_us(paths), lambda _: p99_us(["/noop"]), place.rounds)
    return Ratio("balance-p99", tops, bottoms, "µs", at=f"{events:,} events")
