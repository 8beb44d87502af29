"""Rows of the log and of the journal as bytes, the way that entries hold them, on either database.

Nothing is taken for granted of what stands in the tables: what cannot be part of an entry gives no leaf.
"""

import struct
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, cast
from uuid import UUID

import sqlalchemy as sa

from ledger.audit import entries, merkle
from ledger.store.application import Ledger
from ledger.store.database import driver
from projections.audit_log import legs_of
from projections.forms import Memo

NO_LEGS: Final = entries.legs_of(())
BEGINNING: Final = -(2**63)
"""Before any position: rows that somebody put in may have any."""
LAST: Final = 2**63 - 1
"""The last position that there can be."""
_LOG: Final = {
    True: "SELECT notification_id, int8send(notification_id) || uuid_send(originator_id)"
    " || int8send(originator_version), convert_to(topic, 'UTF8'), state FROM stored_events"
    " WHERE notification_id > %s AND notification_id <= %s ORDER BY notification_id",
    False: "SELECT notification_id, originator_id, CAST(topic AS BLOB), state, originator_version"
    " FROM stored_events WHERE notification_id > ? AND notification_id <= ? ORDER BY notification_id",
}
_JOURNAL: Final = {
    True: "SELECT position, leg, amount_minor, convert_to(account, 'UTF8'), convert_to(currency, 'UTF8'),"
    " uuid_send(program_id), uuid_send(partner_id), posting_version FROM journal"
    " WHERE position > %s AND position <= %s ORDER BY position, leg",
    False: "SELECT position, leg, amount_minor, CAST(account AS BLOB), CAST(currency AS BLOB),"
    " program_id, partner_id, posting_version FROM journal"
    " WHERE position > ? AND position <= ? ORDER BY position, leg",
}
_BAD: Final = (struct.error, TypeError, ValueError, OverflowError)


class LogRow(NamedTuple):
    """A row of the log: its position, the entry's head (none if the row can have none), topic, words."""

    position: int
    head: bytes | None
    topic: bytes
    state: bytes


class Reader:
    """Reads rows of the log, and the journal's legs, as parts of entries."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._postgresql = ledger.database.is_postgresql
        self._topics = Memo(entries.text_of)
        self._holders = Memo(self._packed)

    def log(self, connection: sa.Connection, after: int, upto: int) -> list[LogRow]:
        """The rows behind a position, up to another, in order."""
        rows = self._cursor(connection).execute(_LOG[self._postgresql], (after, upto)).fetchall()
        if self._postgresql:
            return cast(
                "list[LogRow]", rows
            )  # plain tuples: to name the fields of each costs as much as its hash
        return cast("list[LogRow]", [(row[0], _head(row), row[2], row[3]) for row in rows])

    def legs(self, connection: sa.Connection, after: int, upto: int) -> dict[int, list[bytes]]:
        """What the journal has of each position: its legs as entries hold them."""
        found: dict[int, list[bytes]] = {}
        if upto <= after:
            return found
        holders = self._holders
        cursor = self._cursor(connection)
        for position, number, amount, *rest in cursor.execute(_JOURNAL[self._postgresql], (after, upto)):
            packed = found.get(position)
            if packed is None:
                packed = found[position] = []
            try:
                if number != len(packed) + 1:
                    raise ValueError("numbered wrongly")
                front, back = holders[tuple(rest)]
                packed.append(front + amount.to_bytes(8, "big", signed=True) + back)
            except (*_BAD, AttributeError):
                packed.append(b"no leg")
        return found

    def leaf(self, row: LogRow, legs: Sequence[bytes]) -> bytes:
        """The leaf's hash of a row with these legs; none if it can have none."""
        _, head, topic, state = row
        if head is None:
            return b""
        try:
            packed = entries.legs_of(legs) if legs else NO_LEGS
            return merkle.leaf_hash(entries.joined(head, self._topics[topic], state, packed))
        except _BAD:
            return b""

    def posted(self, row: LogRow) -> list[bytes]:
        """The legs that the posting rule gives the row's fact; none where it can't be read."""
        _, head, topic, state = row
        try:
            legs = legs_of(self._ledger, (UUID(int=0), 1, topic.decode(), state, 0))
        except (LookupError, ValueError, TypeError):
            return []
        return [] if head is None else [entries.leg_bytes(leg.posting_version, leg) for leg in legs]

    def _cursor(self, connection: sa.Connection) -> Any:
        raw = driver(connection)
        return raw.cursor(binary=True) if self._postgresql else raw.cursor()

    def _packed(self, holder: tuple[Any, ...]) -> tuple[bytes, bytes]:
        """What stands before and behind the amount of a leg."""
        account, currency, program, partner, version = holder
        if not self._postgresql:
            program, partner = _uuid(program), _uuid(partner)
        back = program + partner + version.to_bytes(4, "big")
        return entries.text_of(account) + entries.text_of(currency), back


def _head(row: Any) -> bytes | None:
    try:
        return entries.head_of(row[0], _uuid(row[1]), row[4])
    except _BAD:
        return None


def _uuid(text: str) -> bytes:
    """An id as SQLite holds it. Only one text stands for it."""
    found = bytes.fromhex(text)
    if found.hex() != text or len(found) != 16:
        raise ValueError("no id as we write it")
    return found
