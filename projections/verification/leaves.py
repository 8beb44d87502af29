"""A span of the tree's leaves made again from the log and the journal, and held to the stored tiles."""

from collections import defaultdict
from collections.abc import Sequence
from struct import Struct
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from ledger.audit import merkle
from ledger.audit.merkle import HASH_BYTES, TILE_HASHES
from ledger.store.application import Ledger
from projections.audit_log import bundles, tiles
from projections.verification.findings import Finding, Findings
from projections.verification.reading import BEGINNING, LAST, Held, LogRow, Reader

_POSITION: Final = Struct(">Q")
_TILE_BYTES: Final = TILE_HASHES * HASH_BYTES


class Span(NamedTuple):
    """Tiles of leaves, from `first` up to but without `end`; of a tree of `size` leaves."""

    first: int
    end: int
    size: int
    journal: int
    """As far as the journal has come: what lies behind has its legs from the posting rule."""


class Checked(NamedTuple):
    """What was found of a span."""

    facts: int
    hashes: bytes
    """The hashes of its full tiles, one after the other: what the level above holds of them."""
    mended: dict[int, bytes]
    """The tiles whose stored bytes are wrong, as they must be."""
    findings: list[Finding]
    counts: dict[str, int]
    held: Held
    """What the legs that were read sum to."""


class LeafCheck:
    """Checks spans, one after the other."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._reader = Reader(ledger)

    def check(self, span: Span) -> Checked:
        """Make the span's leaves again and compare."""
        with self._ledger.database.read() as connection:
            return _SpanCheck(connection, self._reader, span).run()


