"""A partner's money account in a program: what is payable, reserved for payouts and owed back to us."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from ledger.events.account import (
    ClawbackOffset,
    ClawbackWrittenOff,
    MaturedRewardReversed,
    PayoutReleased,
    PayoutReserved,
    RewardMatured,
    TransferReversalCredited,
)
from ledger.events.base import Fact
from ledger.events.payout import PayoutProvider
from ledger.events.reward import ReversalReason
from ledger.refusals import ContentConflict, IllegalTransition, InsufficientBalance


class Reservation(msgspec.Struct, frozen=True):
    """What a payout's attempt took out of the account."""

    attempt: int
    net_minor: int
    withheld_minor: int


class AccountState(msgspec.Struct, frozen=True):
    """Payable and clawback are never below zero; `reserved` holds each payout's open or last attempt.

    `reserved` is in the order of the reservations. `written_off` holds the write-offs by their ids, so that
    one sent again is known.
    """

    payable_minor: int = 0
    clawback_minor: int = 0
    reserved: Mapping[UUID, Reservation] = {}
    written_off: Mapping[UUID, ClawbackWrittenOff] = {}

    @property
    def last_held(self) -> UUID | None:
        """The payout that reserved last, of those that were not released; None: there is none."""
        return next(reversed(list(self.reserved)), None)


EMPTY: Final = AccountState()


class Holder(msgspec.Struct, frozen=True):
    """Whose account it is: stands in each of its facts."""

    program_id: UUID
    partner_id: UUID
    currency: str


def evolve(state: AccountState, fact: Fact) -> AccountState:
    """The account after a fact."""
    payable, clawback, reserved = state.payable_minor, state.clawback_minor, state.reserved
    written_off = state.written_off
    match fact:
        case RewardMatured(amount_minor=amount):
            payable += amount
        case TransferReversalCredited():
            payable += fact.amount_minor + fact.withheld_minor
        case MaturedRewardReversed(payable_minor=taken, clawback_minor=owed):
            payable -= taken
            clawback += owed
        case ClawbackOffset(amount_minor=amount):
            payable -= amount
            clawback -= amount
        case ClawbackWrittenOff(amount_minor=amount):
            clawback -= amount
            written_off = {**written_off, fact.write_off_id: fact}
        case PayoutReserved():
            payable -= fact.net_minor + fact.withheld_minor
            kept = Reservation(fact.attempt, fact.net_minor, fact.withheld_minor)
            others = {payout: r for payout, r in reserved.items() if payout != fact.payout_id}
            reserved = {**others, fact.payout_id: kept}
        case PayoutReleased():
            payable += fact.net_minor + fact.withheld_minor
            reserved = {payout: r for payout, r in reserved.items() if payout != fact.payout_id}
        case _:
            pass
    assert payable >= 0, f"payable fell to {payable} by {fact}"
    assert clawback >= 0, f"clawback fell to {clawback} by {fact}"
    return AccountState(payable, clawback, reserved, written_off)


def mature(
    state: AccountState,
    holder: Holder,
    *,
    reward_id: UUID,
    conversion_id: UUID,
    amount_minor: int,
    effective_at: datetime,
) -> list[Fact]:
    """A reward's holding period ended: it becomes payable, less what the partner owes us."""
    facts: list[Fact] = [
        RewardMatured(
            reward_id=reward_id,
            conversion_id=conversion_id,
            program_id=holder.program_id,
            partner_id=holder.partner_id,
            amount_minor=amount_minor,
            currency=holder.currency,
            effective_at=effective_at,
        )
    ]
    return facts + _offset(state, holder, amount_minor, effective_at, reward_id=reward_id)


def _offset(
    state: AccountState,
    holder: Holder,
    amount_minor: int,
    effective_at: datetime,
    *,
    reward_id: UUID | None = None,
    payout_id: UUID | None = None,
) -> list[Fact]:
    """What the partner owes us is set off against an amount that becomes payable, as far as it goes."""
    offset = min(state.clawback_minor, amount_minor)
    if not offset:
        return []
    return [
        ClawbackOffset(
            program_id=holder.program_id,
            partner_id=holder.partner_id,
            amount_minor=offset,
            currency=holder.currency,
            effective_at=effective_at,
            reward_id=reward_id,
            payout_id=payout_id,
        )
    ]


