"""The sequencer of the audit log: every fact with its legs becomes a leaf of one Merkle tree, in log order.

It follows the log after the commit, as a view does, but what it wrote is never made anew: a tree that can be
rebuilt from a changed log would prove nothing.
"""

import threading
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Any, Final

import sqlalchemy as sa
import structlog

from ledger.audit import entries, merkle
from ledger.audit.merkle import HASH_BYTES, TILE_HASHES
from ledger.postings import MONEY_FACTS, Leg, postings
from ledger.store.application import Ledger
from ledger.store.database import DatabaseUnavailable
from ledger.store.mapper import topic_of
from ledger.store.recorder import Row
from ledger.unswept import unswept
from projections import position, shadow
from projections.columns import UtcTime
from projections.queries.plain import Statement, run

NAME: Final = "audit"
"""Under which the sequencer's position in the log is kept."""
BATCH_EVENTS: Final = 4_000
IDLE_S: Final = 0.25
REST_S: Final = 1.0
"""Between two batches while facts keep coming: what a batch costs hardly depends on how many facts it has."""
RETRY_S: Final = 1.0
_POSITION: Final = Struct(">Q")
_MONEY_NAMES: Final = frozenset(topic_of(kind).partition("@")[0] for kind in MONEY_FACTS)

metadata: Final = sa.MetaData()

