"""A reader that tails the log while singles and batches arrive at full speed sees every position."""

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import sqlalchemy as sa

from tests.bench.client import post
from tests.bench.harness import Check
from tests.bench.place import Place
from tests.bench.scan import head
from tests.bench.single_post import CONNECTIONS

PAGE = 500
BATCHES = 40
BATCH_ITEMS = 1_000
SINGLES_PER_SECOND_MAX = 5_000


def check(place: Place) -> Check:
    """As tests/ledger/test_tailing.py, whose writers are ours; here the load comes through the doors."""
    began = head(place)
    seen: list[int] = []
    ended = threading.Event()
    with ThreadPoolExecutor(3) as pool:
        tail = pool.submit(_tail, place, began, seen, ended)
        try:
            singles = pool.submit(_singles, place, 2.0 if place.quick else 20)
            batches = pool.submit(_batches, place)
            answered = singles.result() + batches.result() * BATCH_ITEMS
        finally:
            ended.set()
        tail.result()
    with place.world.database.read() as connection:
        rows = connection.execute(
            sa.text("SELECT notification_id FROM stored_events WHERE notification_id > :began"),
            {"began": began},
        )
        stored = {int(position) for (position,) in rows}
    in_order = all(a < b for a, b in pairwise(seen))
    return Check(
        "no-skip",
        in_order and set(seen) == stored and len(stored) == answered,
        {
            "acknowledged": answered,
            "stored": len(stored),
            "seen": len(seen),
            "skipped": len(stored - set(seen)),
            "in_order": in_order,
        },
    )


def _tail(place: Place, last: int, seen: list[int], ended: threading.Event) -> None:
    while True:
        done = ended.is_set()  # asked before the read, so that the last read comes after the last commit
        with place.world.database.read() as connection:
            rows = place.world.ledger.log.read_log(connection, after=last, limit=PAGE)
        seen += [row[4] for row in rows]
        last = rows[-1][4] if rows else last
        if not rows:
            if done:
                return
            ended.wait(0.001)


def _singles(place: Place, seconds: float) -> int:
    requests = [
        post("/v1/conversions", place.token, body)
        for body in place.bodies(int(seconds * SINGLES_PER_SECOND_MAX))
    ]
    return place.client.send(place.port, requests, connections=CONNECTIONS, seconds=seconds).answered


def _batches(place: Place) -> int:
    requests = [
        post(
            "/v1/conversions/batch",
            place.token,
            b"\n".join(place.bodies(BATCH_ITEMS)),
            "application/x-ndjson",
        )
        for _ in range(BATCHES)
    ]
    return place.client.send(place.port, requests, connections=4, seconds=60).answered
