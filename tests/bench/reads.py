"""What reads touch, and their plans: `python -m tests.bench.reads --movements 10000 --movements 1000000`.

Makes a journal of so many movements of 40 partners (and as many conversions and rewards) by set-based SQL,
their folios by the way of the live view, and tells for each read how many rows it touches (on SQLite: steps
of its virtual machine), how long it took, and by which plan. The rows do not depend on how busy it is.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID

import sqlalchemy as sa

from ledger.store.database import Database, driver
from ledger.store.migrations import migrate
from projections import binding, queries, tables
from projections.queries import plain
from tests.support.databases import postgresql_database, sqlite_url
from tests.support.postgres import running_postgres
from tests.support.touched import Read, Touched

PARTNERS = 40
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
PROGRAM = UUID(int=1)
TIMES = 50
CLOSED_AT_ONCE = 5_000
LISTS: dict[str, Any] = {
    "conversions": queries.list_conversions,
    "rewards": queries.list_rewards,
    "journal": queries.list_journal,
}

NUMBERS = {
    "postgresql": "generate_series({first}, {last}) AS n(i)",
    "sqlite": "(WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})"
    " SELECT i FROM n) AS n",
}
WORDS = {
    "postgresql": {
        "uuid": "uuid",
        "time": "timestamptz",
        "program": f"'{PROGRAM}'::uuid",
        "partner": "('00000000-0000-4000-8000-' || lpad(to_hex(i % 40), 12, '0'))::uuid",
        "reward": "('00000000-0000-4000-9000-' || lpad(to_hex(i), 12, '0'))::uuid",
        "effective": "timestamptz '2026-01-01Z' + interval '1 second' * (i - i % 86400 * 7919 % 86400)",
        "recorded": "timestamptz '2026-01-01Z' + interval '1 second' * i",
    },
    "sqlite": {
        "uuid": "text",
        "time": "text",
        "program": f"'{PROGRAM.hex}'",
        "partner": "printf('00000000000040008000%012x', i % 40)",
        "reward": "printf('00000000000040009000%012x', i)",
        "effective": "strftime('%Y-%m-%dT%H:%M:%S.000000Z',"
        " 1767225600 + i - i % 86400 * 7919 % 86400, 'unixepoch')",
        "recorded": "strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1767225600 + i, 'unixepoch')",
    },
}
JOURNAL = """
    INSERT INTO journal SELECT i, leg, account, amount, 'GBP', {program}, {partner}, 1,
    {effective}, {recorded}, {reward}, CAST(NULL AS {uuid}), {reward} FROM {numbers} CROSS JOIN (
        SELECT 1 AS leg, 'commission_expense' AS account, 100 AS amount
        UNION ALL SELECT 2, 'commission_accrued', -100
    ) AS legs ORDER BY i, leg
"""
REWARDS = """
    INSERT INTO rewards SELECT {reward}, {reward}, {program}, {partner}, {reward}, 100, 0, 'held', 'GBP', 500,
    10000, 2000, CAST(NULL AS bigint), 1, 0, '[]', '20%', {effective}, CAST(NULL AS {time}),
    {effective}, {recorded}, i, i FROM {numbers}
"""
CONVERSIONS = """
    INSERT INTO conversions SELECT {reward}, {program}, 'customer-' || i, {reward}, 'shop', 'sale-' || i,
    'sale', CAST(NULL AS text), 500, 0, 0, 'GBP', 'recorded', {effective}, {recorded}, i FROM {numbers}
"""
BALANCES = """
    INSERT INTO balances SELECT {program}, {partner}, 'GBP', 0, 0, 0, 0, 0, 0, 0, 0 FROM {numbers}
"""


def main() -> int:
    """Each size on each database."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.reads", description=__doc__)
    parser.add_argument("--movements", type=int, action="append", help="sizes of the journal, ascending")
    parser.add_argument("--plans", action="store_true", help="print the plans at the last size")
    options = parser.parse_args()
    sizes = options.movements or [10_000, 1_000_000]
    with tempfile.TemporaryDirectory(prefix="revshare-reads-") as folder, running_postgres() as server:
        with postgresql_database(server) as url:
            measure(url, sizes, plans=options.plans)
        measure(sqlite_url(Path(folder) / "revshare.db"), sizes, plans=options.plans)
    return 0


def measure(url: str, sizes: list[int], *, plans: bool) -> None:
    """The journal grows from size to size; one JSON line for each."""
    migrate(url)
    database = Database(url)
    made = 0
    for size in sizes:
        began = time.monotonic()
        _grow(database, made, size)
        made = size
        line: dict[str, Any] = {"database": database.engine.dialect.name, "movements": size}
        line["made_in_s"] = round(time.monotonic() - began)
        asked = reads(size)
        with database.read() as connection:
            touched = Touched(connection)
            line["touched"] = {name: touched.count(read) for name, read in asked.items()}
            line["ms"] = {name: _milliseconds(connection, read) for name, read in asked.items()}
        print(json.dumps(line), flush=True)
    if plans:
        _explain(database, reads(made))
    database.close()


