"""Bulk statements carry every value through unchanged, on both databases."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from projections import bulk, tables
from tests.projections.world import PROGRAM, conversion, day, partner

STRANGE = [
    "",
    "NULL",
    "null",
    'say "hi"',
    "back\\slash",
    "a,b",
    "{x}",
    " spaced ",
    "naïve 💶",
    "line\nbreak",
    "%s",
]


def row(number, text, at=None):
    return (conversion(number), PROGRAM, partner(1), text, text, None, at or day(number), day(number), number)


@pytest.fixture
def stored(ledger, rows):
    """Writes rows of a table that has every type, and reads them back by their position."""

    def store(write, given, **named):
        with ledger.database.write() as connection:
            write(connection, tables.not_rewarded, "not_rewarded", given, **named)
        return {tuple(found.values())[-1]: tuple(found.values()) for found in rows(tables.not_rewarded)}

    return store


def test_strange_words_come_back_as_they_went(stored):
    """Quotes, braces, what looks like NULL, and what is none."""
    given = [row(number, text) for number, text in enumerate(STRANGE)]

    assert stored(bulk.insert, given) == {r[-1]: r for r in given}


def test_times_of_any_zone_come_back_in_utc(stored):
    """The same instant, to the microsecond."""
    at = datetime(2024, 5, 1, 12, 0, 0, 7, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    found = stored(bulk.insert, [row(1, "x", at)])[1][6]

    assert (found, found.tzinfo) == (at, UTC)


def test_upserts_updates_and_deletes(stored, ledger):
    """What is there is changed, what is not is added, what is named goes."""
    stored(bulk.insert, [row(1, "one"), row(2, "two")])
    found = stored(bulk.upsert, [row(2, 'new "two"'), row(3, "three")])
    assert [found[n][3] for n in (1, 2, 3)] == ["one", 'new "two"', "three"]

    changed = stored(bulk.update, [(conversion(1), "changed", 10)], put=["reason"], add=["position"])
    assert changed[11][3] == "changed"

    left = stored(bulk.delete, [conversion(1), conversion(3)])
    assert list(left) == [2]


def test_nothing_to_write_is_fine(stored):
    """No rows, no statement."""
    for write in (bulk.insert, bulk.upsert, bulk.update, bulk.delete):
        assert stored(write, []) == {}
