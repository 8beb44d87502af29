"""Conversions, the facts about them, the rewards they earned, and why others earned nothing."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa

from ledger.events.account import MaturedRewardReversed, RewardMatured
from ledger.events.base import Fact, Recorded
from ledger.events.conversion import (
    ConversionCanceled,
    ConversionRecorded,
    ConversionRefunded,
    DisputeLost,
    DisputeOpened,
    DisputeWon,
)
from ledger.events.reward import ConversionNotRewarded, RewardAccrued, RewardReversed
from ledger.ids import customer_id
from projections import bulk, tables
from projections.view import Batch, Names, TableChanges

_ABOUT: Final[dict[type[Fact], str]] = {
    ConversionRefunded: "refund",
    DisputeOpened: "dispute_opened",
    DisputeWon: "dispute_won",
    DisputeLost: "dispute_lost",
    ConversionCanceled: "cancellation",
}
READ_CHUNK: Final = 500


class Standing(NamedTuple):
    """What became of a conversion."""

    refunded_minor: int
    lost_minor: int
    status: str


def standing(amount_minor: int, facts: Iterable[tuple[str, str | None, int | None]]) -> Standing:
    """What is left of an amount after facts in the order we learned them: (kind, reference, amount).

    A conversion is canceled, disputed, refunded (nothing is left), partly_refunded or recorded. As in
    ledger.conversion: where no money moved, it stands until it is canceled or lost as a whole.
    """
    refunded = lost = 0
    canceled = all_lost = False
    disputes: dict[str | None, int | None] = {}
    for kind, reference, amount in facts:
        match kind:
            case "refund":
                refunded += amount or 0
            case "dispute_opened":
                disputes[reference] = amount
            case "dispute_won":
                disputes.pop(reference, None)
            case "dispute_lost":
                rest = max(0, amount_minor - refunded - lost)
                disputed = disputes.pop(reference, None)
                all_lost = all_lost or disputed is None
                lost += rest if disputed is None else min(rest, disputed)
            case _:
                canceled = True
    if canceled:
        status = "canceled"
    elif disputes:
        status = "disputed"
    elif all_lost or refunded + lost >= amount_minor > 0:
        status = "refunded"
    else:
        status = "partly_refunded" if refunded + lost else "recorded"
    return Standing(refunded, lost, status)


class Changes:
    """What a batch does to the four tables."""

    def __init__(self) -> None:
        self.conversions = TableChanges(tables.conversions)
        self.facts = TableChanges(tables.conversion_facts)
        self.rewards = TableChanges(tables.rewards)
        self.not_rewarded: dict[UUID, tuple[Any, ...]] = {}
        self.rewarded: set[UUID] = set()
        self.restand: set[UUID] = set()
        """Conversions whose standing must be worked out anew from the facts about them."""


class Conversions:
    """A fact about a conversion is kept when it comes, and counted as soon as the conversion is there."""

    name: Final = "conversions"
    tables: Final[tuple[sa.Table, ...]] = (
        tables.conversions,
        tables.conversion_facts,
        tables.rewards,
        tables.not_rewarded,
    )
    append_only: Final = False
    facts: Final[tuple[type[Fact], ...]] = (
        ConversionRecorded,
        *_ABOUT,
        RewardAccrued,
        RewardReversed,
        RewardMatured,
        MaturedRewardReversed,
        ConversionNotRewarded,
    )

    def fold(self, batch: Batch) -> Changes:
        """The changes of a batch."""
        changes = Changes()
        for event in batch.events:
            fold_into(changes, event)
        return changes

    def write(self, connection: sa.Connection, changes: Changes, names: Names) -> None:
        """Write the changes, then work the standing of the conversions out that facts are about."""
        changes.conversions.write(connection, names)
        changes.facts.write(connection, names)
        changes.rewards.write(connection, names)
        name = names["not_rewarded"]
        bulk.delete(connection, tables.not_rewarded, name, sorted(changes.rewarded))
        rows = list(changes.not_rewarded.values())
        bulk.upsert(connection, tables.not_rewarded, name, rows)
        for ids in _chunks(sorted(changes.restand)):
            _restand(connection, ids, names)


def fold_into(changes: Changes, event: Recorded) -> None:
    """What one fact changes."""
    match event.fact:
        case ConversionRecorded():
            _recorded(changes, event, event.fact)
        case RewardAccrued():
            _accrued(changes, event, event.fact)
        case RewardMatured(reward_id=reward_id, effective_at=effective_at):
            changes.rewards.put(reward_id, stage="matured", matured_at=effective_at, position=event.position)
        case RewardReversed(reward_id=reward_id, amount_minor=amount):
            changes.rewards.add(reward_id, reversed_minor=amount)
            changes.rewards.put(reward_id, position=event.position)
        case MaturedRewardReversed(reward_id=reward_id, payable_minor=payable, clawback_minor=owed):
            changes.rewards.add(reward_id, reversed_minor=payable + owed)
            changes.rewards.put(reward_id, position=event.position)
        case ConversionNotRewarded():
            _not_rewarded(changes, event, event.fact)
        case fact if type(fact) in _ABOUT:
            _about(changes, event, fact)


def _recorded(changes: Changes, event: Recorded, fact: ConversionRecorded) -> None:
    changes.conversions.insert(
        conversion_id=event.originator_id,
        program_id=fact.program_id,
        customer=fact.customer,
        customer_id=customer_id(fact.program_id, fact.customer),
        source=fact.source,
        external_id=fact.external_id,
        kind=fact.kind,
        product=fact.product,
        amount_minor=fact.amount_minor,
        refunded_minor=0,
        lost_minor=0,
        currency=fact.currency,
        status="recorded",
        effective_at=fact.effective_at,
        recorded_at=event.recorded_at,
        position=event.position,
    )
    if event.originator_version > 1:  # facts about it came first
        changes.restand.add(event.originator_id)


def _about(changes: Changes, event: Recorded, fact: Any) -> None:
    kind = _ABOUT[type(fact)]
    changes.facts.insert(
        position=event.position,
        conversion_id=event.originator_id,
        program_id=fact.program_id,
        kind=kind,
        reference=getattr(fact, "refund_id", None) or getattr(fact, "dispute_id", None),
        amount_minor=getattr(fact, "amount_minor", None),
        reason=getattr(fact, "reason", None),
        effective_at=fact.effective_at,
        recorded_at=event.recorded_at,
    )
    changes.restand.add(event.originator_id)


def _accrued(changes: Changes, event: Recorded, fact: RewardAccrued) -> None:
    row = {name: getattr(fact, name) for name in _REWARD_COLUMNS}
    changes.rewards.insert(
        **row,
        reversed_minor=0,
        stage="held",
        caps=msgspec.json.encode(fact.caps).decode(),
        matured_at=None,
        recorded_at=event.recorded_at,
        position=event.position,
    )
    changes.not_rewarded.pop(fact.conversion_id, None)
    changes.rewarded.add(fact.conversion_id)


_REWARD_COLUMNS: Final = tuple(
    column.name
    for column in tables.rewards.columns
    if column.name in RewardAccrued.__struct_fields__ and column.name != "caps"
)


def _not_rewarded(changes: Changes, event: Recorded, fact: ConversionNotRewarded) -> None:
    changes.not_rewarded[fact.conversion_id] = (
        fact.conversion_id,
        fact.program_id,
        fact.customer_id,
        fact.reason,
        fact.detail,
        fact.partner_id,
        fact.effective_at,
        event.recorded_at,
        event.position,
    )


def _chunks(ids: Sequence[UUID]) -> Iterable[Sequence[UUID]]:
    return (ids[start : start + READ_CHUNK] for start in range(0, len(ids), READ_CHUNK))


def _restand(connection: sa.Connection, ids: Sequence[UUID], names: Names) -> None:
    conversions = _named(tables.conversions, names)
    facts = _named(tables.conversion_facts, names)
    amounts = sa.select(conversions.c.conversion_id, conversions.c.amount_minor)
    known = dict(connection.execute(amounts.where(conversions.c.conversion_id.in_(ids))).all())
    told: dict[UUID, list[tuple[str, str | None, int | None]]] = {}
    asked = (
        sa.select(facts.c.conversion_id, facts.c.kind, facts.c.reference, facts.c.amount_minor)
        .where(facts.c.conversion_id.in_(list(known)))
        .order_by(facts.c.position)
    )
    for conversion, kind, reference, amount in connection.execute(asked):
        told.setdefault(conversion, []).append((kind, reference, amount))
    rows = [(conversion, *standing(known[conversion], told.get(conversion, []))) for conversion in known]
    bulk.update(connection, tables.conversions, names["conversions"], rows, put=Standing._fields)


def _named(table: sa.Table, names: Names) -> sa.TableClause:
    columns: list[sa.ColumnClause[Any]] = [sa.column(column.name, column.type) for column in table.columns]
    return sa.table(names[table.name], *columns)