class _SpanCheck:
    def __init__(self, connection: sa.Connection, reader: Reader, span: Span) -> None:
        self._connection, self._reader, self._span = connection, reader, span
        self._findings = Findings()
        self._mended: dict[int, bytes] = {}
        self._bundles = self._stored_bundles()
        self._stored = self._stored_tiles(0, span.first, span.end)

    def run(self) -> Checked:
        span = self._span
        after = self._before()
        upto = min(
            max((last for found in self._bundles.values() for last in found[-1:]), default=after), LAST
        )
        rows = self._reader.log(self._connection, after, upto)
        held: Held = defaultdict(int)
        legs = self._reader.legs(self._connection, after, min(upto, span.journal), held)
        leaves = self._leaves(rows, legs)
        expected = [p for tile in range(span.first, span.end) for p in self._bundles.get(tile, ())]
        stored = b"".join([self._stored.get(tile, b"") for tile in range(span.first, span.end)])
        whole = all(self._whole(tile) for tile in range(span.first, span.end))
        if not (whole and stored == b"".join(leaves) and expected == [row[0] for row in rows]):
            before = sum(self._findings.counts.values())
            self._explain(rows, leaves)
            if sum(self._findings.counts.values()) == before:  # never: but then it must not look sound
                place = {"table": tiles.name, "level": 0, "tile": span.first}
                self._findings.add("tile_changed", place, "what the facts give", "something else")
        full = [tile for tile in range(span.first, span.end) if self._width(tile) == TILE_HASHES]
        hashes = [_root(self._mended.get(tile) or self._stored.get(tile, b"")) for tile in full]
        found = self._findings
        return Checked(
            len(rows), b"".join(hashes), self._mended, list(found.firsts.values()), found.counts, held
        )

    def _leaves(self, rows: Sequence[LogRow], legs: dict[int, list[bytes]]) -> list[bytes]:
        """The leaf of each row; legs that belong to none are named."""
        take, journal = legs.pop, self._span.journal
        own: list[Sequence[bytes]] = [take(row[0], ()) for row in rows if row[0] <= journal]
        own += [self._reader.posted(row) for row in rows[len(own) :]]
        made = self._reader.leaves(rows, own)
        for position, packed in legs.items():
            place = {"position": position, "table": "journal"}
            self._findings.add("leg_inserted", place, "no leg", "; ".join(map(_shown, packed)))
        return made

    # Where the span is not as stored: row by row

    def _explain(self, rows: Sequence[LogRow], leaves: Sequence[bytes]) -> None:
        span = self._span
        given = {row[0]: (row, leaf) for row, leaf in zip(rows, leaves, strict=True)}
        stored = [self._stored.get(tile, b"") for tile in range(span.first, span.end)]
        as_stored = all(leaves) and b"".join(stored) == b"".join(leaves)
        start = 0
        for tile in range(span.first, span.end):
            positions = self._bundles.get(tile, [])
            width = self._width(tile)
            if as_stored:  # the leaves are right, so it is the table of positions that is not
                positions = [row[0] for row in rows[start : start + width]]
            start += width
            if positions != self._bundles.get(tile) or not self._whole(tile):
                place = {"table": bundles.name, "tile": tile}
                self._findings.add("bundle_changed", place, *_differing(positions, self._bundles.get(tile)))
            if not as_stored:
                self._explain_tile(tile, positions, given)
        known = {position for found in self._bundles.values() for position in found}
        if all(tile in self._bundles for tile in range(span.first, span.end)) and not as_stored:
            for row in rows:
                if row[0] not in known:
                    place = {"position": row[0], **_about(row)}
                    self._findings.add("fact_inserted", place, "no fact", f"a fact of {len(row[3])} bytes")

    def _explain_tile(
        self, tile: int, positions: Sequence[int], given: dict[int, tuple[LogRow, bytes]]
    ) -> None:
        stored = self._stored.get(tile, b"")
        made = b"".join([given[position][1] for position in positions if position in given])
        if made == stored:
            return
        if self._is_tile_changed(tile, made, stored):
            place = {"table": tiles.name, "level": 0, "tile": tile}
            self._findings.add("tile_changed", place, *_differing_hashes(made, stored))
            self._mended[tile] = made
            return
        for offset, position in enumerate(positions):
            leaf = stored[offset * HASH_BYTES : (offset + 1) * HASH_BYTES]
            place = {"position": position, "index": tile * TILE_HASHES + offset}
            if position not in given:
                self._findings.add("fact_missing", place, f"a fact with the leaf {leaf.hex()}", "no fact")
                continue
            row, found = given[position]
            if found != leaf:
                self._explain_row(row, found, leaf, place)

    def _is_tile_changed(self, tile: int, made: bytes, stored: bytes) -> bool:
        """Whether the level above tells that the stored tile was changed, and not the facts."""
        if self._width(tile) < TILE_HASHES or len(made) != _TILE_BYTES:
            return len(stored) != self._width(tile) * HASH_BYTES and len(made) > 0
        above = self._stored_tiles(1, tile // TILE_HASHES, tile // TILE_HASHES + 1)
        at = tile % TILE_HASHES * HASH_BYTES
        upper = above.get(tile // TILE_HASHES, b"")[at : at + HASH_BYTES]
        return len(stored) != _TILE_BYTES or _root(made) == upper != _root(stored)

    def _explain_row(self, row: LogRow, found: bytes, leaf: bytes, place: dict[str, Any]) -> None:
        posted = self._reader.posted(row)
        if self._reader.leaf(row, posted) != leaf:
            self._findings.add(
                "fact_changed",
                {**place, **_about(row)},
                f"the leaf {leaf.hex()}",
                found.hex() or "a row that can be no fact",
            )
            return
        written = self._reader.legs(self._connection, row[0] - 1, row[0]).get(row[0], [])
        for number in range(max(len(posted), len(written))):
            expected = _shown(posted[number]) if number < len(posted) else "no leg"
            stands = _shown(written[number]) if number < len(written) else "no leg"
            if expected != stands:
                there = {**place, "table": "journal", "leg": number + 1}
                self._findings.add("leg_differs", there, expected, stands)
                return

    # What is stored

    def _stored_bundles(self) -> dict[int, list[int]]:
        span, c = self._span, bundles.c
        query = sa.select(c.tile, c.first_position, c.positions)
        query = query.where(c.tile >= span.first, c.tile < span.end)
        found: dict[int, list[int]] = {}
        self._firsts: dict[int, int] = {}
        for tile, first, packed in self._connection.execute(query):
            positions = bytes(packed)[: self._width(tile) * _POSITION.size]
            found[tile] = [each for (each,) in _POSITION.iter_unpack(positions[: len(positions) // 8 * 8])]
            self._firsts[tile] = first
        return found

    def _stored_tiles(self, level: int, first: int, end: int) -> dict[int, bytes]:
        c = tiles.c
        query = sa.select(c.tile, c.hashes).where(c.level == level, c.tile >= first, c.tile < end)
        cut = self._width if level == 0 else lambda _tile: TILE_HASHES
        return {
            tile: bytes(hashes)[: cut(tile) * HASH_BYTES] for tile, hashes in self._connection.execute(query)
        }

    def _width(self, tile: int) -> int:
        """How many leaves the tile has."""
        return min(TILE_HASHES, self._span.size - tile * TILE_HASHES)

    def _whole(self, tile: int) -> bool:
        positions = self._bundles.get(tile, [])
        return len(positions) == self._width(tile) and self._firsts.get(tile) == positions[0]

    def _before(self) -> int:
        """The position behind which the span's facts stand. Before the first tile there is nothing, whatever
        somebody put there: a tile that is none would hide the facts up to its last position."""
        if self._span.first == 0:
            return BEGINNING
        c = bundles.c
        query = sa.select(c.positions).where(c.tile < self._span.first).order_by(c.tile.desc()).limit(1)
        packed = bytes(self._connection.execute(query).scalar() or b"")
        return min(int.from_bytes(packed[-_POSITION.size :], "big"), LAST) if packed else BEGINNING


def _about(row: LogRow) -> dict[str, Any]:
    """Which fact a row is, as it says itself."""
    _, head, topic, _ = row
    told: dict[str, Any] = {"topic": topic.decode(errors="replace")}
    if head is not None:
        told |= {"stream": head[8:24].hex(), "version": int.from_bytes(head[24:], "big")}
    return told


def _differing(expected: Sequence[int], found: Sequence[int] | None) -> tuple[str, str]:
    if found is None:
        return "a row", "none"
    for number, (one, other) in enumerate(zip(expected, found, strict=False)):
        if one != other:
            return f"position {one} as number {number + 1}", str(other)
    return f"{len(expected)} positions from {next(iter(expected), None)} on", f"{len(found)}"


def _differing_hashes(expected: bytes, found: bytes) -> tuple[str, str]:
    for at in range(0, max(len(expected), len(found)), HASH_BYTES):
        one, other = expected[at : at + HASH_BYTES], found[at : at + HASH_BYTES]
        if one != other:
            return f"{one.hex() or 'no hash'} as number {at // HASH_BYTES + 1}", other.hex() or "no hash"
    return "the same", "the same"


def _root(tile: bytes) -> bytes:
    """What the level above holds of a full tile; of one that is none, nothing that could be there."""
    return merkle.complete(tile) if len(tile) == _TILE_BYTES else bytes(HASH_BYTES)


def _shown(leg: bytes) -> str:
    """A leg in words."""
    texts = []
    at = 0
    for _ in range(2):
        length = int.from_bytes(leg[at : at + 2], "big")
        texts.append(leg[at + 2 : at + 2 + length].decode(errors="replace"))
        at += 2 + length
    if len(leg) != at + 44:
        return "what can be no leg"
    amount = int.from_bytes(leg[at : at + 8], "big", signed=True)
    program, partner = leg[at + 8 : at + 24].hex(), leg[at + 24 : at + 40].hex()
    version = int.from_bytes(leg[at + 40 :], "big")
    return f"{texts[0]} {amount} {texts[1]} of partner {partner} in program {program} (rule {version})"
