"""One verification from beginning to end, in spans that several processes may share."""

import multiprocessing
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Final

import msgspec
import sqlalchemy as sa

from ledger.audit.merkle import TILE_HASHES
from ledger.audit.notes import Verifier
from ledger.store.application import Ledger
from ledger.store.database import Database
from projections import position, shadow
from projections.audit_log import NAME, bundles, tree_size
from projections.verification.books import Books, check_ahead, check_balances, check_end, check_views
from projections.verification.findings import Finding, Findings
from projections.verification.heads import Heads, Kept, newest_size
from projections.verification.leaves import Checked, LeafCheck, Span
from projections.verification.months import check_months
from projections.verification.tree import Tree
from projections.verification.types import check_types

SPAN_TILES: Final = 32
"""Tiles of leaves that are checked at once: 8,192 facts, some megabytes."""
ALONE_LEAVES: Final = 100_000
"""A smaller tree is checked before other processes would have started."""

GAPS_MAX: Final = 1_000
"""Tiles that may be missing before the numbers of the others are not believed any more."""

Progress = Callable[[str, int, int], None]
"""Told how far each stage has come: (stage, done, total)."""


class Report(msgspec.Struct, frozen=True):
    """What was checked, and what was found: the first of each kind in each table, and the number of each."""

    leaves: int
    waiting: int
    """Facts that the sequencer has not made leaves of yet: nothing vouches for them."""
    checkpoints: int
    kept: int
    balances: int
    closings: int
    statements: int
    signatures_checked: bool
    views_checked: bool
    seconds: float
    findings: tuple[Finding, ...]
    counts: dict[str, int]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def verify_ledger(
    ledger: Ledger,
    *,
    key: Verifier | None = None,
    kept: Sequence[Kept] = (),
    views: bool = True,
    processes: int | None = None,
    progress: Progress = lambda _stage, _done, _total: None,
) -> Report:
    """Check everything that can be checked. `kept` must have been read before: the tree only grows.

    It only reads, but for the views, which are made again beside the live ones: that takes the right to
    make tables, and RebuildNotAllowed says so. `processes`: none given, as many as there are processors.
    """
    began = time.monotonic()
    findings = Findings()
    check_types(ledger, findings)
    if findings.firsts:
        return _unread(findings, time.monotonic() - began)
    with ledger.database.read() as connection:
        shadow.see_one_moment(connection)
        size = _size(connection, findings)
        newest = newest_size(connection)
        reached = position.read(connection, [NAME, "view:journal"])
    tree = Tree(size)
    tiles = -(-size // TILE_HASHES)
    spans = [
        Span(first, min(first + SPAN_TILES, tiles), size, reached["view:journal"])
        for first in range(0, tiles, SPAN_TILES)
    ]
    done = 0
    books = Books(defaultdict(int), min(reached.values()))
    for checked in _checked(ledger, spans, size, processes):
        tree.add(checked.hashes, checked.mended)
        findings.merge(checked.findings, checked.counts)
        for holder, amount in checked.held.items():
            books.held[holder] += amount
        done = min(done + SPAN_TILES * TILE_HASHES, size)
        progress("facts", done, size)
    tree.close()
    with ledger.database.read() as connection:
        shadow.see_one_moment(connection)
        tree.check_tiles(connection, findings)
        _check_reached(connection, tree, reached[NAME], findings)
        heads = Heads(connection, tree, findings, key)
        stored, opened = heads.check_stored(newest), heads.check_kept(kept)
        heads.check_cosignatures()
        check_end(connection, reached[NAME], findings)
        check_ahead(connection, findings)
        waiting = _waiting(connection, reached[NAME])
    progress("checkpoints", stored + opened, stored + opened)
    # Where anything was found, not every leg need have been read: then they are summed by themselves.
    balances = check_balances(ledger, findings, None if findings.firsts else books)
    closings, statements = check_months(ledger, findings, lambda one, all_: progress("months", one, all_))
    if views:
        check_views(ledger, findings, lambda one, all_: progress("views", one, all_))
    return Report(
        leaves=size,
        waiting=waiting,
        checkpoints=stored,
        kept=opened,
        balances=balances,
        closings=closings,
        statements=statements,
        signatures_checked=key is not None,
        views_checked=views,
        seconds=time.monotonic() - began,
        findings=tuple(findings.firsts.values()),
        counts=findings.counts,
    )


def _unread(findings: Findings, seconds: float) -> Report:
    """Of tables that can't be read nothing else can be said."""
    return Report(
        leaves=0,
        waiting=0,
        checkpoints=0,
        kept=0,
        balances=0,
        closings=0,
        statements=0,
        signatures_checked=False,
        views_checked=False,
        seconds=seconds,
        findings=tuple(findings.firsts.values()),
        counts=findings.counts,
    )


def _checked(ledger: Ledger, spans: Sequence[Span], size: int, processes: int | None) -> Iterator[Checked]:
    """Each span's result, in order."""
    several = (os.cpu_count() or 1) if processes is None else processes
    if several < 2 or (processes is None and size < ALONE_LEAVES):
        yield from map(LeafCheck(ledger).check, spans)
        return
    with _pool(ledger.database.url, several) as pool:
        yield from pool.map(_check_in_process, spans)


@contextmanager
def _pool(url: str, processes: int) -> Iterator[ProcessPoolExecutor]:
    # Processes that begin anew: a copy of this one would share its connections.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _begin_process, (url,)) as pool:
        yield pool


_own: list[LeafCheck] = []
"""What a process of the pool checks with."""


def _begin_process(url: str) -> None:
    _own.append(LeafCheck(Ledger(Database(url, pool_size=1))))


def _check_in_process(span: Span) -> Checked:
    return _own[0].check(span)


def _size(connection: sa.Connection, findings: Findings) -> int:
    """How many leaves there are. A tile before the first, or of a number out of all reason, is named, and not
    counted."""
    size = tree_size(connection)
    before = sa.select(bundles.c.tile).where(bundles.c.tile < 0).order_by(bundles.c.tile)
    for tile in connection.execute(before).scalars():
        findings.add("bundle_changed", {"table": bundles.name, "tile": tile}, "no tile", "a tile")
    count = int(connection.execute(sa.select(sa.func.count()).select_from(bundles)).scalar_one())
    if size > (count + GAPS_MAX) * TILE_HASHES:
        place = {"table": bundles.name, "tile": (size - 1) // TILE_HASHES}
        findings.add("bundle_changed", place, f"{count} tiles in all", "a tile of this number")
        return count * TILE_HASHES
    return size


def _check_reached(connection: sa.Connection, tree: Tree, reached: int, findings: Findings) -> None:
    """The sequencer goes on behind the last leaf, or it would pass over facts."""
    last = tree.position(connection, tree.size - 1) if tree.size else 0
    if last != reached:
        place = {"table": "positions", "name": NAME}
        findings.add("tree_behind", place, f"position {last}", f"position {reached}")


def _waiting(connection: sa.Connection, reached: int) -> int:
    query = sa.text("SELECT count(*) FROM stored_events WHERE notification_id > :reached")
    return int(connection.execute(query, {"reached": reached}).scalar_one())