def reverse(
    state: AccountState,
    holder: Holder,
    *,
    reward_id: UUID,
    conversion_id: UUID,
    amount_minor: int,
    reason: ReversalReason,
    effective_at: datetime,
    cause_position: int,
) -> list[Fact]:
    """A matured reward is taken back: first from what is payable, the rest is owed to us."""
    payable = min(state.payable_minor, amount_minor)
    return [
        MaturedRewardReversed(
            reward_id=reward_id,
            conversion_id=conversion_id,
            program_id=holder.program_id,
            partner_id=holder.partner_id,
            payable_minor=payable,
            clawback_minor=amount_minor - payable,
            currency=holder.currency,
            reason=reason,
            effective_at=effective_at,
            cause_position=cause_position,
        )
    ]


def reserve(
    state: AccountState,
    holder: Holder,
    *,
    payout_id: UUID,
    attempt: int,
    net_minor: int,
    withheld_minor: int,
    effective_at: datetime,
) -> list[Fact]:
    """A payout's intent takes its amount out of the account, once per attempt.

    Refuses with InsufficientBalance when less is payable, with IllegalTransition while an earlier attempt
    still holds its amount.
    """
    held = state.reserved.get(payout_id)
    if held is not None and held.attempt == attempt:
        return []
    if held is not None:
        raise IllegalTransition(f"attempt {held.attempt} of payout {payout_id} still holds its amount")
    if state.payable_minor < net_minor + withheld_minor:
        raise InsufficientBalance(
            f"{net_minor + withheld_minor} asked, {state.payable_minor} payable",
            payable_minor=state.payable_minor,
        )
    return [
        PayoutReserved(
            payout_id=payout_id,
            attempt=attempt,
            program_id=holder.program_id,
            partner_id=holder.partner_id,
            net_minor=net_minor,
            withheld_minor=withheld_minor,
            currency=holder.currency,
            effective_at=effective_at,
        )
    ]


def release(
    state: AccountState,
    holder: Holder,
    *,
    payout_id: UUID,
    attempt: int,
    reason: str,
    effective_at: datetime,
) -> list[Fact]:
    """A definitely rejected attempt gives back what it had reserved, less what the partner owes us by now.

    Nothing if it holds nothing.
    """
    held = state.reserved.get(payout_id)
    if held is None or held.attempt != attempt:
        return []
    released: list[Fact] = [
        PayoutReleased(
            payout_id=payout_id,
            attempt=attempt,
            program_id=holder.program_id,
            partner_id=holder.partner_id,
            net_minor=held.net_minor,
            withheld_minor=held.withheld_minor,
            currency=holder.currency,
            reason=reason,
            effective_at=effective_at,
        )
    ]
    given_back = held.net_minor + held.withheld_minor
    return released + _offset(state, holder, given_back, effective_at, payout_id=payout_id)


def write_off(
    state: AccountState,
    holder: Holder,
    *,
    write_off_id: UUID,
    amount_minor: int,
    reason: str,
    effective_at: datetime,
) -> list[Fact]:
    """Finance gives up (a part of) what the partner owes us, once per `write_off_id`.

    Refuses with InsufficientBalance where the partner owes less, with ContentConflict where the id came
    before with another amount or reason.
    """
    known = state.written_off.get(write_off_id)
    if known is not None:
        if (known.amount_minor, known.reason) == (amount_minor, reason):
            return []
        raise ContentConflict("this write-off came before with another amount or reason")
    if not 0 < amount_minor <= state.clawback_minor:
        raise InsufficientBalance(
            f"{amount_minor} asked, {state.clawback_minor} owed",
            pointer="/amount_minor",
            clawback_minor=state.clawback_minor,
        )
    return [
        ClawbackWrittenOff(
            write_off_id=write_off_id,
            program_id=holder.program_id,
            partner_id=holder.partner_id,
            amount_minor=amount_minor,
            currency=holder.currency,
            reason=reason,
            effective_at=effective_at,
        )
    ]


def take_back(
    state: AccountState,
    holder: Holder,
    *,
    payout_id: UUID,
    reference: str,
    amount_minor: int,
    withheld_minor: int,
    effective_at: datetime,
    provider: PayoutProvider = "stripe",
) -> list[Fact]:
    """Money of a transfer came back to us: it is payable again, less what the partner owes us by now.

    So is `withheld_minor` of the tax that the payout had withheld, and that is not remitted.

    Whoever calls appends it together with the payout's PayoutReversed, which counts each reference once.
    """
    credited: list[Fact] = [
        TransferReversalCredited(
            payout_id=payout_id,
            reference=reference,
            program_id=holder.program_id,
            partner_id=holder.partner_id,
            amount_minor=amount_minor,
            withheld_minor=withheld_minor,
            currency=holder.currency,
            effective_at=effective_at,
            provider=provider,
        )
    ]
    came_back = amount_minor + withheld_minor
    return credited + _offset(state, holder, came_back, effective_at, payout_id=payout_id)
