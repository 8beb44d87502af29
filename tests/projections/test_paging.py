"""Pages of a filtered list hold each row once, whatever comes and goes while a page is read."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from ledger.store.database import Database
from projections.queries import paging

THINGS = sa.Table(
    "things_to_page",
    sa.MetaData(),
    sa.Column("at", sa.BigInteger),
    sa.Column("thing_id", sa.BigInteger, primary_key=True),
    sa.Column("state", sa.Text),
    sa.Column("kind", sa.Text),
)
LOOKED_AT = 10
ROWS = 40
WANTED = [number for number in range(ROWS, 0, -1) if number % 7 == 0]
NEW = [{"at": number, "thing_id": number, "state": "open", "kind": "b"} for number in range(101, 109)]
CHANGES: dict[str, sa.Executable] = {
    "nothing": sa.select(sa.literal(1)),
    "rows come": sa.insert(THINGS).values(NEW),
    "rows leave": sa.update(THINGS).where(THINGS.c.thing_id > 32).values(state="done"),
}


@pytest.fixture
def database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Forty open things; every seventh is of the kind that is asked for."""
    monkeypatch.setattr(paging, "LOOKED_AT_MAX", LOOKED_AT)
    made = Database(database_url)
    with made.write() as connection:
        THINGS.create(connection)
        connection.execute(
            sa.insert(THINGS),
            [
                {"at": number, "thing_id": number, "state": "open", "kind": "b" if number % 7 else "a"}
                for number in range(1, ROWS + 1)
            ],
        )
    yield made
    with made.write() as connection:
        THINGS.drop(connection)
    made.close()


def page(connection: sa.Connection, after: Any, limit: int) -> paging.Page:
    """The latest open things of kind a."""
    return paging.page(
        connection,
        paging.filtered(THINGS, state="open"),
        [THINGS.c.at, THINGS.c.thing_id],
        after=after,
        limit=limit,
        descending=True,
        also=paging.besides(kind="a"),
    )


def followed(database: Database, how: str, limit: int, change: sa.Executable | None) -> list[list[int]]:
    """Every page, by `next`; another connection changes rows after the first statement."""
    changes = [] if change is None else [change]

    def changed(*_: Any) -> None:
        if changes:
            now = changes.pop()
            with other.write() as connection:
                connection.execute(now)

    other = Database(database.url)
    sa.event.listen(database.engine, "after_cursor_execute", changed)
    pages: list[list[int]] = []
    after = None
    while True:
        with getattr(database, how)() as connection:
            found = page(connection, after, limit)
        pages.append([row["thing_id"] for row in found.rows])
        after = found.next
        if after is None:
            break
    sa.event.remove(database.engine, "after_cursor_execute", changed)
    other.close()
    return pages


@pytest.mark.parametrize("how", ["read", "glance"])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("limit", [1, 5])
def test_what_comes_and_goes_moves_no_page(database: Database, how: str, change: str, limit: int) -> None:
    """Rows that come or leave after a page was looked for change nothing of the pages behind it."""
    pages = followed(database, how, limit, CHANGES[change])

    assert [number for found in pages for number in found] == WANTED


def test_a_page_has_the_columns_asked_for(database: Database) -> None:
    """Nothing of how it was found."""
    with database.glance() as connection:
        found = page(connection, None, 5)

    assert found.rows == [{"at": 35, "thing_id": 35, "state": "open", "kind": "a"}]
    assert found.next == [31, 31]


def test_a_full_page_leads_on_from_its_own_last_row(database: Database) -> None:
    """Not from the last row looked at: between the two there may be more that fit."""
    with database.glance() as connection:
        full = page(connection, None, 1)
        after_it = page(connection, full.next, 1)

    assert ([row["thing_id"] for row in full.rows], full.next) == ([35], [35, 35])
    assert ([row["thing_id"] for row in after_it.rows], after_it.next) == ([28], [28, 28])
