"""Reconciliation: the provider's books against ours, entry by entry. Pure.

Each entry of either side ends in exactly one item, and each item has exactly one verdict. What is found here
changes nothing: a human, a worker or a webhook ends a difference, and the next run shows it.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, get_args
from uuid import UUID

import msgspec

Verdict = Literal["matched", "ours_only", "theirs_only", "different", "duplicate", "in_time"]
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)

TRANSFER: Final = "transfer"
REVERSAL: Final = "transfer_refund"
"""The provider's word for a reversal of a transfer, which both sides' entries use here."""

IN_TIME: Final = timedelta(hours=1)
"""How young an entry may be while the other side need not have it yet."""


class Theirs(msgspec.Struct, frozen=True, kw_only=True):
    """One balance transaction of the provider. The amount is signed: what left the balance is below zero.

    `reference` is the transfer's or the reversal's id, else that of whatever it came from. `payout_id` is
    what the transfer's metadata says.
    """

    transaction_id: str
    kind: str
    reference: str
    amount_minor: int
    currency: str
    created_at: datetime
    transfer_id: str | None = None
    destination: str | None = None
    payout_id: UUID | None = None

    @property
    def concerns_payouts(self) -> bool:
        """Whether it belongs to a payout: all kinds of transfers do, top-ups and fees do not."""
        return self.kind.startswith(TRANSFER)


class Ours(msgspec.Struct, frozen=True, kw_only=True):
    """One leg of the journal on the provider's balance, with the payout that it belongs to."""

    position: int
    kind: str
    reference: str | None
    amount_minor: int
    currency: str
    effective_at: datetime
    payout_id: UUID
    destination: str | None = None


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an entry, or of two that belong together. `differs` names what is not the same."""

    verdict: Verdict
    theirs: Theirs | None = None
    ours: Ours | None = None
    differs: tuple[str, ...] = ()
    resolution: str | None = None

    @property
    def kind(self) -> str:
        """What kind of movement it is."""
        return self.theirs.kind if self.theirs else self._ours().kind

    @property
    def currency(self) -> str:
        """Its currency; the provider's where the two differ."""
        return self.theirs.currency if self.theirs else self._ours().currency

    @property
    def reference(self) -> str:
        """What a human calls it by: the provider's id, or the payout's where the provider has none."""
        if self.theirs is not None:
            return self.theirs.reference
        return self._ours().reference or str(self._ours().payout_id)

    @property
    def is_difference(self) -> bool:
        """Whether somebody has to look: neither explained by the clock nor by a human's reason."""
        if self.resolution is not None or self.verdict in ("matched", "in_time"):
            return False
        return self.theirs is None or self.theirs.concerns_payouts

    def _ours(self) -> Ours:
        assert self.ours is not None, "an item has one side at least"
        return self.ours


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """The items of one currency, kind and verdict: how many, and what each side says."""

    currency: str
    kind: str
    verdict: Verdict
    items: int
    theirs_minor: int
    ours_minor: int

    @property
    def difference_minor(self) -> int:
        """What the provider says less what we say; zero for all that matched."""
        return self.theirs_minor - self.ours_minor


def match(
    theirs: Sequence[Theirs],
    ours: Sequence[Ours],
    *,
    now: datetime,
    in_time: timedelta = IN_TIME,
    paid_elsewhere: Collection[UUID] = (),
) -> list[Item]:
    """Every entry of both sides in exactly one item, theirs by time, then what only we have.

    `paid_elsewhere` are payouts whose own transfer is not among these: any other one is a duplicate.
    """
    waiting: dict[tuple[str, str | None], list[Ours]] = defaultdict(list)
    for entry in ours:
        waiting[entry.kind, entry.reference].append(entry)
    paid = {entry.payout_id for entry in ours if entry.kind == TRANSFER} | set(paid_elsewhere)
    items = []
    for found in sorted(theirs, key=lambda entry: (entry.created_at, entry.transaction_id)):
        known = waiting.get((found.kind, found.reference))
        if known:
            items.append(_compared(found, known.pop(0)))
            continue
        second = found.kind == TRANSFER and found.payout_id in paid
        verdict: Verdict = "theirs_only"
        if second:
            verdict = "duplicate"
        elif found.concerns_payouts and now - found.created_at < in_time:
            verdict = "in_time"
        items.append(Item(verdict=verdict, theirs=found))
        if found.kind == TRANSFER and found.payout_id is not None:
            paid.add(found.payout_id)
    for entry in sorted((e for left in waiting.values() for e in left), key=lambda entry: entry.position):
        young = now - entry.effective_at < in_time
        items.append(Item(verdict="in_time" if young else "ours_only", ours=entry))
    return items


