"""Rows of the log and of the journal as bytes, the way that entries hold them, on either database.

Nothing is taken for granted of what stands in the tables: what cannot be part of an entry gives no leaf.
"""

import struct
from collections import defaultdict
from collections.abc import Sequence
from itertools import count
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
"""The first position that there can be, and as one to begin behind: before it. Rows that somebody put in may
have any."""
LAST: Final = 2**63 - 1
"""The last position that there can be."""
_LOG: Final = {
    True: "SELECT notification_id, int8send(notification_id) || uuid_send(originator_id)"
    " || int8send(originator_version), convert_to(topic, 'UTF8'), state FROM stored_events"
    " WHERE notification_id >= %s AND notification_id <= %s ORDER BY notification_id",
    False: "SELECT notification_id, originator_id, CAST(topic AS BLOB), state, originator_version"
    " FROM stored_events WHERE notification_id >= ? AND notification_id <= ? ORDER BY notification_id",
}
_JOURNAL: Final = {
    True: "SELECT position, leg, amount_minor, convert_to(account, 'UTF8'), convert_to(currency, 'UTF8'),"
    " uuid_send(program_id), uuid_send(partner_id), posting_version FROM journal"
    " WHERE position >= %s AND position <= %s ORDER BY position, leg",
    # On SQLite a BLOB may stand for a text, and no query finds it then. Every text is less than any BLOB.
    False: "SELECT position, leg, amount_minor, CAST(account AS BLOB), CAST(currency AS BLOB),"
    " program_id, partner_id, posting_version, account < x'' AND currency < x''"
    " FROM journal"
    " WHERE position >= ? AND position <= ? ORDER BY position, leg",
}
Held = defaultdict[tuple[bytes, bytes], int]
"""What legs sum to, by what stands before and behind the amount of each in its entry."""
NO_LEG: Final = b"no leg"
"""What a row of the journal is that can be none."""
_AMOUNT: Final = struct.Struct(">q").pack
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
        rows = self._cursor(connection).execute(_LOG[self._postgresql], _between(after, upto)).fetchall()
        # Plain tuples: to name the fields of each would cost as much as to hash it.
        heads = None if self._postgresql else _heads(rows)
        if heads is not None:
            rows = [(row[0], head, row[2], row[3]) for row, head in zip(rows, heads, strict=True)]
        return cast("list[LogRow]", rows)

    def legs(
        self, connection: sa.Connection, after: int, upto: int, held: Held | None = None
    ) -> dict[int, list[bytes]]:
        """What the journal has of each position: its legs as entries hold them. They are added to `held`."""
        found: dict[int, list[bytes]] = {}
        sums = defaultdict(int) if held is None else held
        if upto <= after:
            return found
        holders, pack = self._holders, _AMOUNT
        rows = self._cursor(connection).execute(_JOURNAL[self._postgresql], _between(after, upto)).fetchall()
        for row in rows:
            packed = found.get(row[0])
            if packed is None:
                packed = found[row[0]] = []
            try:
                holder = holders[row[3:]]
                leg = holder[0] + pack(row[2]) + holder[1]
                sums[holder] += row[2]
            except (*_BAD, AttributeError):
                leg = NO_LEG
            packed.append(leg if row[1] == len(packed) + 1 else NO_LEG)
        return found

    def leaves(self, rows: Sequence[LogRow], legs: Sequence[Sequence[bytes]]) -> list[bytes]:
        """The leaves' hashes of many rows, each with its legs."""
        topics, packed = self._topics, entries.legs_of
        try:
            return entries.leaf_hashes(
                (row[1], topics[row[2]], row[3], packed(own) if own else NO_LEGS)  # type: ignore[misc]
                for row, own in zip(rows, legs, strict=True)
            )
        except _BAD:  # one of them can have none
            return [self.leaf(row, own) for row, own in zip(rows, legs, strict=True)]

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
        account, currency, program, partner, version, *is_text = holder
        if not self._postgresql:
            program, partner = _uuid(program), _uuid(partner)
            if is_text != [1]:
                raise ValueError("no texts")
        back = program + partner + version.to_bytes(4, "big")
        return entries.text_of(account) + entries.text_of(currency), back


def _between(after: int, upto: int) -> tuple[int, int]:
    """The first and the last position of what stands behind one, up to another."""
    return (BEGINNING if after <= BEGINNING else min(after, LAST - 1) + 1), upto


def _heads(rows: Sequence[Any]) -> list[bytes | None]:
    """The heads of SQLite's rows: all at once, or one by one where some can have none."""
    try:
        ids = _uuids([row[1] for row in rows])
        head = entries.head_of
        return [head(row[0], ids[at : at + 16], row[4]) for row, at in zip(rows, count(0, 16), strict=False)]
    except _BAD:
        return [_head(row) for row in rows]


def _head(row: Any) -> bytes | None:
    try:
        return entries.head_of(row[0], _uuid(row[1]), row[4])
    except _BAD:
        return None


def _uuids(texts: Sequence[str]) -> bytes:
    """Ids as SQLite holds them, one after the other. Only one text stands for each."""
    joined = "".join(texts)
    found = bytes.fromhex(joined)
    if found.hex() != joined or any(len(each) != 32 for each in texts):
        raise ValueError("no ids as we write them")
    return found


def _uuid(text: str) -> bytes:
    return _uuids([text])


def holder_of(leg: tuple[bytes, bytes]) -> tuple[str, str, UUID, UUID]:
    """Account, currency, program and partner of a leg, by what stands before and behind its amount."""
    front, back = leg
    length = int.from_bytes(front[:2], "big")
    account, currency = front[2 : 2 + length], front[4 + length :]
    return account.decode(), currency.decode(), UUID(bytes=back[:16]), UUID(bytes=back[16:32])
