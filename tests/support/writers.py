"""Writers in processes of their own, and a reader that tails the log while they write."""

import multiprocessing
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise
from multiprocessing.connection import Connection
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from ledger.events.base import Recorded
from ledger.events.referral import ReferralLinkTouched
from ledger.store.application import Ledger
from ledger.store.database import Database, driver
from ledger.store.event_recorder import AnyEvent, EventRecorder
from ledger.store.recorder import PostgresRecorder

WRITERS = 4
THREADS = 4
FACT = ReferralLinkTouched(program_id=UUID(int=1), partner_id=UUID(int=2), code="code")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
WAIT_S = 120
PAGE = 200
Place = tuple[int, UUID, int]
"""Position, stream, version."""


class SlowRecorder(PostgresRecorder):
    """Sleeps a random while between its inserts and its commit, as a busy machine would."""

    def _insert(self, connection: sa.Connection, events: Sequence[AnyEvent]) -> list[int | None]:
        inserted = super()._insert(connection, events)
        driver(connection).execute("SELECT pg_sleep(random() * 0.02)")
        return inserted

    def _insert_alone(self, events: Sequence[AnyEvent]) -> list[int | None]:
        return EventRecorder._insert_alone(self, events)  # step by step, so that there is a place to sleep in


class UnlockedRecorder(SlowRecorder):
    """The same without the lock: what the tailing test must catch."""

    def _lock(self, connection: sa.Connection) -> None:
        """Leave the lock out."""


class LedgerOf(Ledger):
    """A ledger over another recorder."""

    def __init__(self, database: Database, recorder: PostgresRecorder) -> None:
        super().__init__(database)
        self._recorder = recorder


def make_ledger(url: str, how: str) -> Ledger:
    """The ledger that a writer writes with: direct, grouped, slow or unlocked."""
    database = Database(url, pool_size=THREADS)
    match how:
        case "slow":
            return LedgerOf(database, SlowRecorder(database))
        case "unlocked":
            return LedgerOf(database, UnlockedRecorder(database))
        case _:
            return Ledger(database, group_commit=how == "grouped")


def script(seed: int, events: int) -> list[list[list[Recorded]]]:
    """Calls of a writer: single events, a few of one stream, and batches of many units."""
    source = random.Random(seed)
    calls: list[list[list[Recorded]]] = []
    while events > 0:
        kind = source.random()
        if kind < 0.7:
            sizes = [1]
        elif kind < 0.9:
            sizes = [source.randint(2, 5)]
        else:
            sizes = [source.randint(1, 2) for _ in range(source.randint(20, 60))]
        streams = [UUID(int=source.getrandbits(128), version=4) for _ in sizes]
        calls.append(
            [
                [Recorded(stream, version, NOW, "test", FACT) for version in range(1, size + 1)]
                for stream, size in zip(streams, sizes, strict=True)
            ]
        )
        events -= sum(sizes)
    return calls


def write(url: str, how: str, seed: int, events: int, answer: Connection) -> None:
    """A writer process: sends its calls and answers with what was acknowledged, position by key."""
    ledger = make_ledger(url, how)
    acknowledged: list[Place] = []

    def send(call: list[list[Recorded]]) -> None:
        for unit, positions in zip(call, ledger.append_units(call), strict=True):
            assert positions is not None
            for recorded, position in zip(unit, positions, strict=True):
                acknowledged.append((position, recorded.originator_id, recorded.originator_version))

    with ThreadPoolExecutor(THREADS if how == "grouped" else 1) as pool:
        list(pool.map(send, script(seed, events)))
    ledger.close()
    answer.send(acknowledged)
    answer.close()


class Tailed:
    """What a reader saw while others wrote, and what the writers were told."""

    def __init__(self, seen: Sequence[Place], acknowledged: set[Place]) -> None:
        self.seen = seen
        self.acknowledged = acknowledged

    def skipped(self) -> set[Place]:
        """What was acknowledged and the reader never saw."""
        return self.acknowledged - set(self.seen)

    def in_order_once(self) -> bool:
        """Whether each position came once, and behind all before it."""
        positions = [position for position, _, _ in self.seen]
        return all(a < b for a, b in pairwise(positions))


def tail_while_writing(url: str, how: str, events_each: int) -> Tailed:
    """Four processes write; meanwhile read the log behind the last position seen, until all is written."""
    context = multiprocessing.get_context("spawn")
    processes: list[Any] = []
    answers: list[Connection] = []
    for seed in range(WRITERS):
        receiving, sending = context.Pipe(duplex=False)
        process = context.Process(target=write, args=(url, how, seed, events_each, sending), daemon=True)
        process.start()
        sending.close()
        processes.append(process)
        answers.append(receiving)
    database = Database(url)
    recorder = Ledger(database).log
    seen: list[Place] = []
    acknowledged: set[Place] = set()
    last, waiting = 0, list(answers)
    while True:
        ended = not waiting  # said before the read, so that the last read comes after the last commit
        with database.read() as connection:
            rows = recorder.read_log(connection, after=last, limit=PAGE)
        seen += [(row[4], row[0], row[1]) for row in rows]
        last = rows[-1][4] if rows else last
        if ended and not rows:
            break
        for answer in [answer for answer in waiting if answer.poll()]:
            acknowledged.update(answer.recv())  # EOFError: the writer died
            waiting.remove(answer)
    for process in processes:
        process.join(WAIT_S)
        assert process.exitcode == 0
    database.close()
    return Tailed(seen, acknowledged)
