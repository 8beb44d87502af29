"""Stored checkpoints that somebody changed or took away, put right by what is signed: never signed anew.

What is believed: the tree, once a verification by the copies kept elsewhere finds nothing else wrong; and a
note with the log's own signature over a root of this tree. The facts, the leaves and whatever was published
stay as they are.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa

from ledger import ids
from ledger.audit import merkle, notes
from ledger.audit.notes import BadNote, Checkpoint, Verifier
from ledger.events.audit import CheckpointRepaired
from ledger.store.application import Change, Ledger
from projections.audit_log import checkpoints, positions_of, tiles_of
from projections.verification.heads import READ, Kept
from projections.verification.run import verify_ledger
from projections.verification.types import octets

MENDABLE: Final = frozenset({"checkpoint_changed", "checkpoint_missing", "signature_wrong"})
"""What a repair can end."""
OWN: Final = "its own signature"
"""Who tells what a row must be, where its note is whole."""
CAUSE: Final = "restored"
"""What a checkpoint says of its cause that had to be put back: why it was made, no copy tells."""
FOUND_MAX: Final = 1_000
"""Of what stood in a column as many letters are remembered."""


class NotRepairable(Exception):
    """More than rows of checkpoints is wrong, or what they must be is not signed: nothing was changed."""


class Repair(msgspec.Struct, frozen=True):
    """One row that is to be put right: what it must be, and what stands there (None: there is no row)."""

    size: int
    trusted: str
    must_be: dict[str, Any]
    stands: dict[str, Any] | None

    @property
    def differing(self) -> dict[str, tuple[str, str]]:
        """Each column that is another: what stands there, and what it must be."""
        there = self.stands or {}
        return {
            name: (_told(there.get(name)), _told(value))
            for name, value in self.must_be.items()
            if there.get(name) != value
        }


def find_repairs(ledger: Ledger, *, key: Verifier, kept: Sequence[Kept]) -> list[Repair]:
    """What has to be put right, from the smallest tree on. Raises NotRepairable."""
    report = verify_ledger(ledger, key=key, kept=kept, views=False)
    others = [finding for finding in report.findings if finding.kind not in MENDABLE]
    if others:
        raise NotRepairable(f"first see to what else is wrong: {others[0]}")
    with ledger.database.read() as connection:
        tree = _SignedTree(connection, key)
        copies = {copy.head.size: copy for copy in (tree.copy(each.name, each.note) for each in kept)}
        query = sa.select(*(checkpoints.c[name] for name in READ)).order_by(checkpoints.c.size)
        rows = connection.execute(query).all()
        found = [tree.repair(row, copies) for row in rows]
        there = {each.size for each in found}
        found += [tree.must_be(copies[size], None) for size in copies.keys() - there]
    sizes: set[int] = set()
    for each in found:
        if each.size in sizes:
            raise NotRepairable(f"the notes of two rows are of size {each.size}")
        sizes.add(each.size)
    repairs = sorted((each for each in found if each.differing), key=lambda each: each.size)
    if not repairs and report.findings:
        raise NotRepairable(f"no copy tells what it must be: {report.findings[0]}")
    return repairs


def repair(ledger: Ledger, repairs: Sequence[Repair], *, reason: str, by: str) -> None:
    """Put the rows right, and tell so by a fact for each, all at once or not at all."""
    now = ledger.clock()
    told = [
        CheckpointRepaired(
            size=each.size,
            trusted=each.trusted,
            found={} if each.stands is None else {name: was for name, (was, _) in each.differing.items()},
            reason=reason,
            effective_at=now,
        )
        for each in repairs
    ]

    def write(connection: sa.Connection) -> None:
        for each in repairs:
            if each.stands is None:
                connection.execute(sa.insert(checkpoints), [each.must_be | {"cause": CAUSE, "made_at": now}])
            else:
                here = checkpoints.c.size == each.stands["size"]
                connection.execute(sa.update(checkpoints).where(here).values(**each.must_be))

    stream = ids.audit_log_id()
    change = Change(stream, len(ledger.history(stream)), told)
    if ledger.append([change], by=by, within=write) is None:
        raise NotRepairable("somebody else repairs at the same time")


class _Copy(NamedTuple):
    """A note that the log signed, without anybody else's lines, and where it was found."""

    name: str
    head: Checkpoint
    note: str


class _SignedTree:
    """The tree as it stands, which was verified, and the notes that are signed over it."""

    def __init__(self, connection: sa.Connection, key: Verifier) -> None:
        self._connection, self._key = connection, key
        self._tiles = tiles_of(connection)

    def copy(self, name: str, note: str) -> _Copy:
        """A note that the log signed. Raises BadNote where it did not, NotRepairable where it signed another
        tree."""
        text, lines = notes.split(note)
        head = notes.parse_checkpoint(notes.open_note(note, [self._key])[0])
        if head.origin != self._key.name:
            raise BadNote(f"the checkpoint is of {head.origin}")
        if head.size == 0 or merkle.root(self._tiles, head.size) != head.root:
            raise NotRepairable(
                f"{name}: signed with the key, but over another tree: it is evidence, and stays"
            )
        own = next(line for line in lines if self._is_own(text, line))
        return _Copy(name, head, f"{text}\n{own}\n")

    def must_be(self, copy: _Copy, stands: dict[str, Any] | None) -> Repair:
        """What the row of a signed note is, beside what stands there."""
        tile, offset = divmod(copy.head.size - 1, merkle.TILE_HASHES)
        position = positions_of(self._connection, tile)[offset]
        row = {"size": copy.head.size, "position": position, "root": copy.head.root, "note": copy.note}
        return Repair(copy.head.size, copy.name, row, stands)

    def repair(self, row: Any, copies: Mapping[int, _Copy]) -> Repair:
        """What a stored row must be. Raises NotRepairable where nothing that is signed tells it."""
        stands = {name: getattr(row, name) for name in READ}
        try:
            copy = self.copy(OWN, str(row.note))
            if copy.head.size != row.size and self._has_row(copy.head.size):
                raise BadNote(f"its note is of size {copy.head.size}, as another row is")
        except BadNote as error:
            if row.size not in copies:
                raise NotRepairable(f"size {row.size}: {error}, and no copy was given") from None
            copy = copies[row.size]
        return self.must_be(copy, stands | {"root": octets(row.root)})

    def _has_row(self, size: int) -> bool:
        query = sa.select(checkpoints.c.size).where(checkpoints.c.size == size)
        return self._connection.execute(query).first() is not None

    def _is_own(self, text: str, line: str) -> bool:
        try:
            return bool(notes.open_note(f"{text}\n{line}\n", [self._key]))
        except BadNote:
            return False


def _told(value: Any) -> str:
    if value is None:
        return "nothing"
    return (value.hex() if isinstance(value, bytes) else str(value))[:FOUND_MAX]
