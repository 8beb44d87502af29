"""Checkpoints of the audit log: signed at an interval, at once when money or a month is decided about, and
when a run of statements is over.

A checkpoint is signed only if the tree still begins with every tree that was signed before
(c2sp.org/tlog-checkpoint): a log that was cut or changed gets no new one.
"""

import threading
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa
import structlog

from ledger.audit import merkle
from ledger.audit.merkle import TreeTooSmall
from ledger.audit.notes import BadNote, Checkpoint, Signer, Verifier, open_note, signer_of, split
from ledger.engine.tables import insert_if_absent
from ledger.events.base import Recorded
from ledger.events.payout import PayoutBatchApproved
from ledger.events.period import PeriodClosed, StatementIssued
from ledger.refusals import BadCosignature, NotFound
from ledger.store.application import Ledger
from ledger.store.database import DatabaseUnavailable
from ledger.store.mapper import topic_of
from projections import position, shadow
from projections.audit_log import NAME, checkpoints, cosignatures, tiles_of, tree_size
from projections.queries.paging import LIMIT, Cursor, Page, Row, page
from projections.queries.plain import Statement, run

INTERVAL: Final = timedelta(minutes=1)
IDLE_S: Final = 0.5
RETRY_S: Final = 1.0
DEMANDING: Final = {
    topic_of(PayoutBatchApproved): "payout_approved",
    topic_of(PeriodClosed): "period_closed",
}
"""The facts that ask for a checkpoint at once, and what it says of its cause."""
ISSUE: Final = topic_of(StatementIssued)
ISSUES_REST: Final = timedelta(seconds=2)
"""Statements are issued in many appends. A run asks for one checkpoint, once it has rested so long."""
SIZE_MAX: Final = 2**63 - 1
"""No tree can be larger: the databases hold no larger number."""
ROWS: Final = 1_000
"""Of these facts so many are read at once."""

log = structlog.get_logger(__name__)


class LogBroken(Exception):
    """The tree is not the continuation of what was signed before: nothing more is signed."""


class CheckpointMaker:
    """Signs the head of the tree. Two may run: a tree of one size is signed once."""

    def __init__(self, ledger: Ledger, signer: Signer, *, interval: timedelta = INTERVAL) -> None:
        self._ledger = ledger
        self._signer = signer
        self._interval = interval
        self._seen = 0
        """The position as far as which the log was looked at."""
        self._demands: list[tuple[int, str]] = []
        """What asked for a checkpoint at once and has none yet: its position, and the cause."""
        self._issue: Recorded | None = None
        """The last statement that was issued, as far as was seen."""

    def step(self, *, now_wanted: bool = False) -> Checkpoint | None:
        """Sign the head if it is time, or `now_wanted`. Raises LogBroken."""
        with self._ledger.database.read() as connection:
            shadow.see_one_moment(connection)  # the position is that of the last leaf: the sequencer goes on
            size = tree_size(connection)
            last = latest(connection)
            reached = position.read(connection, [NAME])[NAME]
            if last is not None and size < last.size:
                raise LogBroken(f"the tree has {size} leaves, and {last.size} were signed")
            cause = "asked" if now_wanted else self._cause(connection, last, reached)
            if size == (0 if last is None else last.size) or cause is None:
                return None
            tiles = tiles_of(connection)
            try:
                if last is not None and merkle.root(tiles, last.size) != last.root:
                    raise LogBroken(f"the first {last.size} leaves are not those that were signed")
                head = Checkpoint(self._signer.verifier.name, size, merkle.root(tiles, size))
            except TreeTooSmall as error:
                raise LogBroken(f"the tree of {size} leaves is not whole: {error}") from error
        return self._keep(head, reached, cause)

    def run(self, stop: threading.Event) -> None:
        """Sign until told to stop. A log that was tampered with is said so, again and again."""
        while not stop.is_set():
            pause = IDLE_S
            try:
                self.step()
            except DatabaseUnavailable as error:
                log.warning("audit.database_unavailable", error=str(error), retry_in_s=RETRY_S)
                pause = RETRY_S
            except LogBroken as error:
                log.error("audit.log_broken", error=str(error))
                pause = self._interval.total_seconds()
            stop.wait(pause)

    def _cause(self, connection: sa.Connection, last: Any, reached: int) -> str | None:
        if last is None:
            return "first"
        self._look(connection, last.position, reached)
        if self._demands:
            return self._demands[0][1]
        if self._ledger.clock() - last.made_at >= self._interval:
            return "interval"
        if self._issue is None or self._issue.position <= last.position:
            return None
        rested = self._ledger.clock() - self._issue.recorded_at >= ISSUES_REST
        return "statement_issued" if rested else None

    def _look(self, connection: sa.Connection, signed: int, reached: int) -> None:
        """Note what asks for a checkpoint behind the last signed position, up to the one that was reached.

        Each fact is looked at once, since this is asked twice a second: from the last checkpoint on it would
        be a minute of facts every time.
        """
        if reached < self._seen:  # the database was put back: what was seen behind that is lost
            self._seen, self._demands, self._issue = 0, [], None
        self._demands = [demand for demand in self._demands if demand[0] > signed]
        after, topics = max(signed, self._seen), [*DEMANDING, ISSUE]
        while rows := self._ledger.log.read_log(
            connection, after=after, limit=ROWS, stop=reached, topics=topics
        ):
            self._demands += [(row[4], DEMANDING[row[2]]) for row in rows if row[2] in DEMANDING]
            issues = [row for row in rows if row[2] == ISSUE]
            if issues:
                self._issue = self._ledger.decode(issues[-1])
            after = rows[-1][4]
        self._seen = reached

    def _keep(self, head: Checkpoint, reached: int, cause: str) -> Checkpoint | None:
        note = self._signer.sign(head.text)
        with self._ledger.database.write() as connection:
            known = connection.execute(sa.select(checkpoints.c.size).where(checkpoints.c.size >= head.size))
            if known.first() is not None:
                return None  # somebody else has signed it, or a longer one
            row = {
                "size": head.size,
                "position": reached,
                "root": head.root,
                "note": note,
                "cause": cause,
                "made_at": self._ledger.clock(),
            }
            if not insert_if_absent(connection, checkpoints, row):
                return None  # just now
        return head