def _compared(theirs: Theirs, ours: Ours) -> Item:
    pairs: dict[str, tuple[object, object]] = {
        "amount": (theirs.amount_minor, ours.amount_minor),
        "currency": (theirs.currency, ours.currency),
    }
    if theirs.kind == TRANSFER:
        pairs["destination"] = (theirs.destination, ours.destination)
        pairs["payout_id"] = (theirs.payout_id, ours.payout_id)
    differs = tuple(name for name, (one, other) in pairs.items() if one != other)
    return Item(verdict="different" if differs else "matched", theirs=theirs, ours=ours, differs=differs)


class Looked(NamedTuple):
    """An earlier run: from when and until when it tells how the books stood, and whether nothing was open."""

    start: datetime
    end: datetime
    is_clean: bool


def proven_until(begin: datetime, runs: Iterable[Looked]) -> datetime:
    """Until when everything from `begin` on is proven: by clean runs that join up without a gap.

    `runs` are in the order in which they were made: what a later one found open is proven no more.
    """
    proven: list[tuple[datetime, datetime]] = []
    for run in runs:
        if run.start >= run.end:
            continue
        apart = [(start, end) for start, end in proven if end < run.start or run.end < start]
        touching = [piece for piece in proven if piece not in apart]
        if run.is_clean:
            starts, ends = zip(*touching, (run.start, run.end), strict=True)
            touching = [(min(starts), max(ends))]
        else:
            touching = [
                piece
                for start, end in touching
                for piece in ((start, min(end, run.start)), (max(start, run.end), end))
                if piece[0] < piece[1]
            ]
        proven = apart + touching
    return next((end for start, end in proven if start <= begin < end), begin)


def resolved(items: Iterable[Item], reasons: Mapping[str, str]) -> list[Item]:
    """The same items; a difference that a human ended carries the reason."""
    return [
        msgspec.structs.replace(item, resolution=reasons[item.reference])
        if item.is_difference and item.reference in reasons
        else item
        for item in items
    ]


def totals(items: Iterable[Item]) -> list[Total]:
    """What each side says by currency, kind and verdict."""
    sums: dict[tuple[str, str, Verdict], list[int]] = defaultdict(lambda: [0, 0, 0])
    for item in items:
        total = sums[item.currency, item.kind, item.verdict]
        total[0] += 1
        total[1] += item.theirs.amount_minor if item.theirs else 0
        total[2] += item.ours.amount_minor if item.ours else 0
    return [
        Total(currency=c, kind=k, verdict=v, items=count, theirs_minor=theirs, ours_minor=ours)
        for (c, k, v), (count, theirs, ours) in sorted(sums.items())
    ]


def counts(items: Iterable[Item]) -> dict[str, int]:
    """How many items each verdict has; all verdicts are there."""
    counted = Counter(item.verdict for item in items)
    return {verdict: counted[verdict] for verdict in VERDICTS}


def items_hash(items: Iterable[Item]) -> str:
    """The SHA-256 over the items as JSON, a line each, in their order: what a run found, frozen."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(msgspec.json.encode(item, order="sorted") + b"\n")
    return digest.hexdigest()
