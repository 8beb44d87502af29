"""What a verification finds: the kind of thing, its place, what was expected there and what stands there."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

KINDS: Final = {
    "fact_changed": "the fact is not what its leaf says",
    "fact_missing": "the log lacks a fact that has a leaf",
    "fact_inserted": "the log has a fact that no leaf stands for",
    "leg_differs": "the journal's leg is not what the fact's posting says",
    "leg_inserted": "the journal has a leg of no fact",
    "tile_changed": "a stored tile is not what the leaves give",
    "bundle_changed": "the table of positions is not what the log gives",
    "tree_behind": "the sequencer's position is not that of the last leaf",
    "checkpoint_changed": "a stored checkpoint is not the head of this tree",
    "checkpoint_missing": "a checkpoint that was kept is not stored any more",
    "signature_wrong": "a stored checkpoint is not signed by the key",
    "cosignature_changed": "what is stored of a witness is no line of its below a checkpoint",
    "kept_unreadable": "a kept file is no checkpoint signed by the key",
    "kept_differs": "the tree is not the one whose head was kept",
    "tail_cut": "leaves that were signed are gone",
    "balance_differs": "a balance is not the sum of the journal",
    "closing_differs": "what a closed month was frozen as is not what its facts come to",
    "statement_differs": "a statement was issued that is not what the facts give",
    "view_differs": "a view is not what the log gives",
    "view_unmade": "the views can't be made from this log",
}
"""Every kind of finding, with its meaning."""


class Finding(msgspec.Struct, frozen=True):
    """Something that is not as it must be."""

    kind: str
    place: dict[str, Any]
    expected: Any
    found: Any

    def __str__(self) -> str:
        where = ", ".join(f"{name} {value}" for name, value in self.place.items() if value is not None)
        return printable(f"{KINDS[self.kind]}: {where}: expected {self.expected}, found {self.found}")


def printable(text: str) -> str:
    """A text of the database for a screen. Whoever changed it could hide a line with it: behind some
    characters a screen shows nothing."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


class Findings:
    """The first of each kind in each table, and how many there are."""

    def __init__(self) -> None:
        self.firsts: dict[tuple[str, Any], Finding] = {}
        self.counts: dict[str, int] = {}

    def add(self, kind: str, place: dict[str, Any], expected: Any, found: Any) -> None:
        """Remember one."""
        self._count(kind, 1)
        self.firsts.setdefault((kind, place.get("table")), Finding(kind, place, expected, found))

    def merge(self, others: Iterable[Finding], counts: dict[str, int]) -> None:
        """Remember those of a later place."""
        for other in others:
            self.firsts.setdefault((other.kind, other.place.get("table")), other)
        for kind, count in counts.items():
            self._count(kind, count)

    def _count(self, kind: str, count: int) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + count
