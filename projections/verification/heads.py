"""Every head that was signed, ours and those kept elsewhere: each must be a head of this tree."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from ledger.audit import notes
from ledger.audit.merkle import TreeTooSmall
from ledger.audit.notes import BadNote, Checkpoint, Verifier
from projections.audit_log import checkpoints, cosignatures
from projections.verification.findings import Findings
from projections.verification.reading import BEGINNING
from projections.verification.tree import Tree
from projections.verification.types import octets

PAGE: Final = 1_000
READ: Final = ("size", "position", "root", "note")
"""What is signed of a checkpoint, and what follows from it: no other column is looked at here."""


class Kept(NamedTuple):
    """A checkpoint that was kept elsewhere: a signed note, and where it was found."""

    name: str
    note: str


def newest_size(connection: sa.Connection) -> int:
    """The size of the newest stored checkpoint; 0 if there is none."""
    return connection.execute(sa.select(sa.func.max(checkpoints.c.size))).scalar() or 0


class Heads:
    """Checks heads against a tree. Without a key only their roots are checked."""

    def __init__(
        self, connection: sa.Connection, tree: Tree, findings: Findings, key: Verifier | None
    ) -> None:
        self._connection, self._tree, self._findings, self._key = connection, tree, findings, key
        self._kept_sound = 0
        """The largest kept size of which the head was found to be one of this tree."""

    def check_stored(self, upto: int) -> int:
        """Check the table of checkpoints up to a size: how many there are."""
        count, first = 0, BEGINNING
        while rows := self._page(first, upto):
            for row in rows:
                self._check_row(row)
            count, first = count + len(rows), rows[-1].size + 1
        return count

    def check_cosignatures(self) -> None:
        """Each is one line, of whom its row says: all of it is served below our note. Whether the witness
        signed it, whoever has the witness's key sees."""
        c = cosignatures.c
        query = sa.select(c.size, c.name, c.line).order_by(c.size, c.name)
        for size, name, line in self._connection.execute(query):
            try:
                found = notes.signer_of(line)
            except BadNote as error:
                found = str(error)
            if found != name:
                place = {"table": cosignatures.name, "size": size, "name": name}
                self._findings.add("cosignature_changed", place, f"a line of {name}", found)

    def check_kept(self, kept: Sequence[Kept]) -> int:
        """Check those kept elsewhere: how many are checkpoints at all."""
        heads = []
        for name, note in kept:
            try:
                heads.append((self._opened(note), name))
            except BadNote as error:
                self._findings.add(
                    "kept_unreadable", {"file": name}, "a checkpoint signed by the key", str(error)
                )
        for head, name in sorted(heads, key=lambda each: each[0].size):
            self._check_head(head, name)
        return len(heads)

    def _page(self, first: int, upto: int) -> Sequence[Any]:
        size = checkpoints.c.size
        query = sa.select(*(checkpoints.c[name] for name in READ)).where(size >= first, size <= upto)
        return self._connection.execute(query.order_by(size).limit(PAGE)).all()

    def _check_row(self, row: Any) -> None:
        place = {"table": checkpoints.name, "size": row.size}
        try:
            text, lines = notes.split(str(row.note))
            head = notes.parse_checkpoint(text)
        except BadNote as error:
            self._findings.add("checkpoint_changed", place, "a signed note", str(error))
            return
        if row.size > self._tree.size and head.size >= row.size:
            self._cut(place, row.size)
            return
        root = self._root(row.size)
        position = self._tree.position(self._connection, row.size - 1)
        for what, expected, found in (
            ("size in the note", row.size, head.size),
            ("root", root.hex(), octets(row.root).hex()),
            ("root in the note", root.hex(), head.root.hex()),
            ("position", position, row.position),
            ("signatures in the note", 1, len(lines)),  # no verifier of an export takes another one
        ):
            if expected != found:
                self._findings.add("checkpoint_changed", {**place, "what": what}, expected, found)
                return
        try:
            self._opened(str(row.note))
        except BadNote as error:
            self._findings.add("signature_wrong", place, f"a signature of {self._key}", str(error))

    def _check_head(self, head: Checkpoint, name: str) -> None:
        place: dict[str, Any] = {"file": name, "size": head.size}
        if head.size > self._tree.size:
            self._cut(place, head.size)
            return
        root = self._root(head.size)
        if root == head.root:
            self._kept_sound = head.size
            query = sa.select(checkpoints.c.size).where(checkpoints.c.size == head.size)
            if self._connection.execute(query).first() is None:
                self._findings.add("checkpoint_missing", place, "a stored checkpoint of this size", "none")
            return
        first = self._kept_sound
        place |= {
            "first_index": first,
            "last_index": head.size - 1,
            "first_position": self._tree.position(self._connection, first),
            "last_position": self._tree.position(self._connection, head.size - 1),
        }
        self._findings.add("kept_differs", place, f"the root {head.root.hex()}", root.hex())

    def _root(self, size: int) -> bytes:
        try:
            return b"" if size < 0 else self._tree.root(self._connection, size)
        except TreeTooSmall:
            return b""

    def _cut(self, place: dict[str, Any], size: int) -> None:
        gone = size - self._tree.size
        place = {**place, "first_index": self._tree.size}
        self._findings.add(
            "tail_cut", place, f"{size} leaves", f"{self._tree.size}: the last {gone} are gone"
        )

    def _opened(self, note: str) -> Checkpoint:
        """The head of a note, signed by the key if there is one. Raises BadNote."""
        if self._key is None:
            return notes.parse_checkpoint(notes.split(note)[0])
        head = notes.parse_checkpoint(notes.open_note(note, [self._key])[0])
        if head.origin != self._key.name:
            raise BadNote(f"the checkpoint is of {head.origin}, the key of {self._key.name}")
        return head
