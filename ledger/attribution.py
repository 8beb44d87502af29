"""For which partners a customer counts, by its touches, its conversions and what finance decided. Pure.

A customer is bound by its first conversion (by effective time) that a touch precedes within the window: of
the touches in that window the first or the last wins, by the program's terms in force at that conversion.
From then on all of its conversions count for that partner. Everything goes by effective time, never by the
order in which we learned of it. What finance decides overrides the touches from its effective time on.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from ledger.events.base import Fact
from ledger.events.referral import AttributionShare, CustomerReattributed, ReferralRecorded
from ledger.money import FULL_SHARE_BPS
from ledger.terms import Attribution


class Touch(msgspec.Struct, frozen=True):
    """A moment at which a partner brought the customer."""

    effective_at: datetime
    referral_id: UUID
    partner_id: UUID


class Override(msgspec.Struct, frozen=True):
    """What finance decided, and the order in which it did (a later decision for the same time wins)."""

    effective_at: datetime
    number: int
    shares: tuple[AttributionShare, ...]


class Binding(msgspec.Struct, frozen=True):
    """The conversion time that bound the customer, and the touch that won."""

    bound_at: datetime
    touch: Touch


class CustomerState(msgspec.Struct, frozen=True):
    """A customer's touches and overrides, each in order of effective time."""

    touches: tuple[Touch, ...] = ()
    overrides: tuple[Override, ...] = ()


class Attributed(msgspec.Struct, frozen=True):
    """For whom one conversion counts, by shares that sum to 10,000, and since when the customer does."""

    shares: tuple[AttributionShare, ...]
    since: datetime


INITIAL: Final = CustomerState()
NOBODY: Final[tuple[AttributionShare, ...]] = ()


def evolve(state: CustomerState, fact: Fact) -> CustomerState:
    """The customer after a fact."""
    match fact:
        case ReferralRecorded():
            touch = Touch(fact.effective_at, fact.referral_id, fact.partner_id)
            touches = sorted((*state.touches, touch), key=lambda t: (t.effective_at, t.referral_id))
            return CustomerState(tuple(touches), state.overrides)
        case CustomerReattributed():
            override = Override(fact.effective_at, len(state.overrides), fact.shares)
            overrides = sorted((*state.overrides, override), key=lambda o: (o.effective_at, o.number))
            return CustomerState(state.touches, tuple(overrides))
        case _:
            return state


RuleAt = Callable[[datetime], Attribution | None]
"""The attribution rule of the program's terms in force at a time; None: the program had none."""


def bind(state: CustomerState, conversion_at: datetime, rule_at: RuleAt) -> Binding | None:
    """The binding that a conversion at this time would make, were it the customer's first."""
    rule = rule_at(conversion_at)
    if rule is None:
        return None
    eligible = [
        touch
        for touch in state.touches
        if touch.effective_at <= conversion_at
        and (rule.window is None or conversion_at <= touch.effective_at + rule.window)
    ]
    if not eligible:
        return None
    return Binding(conversion_at, eligible[0] if rule.model == "first_touch" else eligible[-1])


def first_binding(
    state: CustomerState, conversions_at: Sequence[datetime], rule_at: RuleAt
) -> Binding | None:
    """The customer's binding, given the times of its conversions in order."""
    for conversion_at in conversions_at:
        binding = bind(state, conversion_at, rule_at)
        if binding is not None:
            return binding
    return None


def attributed(state: CustomerState, binding: Binding | None, effective_at: datetime) -> Attributed | None:
    """For whom a conversion at this time counts; None: for nobody."""
    ruling = None
    for override in state.overrides:
        if override.effective_at <= effective_at:
            ruling = override
    if ruling is not None:
        since = ruling.effective_at
        if binding is not None and any(s.partner_id == binding.touch.partner_id for s in ruling.shares):
            since = min(since, binding.bound_at)
        return Attributed(ruling.shares, since) if ruling.shares else None
    if binding is None or effective_at < binding.bound_at:
        return None
    return Attributed(
        (AttributionShare(partner_id=binding.touch.partner_id, share_bps=FULL_SHARE_BPS),), binding.bound_at
    )
