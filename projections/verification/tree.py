"""The tree above the leaves, made from them alone; the stored tiles of its upper levels are held to it."""

import struct
from collections.abc import Mapping

import sqlalchemy as sa

from ledger.audit import merkle
from ledger.audit.merkle import HASH_BYTES, TILE_HASHES
from projections.audit_log import positions_of, read_tile, tiles, tree_size
from projections.verification.findings import Findings

_TILE_BYTES = TILE_HASHES * HASH_BYTES


class Tree:
    """A tree of `size` leaves. It keeps what is above the tiles of leaves, and one of these at a time."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._levels = [bytearray()]
        """The hashes of level 1, of level 2, …"""
        self._mended: dict[int, bytes] = {}
        self._last: tuple[int, bytes] = (-1, b"")
        self._last_positions: tuple[int, list[int]] = (-1, [])

    def add(self, hashes: bytes, mended: Mapping[int, bytes]) -> None:
        """Add the hashes of the next full tiles of leaves, and tiles that are other than the stored ones."""
        self._levels[0] += hashes
        self._mended.update(mended)

    def close(self) -> None:
        """All leaves are there: make the levels above."""
        while len(below := self._levels[-1]) >= _TILE_BYTES:
            above = bytearray()
            for start in range(0, len(below) // _TILE_BYTES * _TILE_BYTES, _TILE_BYTES):
                above += merkle.complete(bytes(below[start : start + _TILE_BYTES]))
            self._levels.append(above)

    def root(self, connection: sa.Connection, size: int) -> bytes:
        """The root of the first leaves. Raises TreeTooSmall."""

        def read(level: int, tile: int) -> bytes:
            return self._leaves(connection, tile) if level == 0 else self._upper(level, tile)

        return merkle.root(read, size)

    def position(self, connection: sa.Connection, index: int) -> int | None:
        """The position of the fact of a leaf."""
        tile, offset = divmod(index, TILE_HASHES)
        if self._last_positions[0] != tile:
            try:
                self._last_positions = tile, positions_of(connection, tile)
            except struct.error:  # it was changed, and the span has named it
                self._last_positions = tile, []
        found = self._last_positions[1]
        return found[offset] if offset < len(found) else None

    def check_tiles(self, connection: sa.Connection, findings: Findings) -> None:
        """Hold the stored tiles above the leaves to those that the leaves give.

        While the sequencer adds leaves, the last tile of a level may have come further already.
        """
        still = tree_size(connection) == self.size
        seen: set[tuple[int, int]] = set()
        query = sa.select(tiles.c.level, tiles.c.tile, tiles.c.hashes).where(tiles.c.level > 0)
        for level, tile, hashes in connection.execute(query.order_by(tiles.c.level, tiles.c.tile)):
            made = self._upper(level, tile)
            seen.add((level, tile))
            if hashes != made and (still or not bytes(hashes).startswith(made)):
                self._differs(findings, level, tile, made, bytes(hashes))
        for level in range(1, len(self._levels) + 1):
            for tile in range(-(-len(self._levels[level - 1]) // _TILE_BYTES)):
                if (level, tile) not in seen:
                    self._differs(findings, level, tile, self._upper(level, tile), b"")
        if still:
            self._check_end(connection, findings)

    def _check_end(self, connection: sa.Connection, findings: Findings) -> None:
        """No tile of leaves goes further than the tree, or stands before it."""
        tile, width = divmod(self.size, TILE_HASHES)
        length = sa.func.length(tiles.c.hashes)
        outside = sa.or_(tiles.c.level < 0, tiles.c.tile < 0, tiles.c.tile >= tile)
        query = sa.select(tiles.c.level, tiles.c.tile, length).where(tiles.c.level <= 0, outside)
        for level, found, bytes_there in connection.execute(query.order_by(tiles.c.level, tiles.c.tile)):
            expected = width if (level, found) == (0, tile) else 0
            if bytes_there > expected * HASH_BYTES:
                place = {"table": tiles.name, "level": level, "tile": found}
                findings.add(
                    "tile_changed", place, f"{expected} hashes", f"{bytes_there // HASH_BYTES} hashes"
                )

    @staticmethod
    def _differs(findings: Findings, level: int, tile: int, made: bytes, stored: bytes) -> None:
        at = next(
            (
                start
                for start in range(0, max(len(made), len(stored)), HASH_BYTES)
                if made[start : start + HASH_BYTES] != stored[start : start + HASH_BYTES]
            ),
            0,
        )
        place = {"table": tiles.name, "level": level, "tile": tile, "number": at // HASH_BYTES + 1}
        one, other = (side[at : at + HASH_BYTES].hex() or "no hash" for side in (made, stored))
        findings.add("tile_changed", place, one, other)

    def _upper(self, level: int, tile: int) -> bytes:
        if not 0 < level <= len(self._levels):
            return b""
        return bytes(self._levels[level - 1][tile * _TILE_BYTES : (tile + 1) * _TILE_BYTES])

    def _leaves(self, connection: sa.Connection, tile: int) -> bytes:
        if tile in self._mended:
            return self._mended[tile]
        if self._last[0] != tile:
            width = min(TILE_HASHES, max(self.size - tile * TILE_HASHES, 0))
            self._last = tile, bytes(read_tile(connection, 0, tile))[: width * HASH_BYTES]
        return self._last[1]
