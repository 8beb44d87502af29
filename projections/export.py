"""The audit log as a file that others can check: every fact with its legs, or some of them with proofs.

What stands in the tables is written as it is: to judge it is the verifier's part (docs/audit-log.md).
"""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from ledger.audit import merkle
from ledger.audit.merkle import HASH_BYTES, TILE_HASHES
from ledger.audit.revshare_verify import PART, WHOLE
from ledger.store.application import Ledger
from ledger.store.recorder import Row
from projections import tables
from projections.audit_log import index_of, legs_of, positions_of, read_tile, tiles_of
from projections.checkpoints import latest

SPAN_TILES: Final = 16
READ_CHUNK: Final = 500
PART_FACTS: Final = 1_000
"""Facts of a part that are read at once."""

Progress = Callable[[int, int], None]
Write = Callable[[bytes], Any]


class NoCheckpoint(Exception):
    """Nothing was signed yet, so nothing can be shown to be whole."""


class NotSealed(Exception):
    """A fact that is asked for is no leaf of the checkpoint's tree yet."""


def export_log(ledger: Ledger, write: Write, progress: Progress = lambda _done, _total: None) -> int:
    """Write every fact up to the newest checkpoint; how many there are. Raises NoCheckpoint."""
    row = _newest(ledger)
    write(header(WHOLE, row.note))
    count = 0
    for first in range(0, -(-row.size // TILE_HASHES), SPAN_TILES):
        end = min((first + SPAN_TILES) * TILE_HASHES, row.size)
        with ledger.database.read() as connection:
            places = [
                place
                for tile in range(first, -(-end // TILE_HASHES))
                for place in positions_of(connection, tile)
            ][: end - first * TILE_HASHES]
            hashes = [read_tile(connection, 0, tile) for tile in range(first, -(-end // TILE_HASHES))]
            rows = _rows(ledger, connection, places)
        leaves = b"".join(hashes)
        for number, place in enumerate(places):
            if place in rows:  # a fact that is gone leaves a gap in the indexes, which the verifier names
                leaf = leaves[number * HASH_BYTES : (number + 1) * HASH_BYTES]
                write(_line(ledger, rows[place], first * TILE_HASHES + number, leaf, None))
                count += 1
        progress(end, row.size)
    return count


def export_part(
    ledger: Ledger, places: Sequence[int], write: Write, progress: Progress = lambda _done, _total: None
) -> int:
    """Write the facts at these positions, each with the proof that it is in the newest checkpoint's tree.

    Raises NoCheckpoint, NotSealed.
    """
    row = _newest(ledger)
    write(header(PART, row.note))
    wanted = sorted(set(places))
    for start in range(0, len(wanted), PART_FACTS):
        for line in proven(ledger, wanted[start : start + PART_FACTS], row.size):
            write(line)
        progress(min(start + PART_FACTS, len(wanted)), len(wanted))
    return len(wanted)


def positions_of_partner(ledger: Ledger, partner_id: UUID) -> list[int]:
    """The positions of the facts that moved a partner's money."""
    c = tables.journal.c
    query = sa.select(c.position).where(c.partner_id == partner_id).distinct().order_by(c.position)
    with ledger.database.read() as connection:
        return list(connection.execute(query).scalars())


def proven(
    ledger: Ledger, places: Sequence[int], size: int, *, by_hash: Collection[int] = ()
) -> Iterator[bytes]:
    """The lines of the facts at these positions, with their proofs for a tree; of those `by_hash` the words
    stand there by their hash only. Raises NotSealed."""
    with ledger.database.read() as connection:
        tiles = tiles_of(connection)
        rows = {
            row[4]: row
            for start in range(0, len(places), READ_CHUNK)
            for row in ledger.log.read_at(connection, places[start : start + READ_CHUNK])
        }
        for place in places:
            index = index_of(connection, place)
            if index is None or index >= size or place not in rows:
                raise NotSealed(f"the fact at position {place} is not in the tree of {size} leaves")
            leaf = tiles(0, index // TILE_HASHES)[index % TILE_HASHES * HASH_BYTES :][:HASH_BYTES]
            proof = merkle.inclusion_proof(tiles, index, size)
            yield _line(ledger, rows[place], index, leaf, proof, by_hash=place in by_hash)


def _newest(ledger: Ledger) -> Any:
    with ledger.database.read() as connection:
        row = latest(connection)
    if row is None:
        raise NoCheckpoint("no checkpoint was signed yet")
    return row


def _rows(ledger: Ledger, connection: sa.Connection, places: Sequence[int]) -> dict[int, Row]:
    """The facts at these positions, which stand close together."""
    found: dict[int, Row] = {}
    wanted = set(places)
    after = places[0] - 1 if places else 0
    while places and after < places[-1]:
        rows = ledger.log.read_log(connection, after=after, limit=SPAN_TILES * TILE_HASHES, stop=places[-1])
        found.update({row[4]: row for row in rows if row[4] in wanted})
        if not rows:
            break
        after = rows[-1][4]
    return found


def header(kind: str, note: str, version: int = 1) -> bytes:
    """The first line of an export."""
    return _json({"format": kind, "version": version, "checkpoint": note}) + b"\n"


def _line(
    ledger: Ledger,
    row: Row,
    index: int,
    leaf: bytes,
    proof: Sequence[bytes] | None,
    *,
    by_hash: bool = False,
) -> bytes:
    """A fact on a line. The words stand in it as they are stored, byte for byte, or `by_hash`."""
    stream, version, topic, state, place = row
    try:
        posted = legs_of(ledger, row)
    except (LookupError, ValueError, TypeError):  # words that are none: the verifier will say so
        posted = ()
    legs = [
        [
            leg.account,
            leg.amount_minor,
            leg.currency,
            str(leg.program_id),
            str(leg.partner_id),
            leg.posting_version,
        ]
        for leg in posted
    ]
    told: dict[str, Any] = {
        "index": index,
        "position": place,
        "stream": str(stream),
        "version": version,
        "topic": topic,
        "legs": legs,
        "leaf": leaf.hex(),
    }
    if proof is not None:
        told["proof"] = [each.hex() for each in proof]
    if by_hash:
        return _json(told | {"words": [len(state), sha256(state).hexdigest()]}) + b"\n"
    return _json(told)[:-1] + b',"state":' + state + b"}\n"


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
