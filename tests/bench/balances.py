"""Balance GET p99 ÷ no-op GET p99, and as-of balance p99 ÷ current, with a log of the size asked for."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import falcon
import msgspec

from ledger import ids
from projections.runner import Runner
from tests.bench.client import get
from tests.bench.harness import Ratio, alternate
from tests.bench.place import EFFECTIVE_AT, PARTNERS, Place
from tests.bench.scan import head

CONNECTIONS = 2
"""Few, so that latency is not the length of a queue."""
CHUNK = 1_000
BACK_S = 90 * 24 * 3_600
"""How far back sales are dated, at the most."""


def grow(place: Place, events: int) -> None:
    """Send sales until the log holds so many events, their rewards among them. They are dated back, each
    differently, and each chunk is recorded a second later."""
    runner = Runner(place.world.ledger)
    dice = random.Random(events)
    while (missing := events - head(place)) > 0:
        place.world.now += timedelta(seconds=1)
        sales = place.sales(min(CHUNK, missing // 2 + 1))
        back = [timedelta(seconds=dice.randrange(BACK_S)) for _ in sales]
        place.world.send(
            *(
                msgspec.structs.replace(sale, effective_at=EFFECTIVE_AT - by)
                for sale, by in zip(sales, back, strict=True)
            )
        )
        place.world.engine.drain()
    runner.catch_up()


def measure(place: Place, events: int) -> list[Ratio]:
    """The balances of each partner in turn, by a key that may see all: now, and at random times of both
    kinds."""
    began = place.world.now
    grow(place, events)
    partners = [ids.partner_id(f"partner-{number}") for number in range(PARTNERS)]
    return ratios(place, partners, began, BACK_S, f"{events:,} events")


def ratios(place: Place, partners: Sequence[UUID], began: datetime, back_s: int, at: str) -> list[Ratio]:
    """The same of a log that is there: facts dated back by up to `back_s`, recorded from `began` to now."""
    count = 1_000 if place.quick else 10_000
    paths = [f"/v1/partners/{partner}/balances" for partner in partners]
    dice = random.Random(count)
    span_s = max(1, int((place.world.now - began).total_seconds()))

    def past(path: str) -> str:
        times = {
            "effective_as_of": EFFECTIVE_AT - timedelta(seconds=dice.randrange(back_s)),
            "recorded_as_of": began + timedelta(seconds=dice.randint(1, span_s)),
        }
        return path + falcon.to_query_str({name: time.isoformat() for name, time in times.items()})

    past_paths = [past(paths[n % PARTNERS]) for n in range(count)]

    def p99_us(targets: list[str]) -> float:
        requests = [get(targets[n % len(targets)], place.token) for n in range(count)]
        return place.client.send(place.port, requests, connections=CONNECTIONS, seconds=60).p99_us

    tops, bottoms = alternate(lambda _: p99_us(paths), lambda _: p99_us(["/noop"]), place.rounds)
    then, now = alternate(lambda _: p99_us(past_paths), lambda _: p99_us(paths), place.rounds)
    return [
        Ratio("balance-p99", tops, bottoms, "µs", at=at),
        Ratio("as-of-vs-current", then, now, "µs", at=at),
    ]
