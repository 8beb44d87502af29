"""Conversions: the rules that admit facts about one, and what stands of its amount. Pure."""

from datetime import datetime
from typing import Any, Final, Literal, assert_never, cast

import immutables
import msgspec

from ledger import checks
from ledger.commands import (
    AboutConversion,
    CancelConversion,
    ConversionCommand,
    LoseDispute,
    NewConversion,
    OpenDispute,
    RecordMilestone,
    RecordRefund,
    RecordRenewal,
    RecordSale,
    RecordSignup,
    RecordUsage,
    WinDispute,
)
from ledger.events.base import Fact
from ledger.events.conversion import (
    ConversionCanceled,
    ConversionKind,
    ConversionRecorded,
    ConversionRefunded,
    DisputeLost,
    DisputeOpened,
    DisputeWon,
)
from ledger.refusals import (
    ContentConflict,
    DisputeNotOpen,
    RefundExceedsConversion,
    WrongCurrency,
)


class Dispute(msgspec.Struct, frozen=True):
    """One dispute: what it is about, and how it ended (None: it is open)."""

    opened: DisputeOpened
    ended: DisputeWon | DisputeLost | None = None


class Taking(msgspec.Struct, frozen=True, eq=False):
    """Something that took a part of the amount back, or all of it (`amount_minor` None).

    Takings are linked to the one before, so that adding one costs the same however many there are: `number`
    counts them from 1, `taken_minor` sums their amounts, `all_taken` tells whether one took everything.
    """

    reason: Literal["refund", "dispute_lost", "cancellation"]
    amount_minor: int | None
    effective_at: datetime
    number: int
    taken_minor: int
    all_taken: bool
    before: "Taking | None"


class ConversionState(msgspec.Struct, frozen=True):
    """The facts of one conversion; `recorded` is None while only facts about it are known.

    `last_taking` is the last one that we learned of.
    """

    recorded: ConversionRecorded | None = None
    refunds: immutables.Map[str, ConversionRefunded] = immutables.Map()
    refunded_minor: int = 0
    disputes: immutables.Map[str, Dispute] = immutables.Map()
    open_disputes: int = 0
    canceled: ConversionCanceled | None = None
    last_taking: Taking | None = None

    @property
    def disputed(self) -> bool:
        """Whether a dispute is open: nothing matures meanwhile."""
        return self.open_disputes > 0

    def takings_since(self, number: int) -> list[Taking]:
        """The takings behind the first so many, in the order in which we learned of them."""
        found = []
        taking = self.last_taking
        while taking is not None and taking.number > number:
            found.append(taking)
            taking = taking.before
        return found[::-1]

    def rest_after(self, taking: Taking | None) -> int:
        """What the takings up to this one left of the amount; never below zero.

        Refunds that came before their conversion may exceed it: the conversion is a fact all the same.
        """
        assert self.recorded is not None
        if taking is None:
            return self.recorded.amount_minor
        return 0 if taking.all_taken else max(0, self.recorded.amount_minor - taking.taken_minor)

    def stands_after(self, taking: Taking | None) -> bool:
        """Whether anything is left after a taking.

        Where no money moved, a conversion stands until it is canceled or lost as a whole.
        """
        assert self.recorded is not None
        if self.recorded.amount_minor == 0:
            return taking is None or not taking.all_taken
        return self.rest_after(taking) > 0


INITIAL: Final = ConversionState()


def evolve(state: ConversionState, fact: Fact) -> ConversionState:
    """The conversion after a fact."""
    match fact:
        case ConversionRecorded():
            # Nearly every conversion is recorded before anything about it: a third of `replace`'s time.
            if state is INITIAL:
                return ConversionState(recorded=fact)
            return msgspec.structs.replace(state, recorded=fact)
        case ConversionRefunded():
            return msgspec.structs.replace(
                state,
                refunds=state.refunds.set(fact.refund_id, fact),
                refunded_minor=state.refunded_minor + fact.amount_minor,
                last_taking=_taken(state, "refund", fact.amount_minor, fact.effective_at),
            )
        case DisputeOpened():
            disputes = state.disputes.set(fact.dispute_id, Dispute(fact))
            return msgspec.structs.replace(state, disputes=disputes, open_disputes=state.open_disputes + 1)
        case DisputeWon() | DisputeLost():
            opened = state.disputes[fact.dispute_id].opened
            last = state.last_taking
            if isinstance(fact, DisputeLost):
                last = _taken(state, "dispute_lost", opened.amount_minor, fact.effective_at)
            return msgspec.structs.replace(
                state,
                disputes=state.disputes.set(fact.dispute_id, Dispute(opened, fact)),
                open_disputes=state.open_disputes - 1,
                last_taking=last,
            )
        case ConversionCanceled():
            taking = _taken(state, "cancellation", None, fact.effective_at)
            return msgspec.structs.replace(state, canceled=fact, last_taking=taking)
        case _:
            return state