def _grow(database: Database, made: int, size: int) -> None:
    kind = database.engine.dialect.name
    numbers = NUMBERS[kind].format(first=made + 1, last=size)
    partners = NUMBERS[kind].format(first=0, last=PARTNERS - 1)
    with database.write() as connection:
        for statement in (JOURNAL, CONVERSIONS, REWARDS):
            driver(connection).execute(statement.format(**WORDS[kind], numbers=numbers))
        if not made:
            driver(connection).execute(BALANCES.format(**WORDS[kind], numbers=partners))
    with database.write() as connection:
        accounts = connection.execute(sa.select(*tables.balances.primary_key)).all()
    for account in accounts:
        with database.write() as connection:
            binding.close(connection, [tuple(account)])
    with database.write() as connection:
        connection.execute(sa.text("ANALYZE"))


def reads(size: int) -> dict[str, Read]:
    """What a partner's page asks, now and of the middle of the history; and the lists of all."""
    partner = {"partner_id": UUID("00000000-0000-4000-8000-000000000007")}
    middle = BEGIN + timedelta(seconds=size // 2)
    then = {"effective_as_of": middle - timedelta(hours=5), "recorded_as_of": middle}

    def read(fetch: Any, **asked: Any) -> Read:
        return lambda connection: fetch(connection, **partner, **asked)

    def behind(fetch: Any, **asked: Any) -> Read:
        def second(connection: sa.Connection) -> None:
            after = fetch(connection, **asked).next
            if after is not None:
                fetch(connection, **asked, after=after)

        return second

    return {
        "balance": read(queries.list_balances),
        "balance as of both": read(queries.list_balances_as_of, **then),
        "balance as of effective": read(queries.list_balances_as_of, effective_as_of=middle),
        "balance as of recorded": read(queries.list_balances_as_of, recorded_as_of=middle),
        "journal, a page": read(queries.list_journal),
        "journal, two pages": behind(queries.list_journal, **partner),
        "journal as of both": read(queries.list_journal, **then),
        "rewards, a page": read(queries.list_rewards),
        "rewards, two pages": behind(queries.list_rewards, **partner),
        "rewards as of effective": read(queries.list_rewards, effective_as_of=middle),
        **{f"{name}, all": behind(fetch) for name, fetch in LISTS.items()},
        **{f"{name}, a program's": behind(fetch, program_id=PROGRAM) for name, fetch in LISTS.items()},
        "conversions, a partner's": behind(queries.list_conversions, **partner),
        "conversions of another kind": behind(queries.list_conversions, kind="signup"),
        "conversions of a customer": behind(queries.list_conversions, program_id=PROGRAM, customer="none"),
        "rewards of a stage that none has": behind(queries.list_rewards, stage="none"),
        "journal of an account that moved nothing": behind(queries.list_journal, account="none"),
    }


def _milliseconds(connection: sa.Connection, read: Read) -> float:
    took = []
    for _ in range(TIMES):
        began = time.perf_counter()
        read(connection)
        took.append(time.perf_counter() - began)
    return round(statistics.median(took) * 1_000, 2)


# Plans


def _explain(database: Database, asked: dict[str, Read]) -> None:
    for name, read in asked.items():
        print(f"\n{database.engine.dialect.name}: {name}")
        with database.read() as connection, _recorded(connection) as statements:
            read(connection)
        with database.read() as connection:
            for number, (statement, given) in enumerate(statements, 1):
                print(f"  statement {number}")
                for line in _plan(connection, statement, given):
                    print(f"    {line}")


def _plan(connection: sa.Connection, statement: str, given: Any) -> list[str]:
    if connection.dialect.name == "postgresql":
        found = driver(connection).execute(f"EXPLAIN (COSTS OFF) {statement}", given)
        return [line for (line,) in found]
    return [row[3] for row in driver(connection).execute(f"EXPLAIN QUERY PLAN {statement}", given)]


@contextmanager
def _recorded(connection: sa.Connection) -> Iterator[list[tuple[str, Any]]]:
    """Every statement of the block, with what its parameters were given."""
    found: list[tuple[str, Any]] = []

    def by_sqlalchemy(_connection: Any, _cursor: Any, statement: str, given: Any, *_: Any) -> None:
        found.append((statement, given))

    class ByDriver:
        def __init__(self, raw: Any) -> None:
            self._raw = raw

        def execute(self, statement: str, given: Any) -> Any:
            found.append((statement, given))
            return self._raw.execute(statement, given)

    sa.event.listen(connection, "before_cursor_execute", by_sqlalchemy)
    try:
        with patch.object(plain, "driver", lambda of: ByDriver(driver(of))):
            yield found
    finally:
        sa.event.remove(connection, "before_cursor_execute", by_sqlalchemy)


if __name__ == "__main__":
    sys.exit(main())
