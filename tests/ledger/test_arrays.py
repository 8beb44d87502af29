"""Arrays packed by us are to the server what the driver's own are."""

import struct
from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.store import arrays

BIGINTS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
MANY = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture
def cursor(postgres_url: str) -> Iterator[psycopg.Cursor]:
    """A cursor that speaks binary, as the recorder's."""
    with psycopg.connect(postgres_url) as connection:
        yield connection.cursor(binary=True)


@MANY
@given(
    ids=st.lists(st.uuids()),
    numbers=st.lists(st.none() | BIGINTS),
    words=st.lists(TEXTS),
    blobs=st.lists(st.binary()),
)
def test_every_value_arrives_as_it_was(cursor, ids, numbers, words, blobs):
    packed = (arrays.uuids(ids), arrays.bigints(numbers), arrays.texts(words), arrays.byteas(blobs))
    found = cursor.execute("SELECT %b, %b, %b, %b", packed).fetchone()

    assert found == (ids, numbers, words, blobs)


def test_a_number_beyond_64_bits_is_an_error():
    with pytest.raises(struct.error):
        arrays.bigints([2**63])


def test_rows_come_back_in_the_order_of_the_arrays(cursor):
    packed = arrays.uuids([UUID(int=number) for number in (3, 1, 2)])
    rows = cursor.execute("SELECT * FROM unnest(%b)", [packed]).fetchall()

    assert [row[0].int for row in rows] == [3, 1, 2]
