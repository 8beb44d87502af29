"""Batch endpoint events/s ÷ a raw insert of the same bytes, and ÷ the library's own save of 1,000.

One connection on every side. The raw side is one transaction of one statement, its rows made beforehand; the
library's is its own recorder, mapper and dataclass events, in a schema (or file) of its own.
"""

import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from eventsourcing.application import Application
from eventsourcing.persistence import StoredEvent

from ledger import ids
from ledger.commands import ConversionCommand, RecordSale
from ledger.conversion import INITIAL, decide
from ledger.events.base import Recorded
from tests.bench import library
from tests.bench.client import post
from tests.bench.harness import Ratio, alternate, timed
from tests.bench.library import SaleRecorded
from tests.bench.place import Place

ITEMS = 10_000
SAVE = 1_000

POSTGRESQL_TABLE = """
    CREATE TABLE bench_raw (
        originator_id uuid NOT NULL, originator_version bigint NOT NULL, topic text NOT NULL,
        state bytea NOT NULL, notification_id bigserial NOT NULL,
        PRIMARY KEY (originator_id, originator_version)
    );
    CREATE UNIQUE INDEX bench_raw_notification_id ON bench_raw (notification_id)
"""
POSTGRESQL_INSERT = """
    INSERT INTO bench_raw (originator_id, originator_version, topic, state)
    SELECT * FROM unnest(%b::uuid[], %b::bigint[], %b::text[], %b::bytea[])
    ON CONFLICT DO NOTHING RETURNING notification_id
"""
SQLITE_TABLE = """
    CREATE TABLE bench_raw (
        notification_id INTEGER PRIMARY KEY AUTOINCREMENT, originator_id TEXT NOT NULL,
        originator_version BIGINT NOT NULL, topic TEXT NOT NULL, state BLOB NOT NULL,
        UNIQUE (originator_id, originator_version)
    )
"""
SQLITE_INSERT = """
    INSERT INTO bench_raw (originator_id, originator_version, topic, state) VALUES (?, ?, ?, ?)
    ON CONFLICT DO NOTHING
"""


def measure(place: Place) -> list[Ratio]:
    """Three sides: the endpoint, measured against each of the other two in turn."""
    rounds = place.rounds

    def endpoint(_: int) -> float:
        body = b"\n".join(place.bodies(ITEMS))
        request = post("/v1/conversions/batch", place.token, body, "application/x-ndjson")
        # Each worker gets the same work, whichever takes the connection.
        return ITEMS * place.client.send(place.port, [request], connections=1, seconds=60).per_second

    with _raw(place) as insert, _library(place) as save:
        tops, bottoms = alternate(endpoint, lambda _: insert(stored(place, ITEMS)), rounds)
        ours, theirs = alternate(endpoint, lambda _: save(place.sales(5 * SAVE)), rounds)
    return [
        Ratio("batch-vs-raw", tops, bottoms, "events/s"),
        Ratio("batch-vs-library", ours, theirs, "events/s"),
    ]


def stored(place: Place, count: int) -> list[StoredEvent]:
    """The rows that the endpoint would store of new sales."""
    now = datetime.now(UTC)
    found = []
    for sale in place.sales(count):
        assert isinstance(sale, RecordSale)
        stream = ids.conversion_id(sale.program_id, sale.source, sale.external_id)
        [fact] = decide(sale, INITIAL, currency="GBP", now=now)
        recorded: Any = Recorded(stream, 1, now, "key:bench", fact)
        found.append(place.world.ledger.facts.to_stored_event(recorded))
    return found


@contextmanager
def _raw(place: Place) -> Iterator[Any]:
    if place.database == "sqlite":
        with _raw_sqlite(place) as insert:
            yield insert
        return
    with psycopg.connect(place.url) as connection:
        connection.execute(POSTGRESQL_TABLE)
        connection.commit()

        def insert_rows(events: Sequence[StoredEvent]) -> float:
            columns = (
                [e.originator_id for e in events],
                [e.originator_version for e in events],
                [e.topic for e in events],
                [e.state for e in events],
            )
            with timed() as seconds:
                returned = connection.cursor(binary=True).execute(POSTGRESQL_INSERT, columns).fetchall()
                connection.commit()
            assert len(returned) == len(events)
            return len(events) / seconds()

        yield insert_rows


@contextmanager
def _raw_sqlite(place: Place) -> Iterator[Any]:
    connection = sqlite3.connect(place.folder / "raw.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(SQLITE_TABLE)

    def insert_rows(events: Sequence[StoredEvent]) -> float:
        rows = [(UUID(str(e.originator_id)).hex, e.originator_version, e.topic, e.state) for e in events]
        with timed() as seconds:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(SQLITE_INSERT, rows)
            connection.execute("COMMIT")
        return len(events) / seconds()

    yield insert_rows
    connection.close()


@contextmanager
def _library(place: Place) -> Iterator[Any]:
    """The library's application as its manual sets it up."""
    application: Application[UUID] = Application(env=library.environment(place, "bench_library"))

    def save(sales: Sequence[ConversionCommand]) -> float:
        events = [_event(sale) for sale in sales]
        with timed() as seconds:
            for start in range(0, len(events), SAVE):
                application.save(*events[start : start + SAVE])
        return len(events) / seconds()

    yield save
    application.close()


def _event(sale: ConversionCommand) -> SaleRecorded:
    assert isinstance(sale, RecordSale)
    return SaleRecorded(
        originator_id=UUID(int=random.getrandbits(128), version=4),
        originator_version=1,
        timestamp=datetime.now(UTC),
        program_id=sale.program_id,
        source=sale.source,
        external_id=sale.external_id,
        kind="sale",
        customer=sale.customer,
        amount_minor=sale.amount_minor,
        currency=sale.currency,
        effective_at=sale.effective_at,
    )