def _taken(
    state: ConversionState,
    reason: Literal["refund", "dispute_lost", "cancellation"],
    amount_minor: int | None,
    effective_at: datetime,
) -> Taking:
    before = state.last_taking
    return Taking(
        reason=reason,
        amount_minor=amount_minor,
        effective_at=effective_at,
        number=before.number + 1 if before else 1,
        taken_minor=(before.taken_minor if before else 0) + (amount_minor or 0),
        all_taken=(before.all_taken if before else False) or amount_minor is None,
        before=before,
    )


def decide(command: ConversionCommand, state: ConversionState, *, currency: str, now: datetime) -> list[Fact]:
    """The facts that a wish adds; none when it was recorded before with the same content.

    `currency` is the program's. Refuses with WrongCurrency, EffectiveTimeInFuture, ContentConflict (the
    same id with other content), RefundExceedsConversion or DisputeNotOpen.
    """
    effective_at = checks.effective_at(command.effective_at, now)
    kind = _KIND.get(type(command))
    if kind is not None:
        fact = _recorded(cast(NewConversion, command), kind, effective_at, currency)
        return _same_or_new(fact, state.recorded)
    return _decide_about(cast(AboutConversion, command), state, effective_at, currency)


def _decide_about(
    command: AboutConversion, state: ConversionState, effective_at: datetime, currency: str
) -> list[Fact]:
    """The facts that something about a conversion adds."""
    about = _about(command, effective_at)
    match command:
        case RecordRefund():
            return _refund(command, about, state, currency)
        case OpenDispute():
            fact = DisputeOpened(**about, dispute_id=command.dispute_id, amount_minor=command.amount_minor)
            known = state.disputes.get(command.dispute_id)
            return _same_or_new(fact, known.opened if known else None)
        case WinDispute():
            return _end_dispute(DisputeWon(**about, dispute_id=command.dispute_id), state)
        case LoseDispute():
            return _end_dispute(DisputeLost(**about, dispute_id=command.dispute_id), state)
        case CancelConversion():
            return _same_or_new(ConversionCanceled(**about, reason=command.reason), state.canceled)
        case _:
            assert_never(command)


def _recorded(
    command: NewConversion, kind: ConversionKind, effective_at: datetime, currency: str
) -> ConversionRecorded:
    if command.currency != currency:
        _check_currency(command.currency, currency)
    return ConversionRecorded(
        program_id=command.program_id,
        source=command.source,
        external_id=command.external_id,
        effective_at=effective_at,
        kind=kind,
        customer=command.customer,
        amount_minor=command.amount_minor,
        currency=command.currency,
        product=command.product,
    )


_KIND: Final[dict[type, ConversionKind]] = {
    RecordSale: "sale",
    RecordRenewal: "renewal",
    RecordUsage: "usage",
    RecordSignup: "signup",
    RecordMilestone: "milestone",
}


def _about(command: AboutConversion, effective_at: datetime) -> dict[str, Any]:
    return {
        "program_id": command.program_id,
        "source": command.source,
        "external_id": command.external_id,
        "effective_at": effective_at,
    }


def _check_currency(currency: str, program_currency: str) -> None:
    if currency != program_currency:
        raise WrongCurrency(
            f"the program's currency is {program_currency}, not {currency}", pointer="/currency"
        )


def _same_or_new(fact: Fact, known: Fact | None) -> list[Fact]:
    if known is None:
        return [fact]
    if known == fact:
        return []
    for name in fact.__struct_fields__:
        if getattr(fact, name) != getattr(known, name):
            raise ContentConflict(f"recorded before with another {name}", pointer=f"/{name}")
    raise ContentConflict("recorded before as something else", pointer="/kind")


def _refund(
    command: RecordRefund, about: dict[str, Any], state: ConversionState, currency: str
) -> list[Fact]:
    _check_currency(command.currency, currency)
    fact = ConversionRefunded(
        **about,
        refund_id=command.refund_id,
        amount_minor=command.amount_minor,
        currency=command.currency,
    )
    facts = _same_or_new(fact, state.refunds.get(command.refund_id))
    if facts and state.recorded is not None:
        rest = state.recorded.amount_minor - state.refunded_minor
        if command.amount_minor > rest:
            raise RefundExceedsConversion(
                f"{max(rest, 0)} of the conversion's {state.recorded.amount_minor} are left to refund",
                pointer="/amount_minor",
                rest_minor=max(rest, 0),
            )
    return facts


def _end_dispute(fact: DisputeWon | DisputeLost, state: ConversionState) -> list[Fact]:
    dispute = state.disputes.get(fact.dispute_id)
    if dispute is None:
        raise DisputeNotOpen("no such dispute was opened", pointer="/dispute_id")
    if dispute.ended is None:
        return [fact]
    if type(dispute.ended) is not type(fact):
        raise DisputeNotOpen("the dispute ended the other way before", pointer="/dispute_id")
    return _same_or_new(fact, dispute.ended)
