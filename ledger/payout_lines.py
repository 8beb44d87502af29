"""The lines of a payout: the facts of the money account that make its amount, to the last cent. Pure.

A payout takes all that is payable at one version of its account, so its lines are a range of the account's
facts. Let P be the payout whose reservation was the last one held then; P took all that was payable at its
own version. What has changed since, P's own reservation left out, is therefore exactly what is payable now.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from ledger.events.account import (
    ClawbackOffset,
    MaturedRewardReversed,
    PayoutReleased,
    PayoutReserved,
    RewardMatured,
    TransferReversalCredited,
)
from ledger.events.base import Fact, Recorded
from ledger.events.payout import PayoutDrafted
from ledger.refusals import ContentChanged


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One fact of the account and what it adds to a payout, below zero where it takes.

    `reward_id` and `conversion_id` lead to what was earned, `payout_id` to the payout whose money came back.
    """

    account_version: int
    position: int
    kind: str
    amount_minor: int
    effective_at: datetime
    recorded_at: datetime
    reward_id: UUID | None = None
    conversion_id: UUID | None = None
    payout_id: UUID | None = None


def payable_effect_minor(fact: Fact) -> int:
    """By how much a fact changes what is payable."""
    match fact:
        case RewardMatured(amount_minor=amount):
            return amount
        case TransferReversalCredited():
            return fact.amount_minor + fact.withheld_minor
        case MaturedRewardReversed(payable_minor=taken):
            return -taken
        case ClawbackOffset(amount_minor=amount):
            return -amount
        case PayoutReserved():
            return -fact.net_minor - fact.withheld_minor
        case PayoutReleased():
            return fact.net_minor + fact.withheld_minor
        case _:
            return 0


def last_held(history: Sequence[Recorded]) -> tuple[int, UUID] | None:
    """The version and the payout of the last reservation that was not released; None: there is none."""
    released: set[tuple[UUID, int]] = set()
    for recorded in reversed(history):
        match recorded.fact:
            case PayoutReleased(payout_id=payout, attempt=attempt):
                released.add((payout, attempt))
            case PayoutReserved(payout_id=payout, attempt=attempt) if (payout, attempt) not in released:
                return recorded.originator_version, payout
            case _:
                pass
    return None


def lines(history: Sequence[Recorded], *, from_version: int, to_version: int) -> list[Line]:
    """The account's facts after `from_version` that make a payout drafted at `to_version`.

    `history` is the account's stream from its start, or from `from_version` on, up to `to_version` at least.
    """
    # A reservation before `from_version` is among no lines: it makes no difference whether it is seen.
    until = [recorded for recorded in history if recorded.originator_version <= to_version]
    held = last_held(until)
    carried = held[0] if held else 0
    return [
        _line(recorded, effect)
        for recorded in until
        if recorded.originator_version > from_version
        and (effect := payable_effect_minor(recorded.fact))
        and recorded.originator_version != carried
    ]


def _line(recorded: Recorded, effect: int) -> Line:
    fact = recorded.fact
    return Line(
        account_version=recorded.originator_version,
        position=recorded.position,
        kind=type(fact).__name__,
        amount_minor=effect,
        effective_at=getattr(fact, "effective_at", recorded.recorded_at),
        recorded_at=recorded.recorded_at,
        reward_id=getattr(fact, "reward_id", None),
        conversion_id=getattr(fact, "conversion_id", None),
        payout_id=getattr(fact, "payout_id", None),
    )


def check_lines(history: Sequence[Recorded], payout_id: UUID, draft: PayoutDrafted) -> None:
    """Asked before a payout reserves: are its lines still its own, and do they make its amount?

    `history` is the account's stream to its end, from its start or from the lines' first version on.

    Refuses with ContentChanged when another payout took its money after the draft, also when as much has
    become payable since: no line is ever paid by two payouts.
    """
    held = last_held(history)
    if held is not None and held[0] > draft.account_to_version and held[1] != payout_id:
        raise ContentChanged(f"its lines went out with payout {held[1]}")
    found = lines(history, from_version=draft.account_from_version, to_version=draft.account_to_version)
    if sum(line.amount_minor for line in found) != draft.amount_minor:
        raise ContentChanged("its lines do not make its amount")