tiles: Final = sa.Table(
    "audit_tiles",
    metadata,
    sa.Column("level", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("tile", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("hashes", sa.LargeBinary, nullable=False),
)
"""The tree as c2sp.org/tlog-tiles cuts it; the last tile of a level grows."""

bundles: Final = sa.Table(
    "audit_bundles",
    metadata,
    sa.Column("tile", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("first_position", sa.BigInteger, nullable=False, unique=True),
    sa.Column("positions", sa.LargeBinary, nullable=False),
)
"""Where the facts of each tile of leaves stand in the log: 8 bytes each, since positions have gaps."""

checkpoints: Final = sa.Table(
    "audit_checkpoints",
    metadata,
    sa.Column("size", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("root", sa.LargeBinary, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("made_at", UtcTime, nullable=False),
)
"""Every signed head of the tree, with the position of its last fact."""

cosignatures: Final = sa.Table(
    "audit_cosignatures",
    metadata,
    sa.Column("size", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("line", sa.Text, nullable=False),
    sa.Column("recorded_at", UtcTime, nullable=False),
)
"""What witnesses signed below a checkpoint (c2sp.org/tlog-cosignature)."""

deliveries: Final = sa.Table(
    "audit_deliveries",
    metadata,
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("delivered_at", UtcTime),
    sa.Column("error", sa.Text),
    sa.Column("tried_at", UtcTime),
    sa.Column("failures", sa.BigInteger, nullable=False),
)
"""How far each target has got the checkpoints, and what it said last where it did not take one, for how many
tries now."""

refusals: Final = sa.Table(
    "audit_refusals",
    metadata,
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("size", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("refused_at", UtcTime, nullable=False),
    sa.Column("tried_at", UtcTime, nullable=False),
)
"""The checkpoints that a target holds another one in the place of: later ones go on."""

log = structlog.get_logger(__name__)


class Sequencer:
    """Adds leaves in log order. Several may run: whoever loses a race reads again."""

    def __init__(self, ledger: Ledger, *, batch_events: int = BATCH_EVENTS) -> None:
        self._ledger = ledger
        self._batch_events = batch_events
        self._ensured = False

    def step(self) -> int:
        """Add one batch; how many leaves (0: idle)."""
        self._ensure()
        with unswept():
            return self._step()

    def _step(self) -> int:
        with self._ledger.database.read() as connection:
            shadow.see_one_moment(connection)  # the tree as it was at that position
            after = position.read(connection, [NAME])[NAME]
            rows = self._ledger.log.read_log(connection, after=after, limit=self._batch_events)
            if not rows:
                return 0
            leaves = [merkle.leaf_hash(entry_of(self._ledger, row)) for row in rows]
            grown = _grown(connection, leaves, [row[4] for row in rows])
        # Nothing is read or hashed where it would keep writers waiting.
        with self._ledger.database.write() as connection:
            if position.read(connection, [NAME], lock=True)[NAME] != after:
                return 1  # somebody else was quicker, and the tree is another: the next step looks again
            for table, changed in grown:
                _put(connection, table, changed)
            position.move(connection, [NAME], rows[-1][4], self._ledger.clock())
        return len(rows)

    def _ensure(self) -> None:
        if not self._ensured:
            with self._ledger.database.write() as connection:
                position.ensure(connection, [NAME])
            self._ensured = True

    def catch_up(self) -> None:
        """Add leaves until none is left."""
        while self.step():
            pass

    def run(self, stop: threading.Event) -> None:
        """Add leaves until told to stop. A database that is down is waited for.

        While facts keep coming it rests between two batches, too, and longer than where nothing happens: each
        is a commit, which takes the disk's time, and on SQLite the place of somebody who writes.
        """
        while not stop.is_set():
            try:
                sealed = self.step()
                if sealed < self._batch_events:
                    stop.wait(REST_S if sealed else IDLE_S)
            except DatabaseUnavailable as error:
                log.warning("audit.database_unavailable", error=str(error), retry_in_s=RETRY_S)
                stop.wait(RETRY_S)


def entry_of(ledger: Ledger, row: Row) -> bytes:
    """The canonical entry of a row of the log, with the legs that the posting rule gives its fact."""
    stream_id, version, topic, state, place = row
    legs = [(leg.posting_version, leg) for leg in legs_of(ledger, row)]
    return entries.entry(place, stream_id, version, topic, state, legs)


def legs_of(ledger: Ledger, row: Row) -> Sequence[Leg]:
    """The legs that the posting rule gives the fact of a row of the log."""
    return postings(ledger.decode(row).fact) if row[2].partition("@")[0] in _MONEY_NAMES else ()


def entry_at(ledger: Ledger, connection: sa.Connection, place: int) -> bytes:
    """The entry of the fact at a position of the log."""
    [row] = ledger.log.read_log(connection, after=place - 1, limit=1, stop=place)
    return entry_of(ledger, row)


def entries_of(ledger: Ledger, connection: sa.Connection, tile: int) -> list[bytes]:
    """The entries of the leaves of a tile, as far as it has come."""
    found = positions_of(connection, tile)
    if not found:
        return []
    rows = ledger.log.read_log(connection, after=found[0] - 1, limit=len(found), stop=found[-1])
    return [entry_of(ledger, row) for row in rows]


def tree_size(connection: sa.Connection) -> int:
    """How many leaves the tree has."""
    query = sa.select(bundles.c.tile, sa.func.length(bundles.c.positions)).order_by(bundles.c.tile.desc())
    last = connection.execute(query.limit(1)).first()
    return 0 if last is None else last[0] * TILE_HASHES + last[1] // _POSITION.size


def read_tile(connection: sa.Connection, level: int, tile: int) -> bytes:
    """The hashes of a tile as far as it has come; none where there is no such tile."""
    query = sa.select(tiles.c.hashes).where(tiles.c.level == level, tiles.c.tile == tile)
    return connection.execute(query).scalar() or b""


def tiles_of(connection: sa.Connection) -> merkle.Tiles:
    """The stored tree, for its roots and proofs; each tile is read once."""
    known: dict[tuple[int, int], bytes] = {}

    def read(level: int, tile: int) -> bytes:
        if (level, tile) not in known:
            known[level, tile] = read_tile(connection, level, tile)
        return known[level, tile]

    return read


def positions_of(connection: sa.Connection, tile: int) -> list[int]:
    """The positions in the log of the facts of one tile of leaves."""
    found = connection.execute(sa.select(bundles.c.positions).where(bundles.c.tile == tile)).scalar()
    return [each for (each,) in _POSITION.iter_unpack(found or b"")]


def index_of(connection: sa.Connection, place: int) -> int | None:
    """The index of the leaf of the fact at a position of the log; None where there is none (yet)."""
    query = (
        sa.select(bundles.c.tile)
        .where(bundles.c.first_position <= place)
        .order_by(bundles.c.first_position.desc())
    )
    tile = connection.execute(query.limit(1)).scalar()
    if tile is None:
        return None
    found = positions_of(connection, tile)
    at = bisect_left(found, place)
    return tile * TILE_HASHES + at if at < len(found) and found[at] == place else None


_INDEXES: Final = Statement(
    "SELECT tile, positions FROM audit_bundles WHERE tile IN (SELECT ("
    " SELECT tile FROM audit_bundles WHERE first_position <= asked.value ORDER BY first_position DESC LIMIT 1"
    ") FROM {asked})",
    asked=("json_each(:places) AS asked", "unnest(:places::bigint[]) AS asked(value)"),
)


def indexes_of(connection: sa.Connection, places: Iterable[int]) -> dict[int, int]:
    """The index of the leaf of the fact at each of these positions that has one, by position: one statement
    for all of them."""
    wanted = sorted(set(places))
    found: dict[int, int] = {}
    for tile, packed in run(connection, _INDEXES, {"places": wanted}) if wanted else ():
        for at, (place,) in enumerate(_POSITION.iter_unpack(packed)):
            found[place] = tile * TILE_HASHES + at
    return {place: found[place] for place in wanted if place in found}


Rows = Sequence[dict[str, Any]]


def _grown(
    connection: sa.Connection, leaves: Sequence[bytes], positions: Sequence[int]
) -> list[tuple[sa.Table, Rows]]:
    """What more leaves change in each table."""
    size = tree_size(connection)
    rims = [
        read_tile(connection, level, tile) if width else b""
        for level, (tile, width) in enumerate(merkle.rim_places(size))
    ]
    changed = merkle.grow(rims, size, leaves)
    hashes = [{"level": level, "tile": tile, "hashes": found} for (level, tile), found in changed.items()]
    tile, width = divmod(size, TILE_HASHES)
    known = positions_of(connection, tile) if width else []
    assert len(known) == width == len(rims[0] if rims else b"") // HASH_BYTES
    together = [*known, *positions]
    starts = range(0, len(together), TILE_HASHES)
    places = [
        {
            "tile": tile + number,
            "first_position": together[start],
            "positions": b"".join(map(_POSITION.pack, together[start : start + TILE_HASHES])),
        }
        for number, start in enumerate(starts)
    ]
    return [(tiles, hashes), (bundles, places)]


def _put(connection: sa.Connection, table: sa.Table, rows: Rows) -> None:
    """Store rows; the first of a level may take the place of what there was of it."""
    keys = [column.name for column in table.primary_key]
    gone = sa.and_(*(table.c[key] == sa.bindparam(f"old_{key}") for key in keys))
    connection.execute(
        sa.delete(table).where(gone), [{f"old_{key}": row[key] for key in keys} for row in rows]
    )
    connection.execute(sa.insert(table), list(rows))