def latest(connection: sa.Connection) -> Any:
    """The row of the newest checkpoint, or None."""
    return connection.execute(sa.select(checkpoints).order_by(checkpoints.c.size.desc()).limit(1)).first()


def unsigned_for(ledger: Ledger, connection: sa.Connection) -> timedelta | None:
    """How long ago the oldest fact was recorded that no checkpoint covers; None: each is covered."""
    last = latest(connection)
    rows = ledger.log.read_log(connection, after=0 if last is None else last.position, limit=1)
    return ledger.clock() - ledger.decode(rows[0]).recorded_at if rows else None


def covering(connection: sa.Connection, index: int) -> Any:
    """The row of the oldest checkpoint whose tree has a leaf, or None."""
    query = sa.select(checkpoints).where(checkpoints.c.size > index).order_by(checkpoints.c.size)
    return connection.execute(query.limit(1)).first()


_SIZES: Final = Statement(
    "SELECT asked.value, (SELECT min(size) FROM audit_checkpoints WHERE size > asked.value) FROM {asked}",
    asked=("json_each(:indexes) AS asked", "unnest(:indexes::bigint[]) AS asked(value)"),
)


def sizes_covering(connection: sa.Connection, indexes: Iterable[int]) -> dict[int, int]:
    """The size of the oldest checkpoint that covers each of these leaves, where there is one, by index."""
    wanted = list(indexes)
    found = run(connection, _SIZES, {"indexes": wanted}) if wanted else ()
    return {index: size for index, size in found if size is not None}


def of_size(connection: sa.Connection, index: int, size: int | None) -> Any:
    """The row of a checkpoint of this size that covers a leaf; without a size the oldest that does."""
    if size is None:
        return covering(connection, index)
    if size <= index:
        return None
    return connection.execute(sa.select(checkpoints).where(checkpoints.c.size == size)).first()


def note_of(connection: sa.Connection, row: Any) -> str:
    """A checkpoint's note with what witnesses signed below it."""
    query = sa.select(cosignatures.c.line).where(cosignatures.c.size == row.size)
    lines = connection.execute(query.order_by(cosignatures.c.name)).scalars()
    return "".join((row.note, *lines))


def list_checkpoints(connection: sa.Connection, *, after: Cursor | None = None, limit: int = LIMIT) -> Page:
    """Checkpoints, the latest first."""
    order = [checkpoints.c.size]
    found = page(connection, sa.select(checkpoints), order, after=after, limit=limit, descending=True)
    sizes = [row["size"] for row in found.rows]
    query = sa.select(cosignatures).where(cosignatures.c.size.in_(sizes)).order_by(cosignatures.c.name)
    lines = connection.execute(query).all()
    for row in found.rows:
        row["note"] += "".join(line.line for line in lines if line.size == row["size"])
    return found


def cosign(ledger: Ledger, size: int, line: str, witnesses: Sequence[Verifier]) -> Row:
    """Keep what a witness signed below a checkpoint. Refuses with NotFound or BadCosignature."""
    line = line.removesuffix("\n") + "\n"
    if size > SIZE_MAX:
        raise NotFound("no checkpoint has this size")
    with ledger.database.write() as connection:
        row = connection.execute(sa.select(checkpoints).where(checkpoints.c.size == size)).first()
        if row is None:
            raise NotFound("no checkpoint has this size")
        text, _ = split(row.note)
        try:
            signer_of(line)
            _, signed_by = open_note(f"{text}\n{line}", witnesses)
        except BadNote as error:
            raise BadCosignature(str(error), pointer="/line") from None
        kept = {"size": size, "name": signed_by[0].name, "line": line, "recorded_at": ledger.clock()}
        connection.execute(
            sa.delete(cosignatures).where(
                cosignatures.c.size == size, cosignatures.c.name == signed_by[0].name
            )
        )
        connection.execute(sa.insert(cosignatures), [kept])
        return row._asdict() | {"note": note_of(connection, row)}
