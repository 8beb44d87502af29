"""The posting rule: each fact that moves money becomes balanced debits and credits. Pure and versioned."""

from collections.abc import Callable
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from ledger.events import account, payout, reward
from ledger.events.base import Fact

POSTING_VERSION: Final = 1
"""Stands in every leg. A new rule for old facts would be a new version, never a change of this one."""
BANK_POSTING_VERSION: Final = 2
"""Of what our own bank moved: the rule that tells its account from the balance at Stripe."""

Account = Literal[
    "commission_expense",
    "commission_accrued",
    "commission_payable",
    "clawback_receivable",
    "clawback_loss",
    "payout_clearing",
    "withholding_payable",
    "stripe_balance",
    "bank_balance",
]
_BALANCE: Final[dict[str, Account]] = {"stripe": "stripe_balance", "bank": "bank_balance"}


class Leg(msgspec.Struct, frozen=True):
    """One line of a journal entry: a debit is positive, a credit negative, in `currency`'s minor units."""

    account: Account
    amount_minor: int
    currency: str
    program_id: UUID
    partner_id: UUID
    posting_version: int = POSTING_VERSION


def postings(fact: Fact) -> tuple[Leg, ...]:
    """The legs of a fact, which sum to zero per currency; none where it moves no money."""
    rule = _RULES.get(type(fact))
    if rule is None:
        return ()
    money: Any = fact
    version = posting_version(getattr(fact, "provider", None))
    return tuple(
        Leg(name, amount, money.currency, money.program_id, money.partner_id, version)
        for name, amount in rule(money)
        if amount
    )


Entry = list[tuple[Account, int]]


def _accrued(fact: reward.RewardAccrued) -> Entry:
    return [("commission_expense", fact.amount_minor), ("commission_accrued", -fact.amount_minor)]


def _reversed(fact: reward.RewardReversed) -> Entry:
    return [("commission_accrued", fact.amount_minor), ("commission_expense", -fact.amount_minor)]


def _matured(fact: account.RewardMatured) -> Entry:
    return [("commission_accrued", fact.amount_minor), ("commission_payable", -fact.amount_minor)]


def _matured_reversed(fact: account.MaturedRewardReversed) -> Entry:
    return [
        ("commission_payable", fact.payable_minor),
        ("clawback_receivable", fact.clawback_minor),
        ("commission_expense", -fact.payable_minor - fact.clawback_minor),
    ]


def _offset(fact: account.ClawbackOffset) -> Entry:
    return [("commission_payable", fact.amount_minor), ("clawback_receivable", -fact.amount_minor)]


def _written_off(fact: account.ClawbackWrittenOff) -> Entry:
    return [("clawback_loss", fact.amount_minor), ("clawback_receivable", -fact.amount_minor)]


def _reserved(fact: account.PayoutReserved) -> Entry:
    return [
        ("commission_payable", fact.net_minor + fact.withheld_minor),
        ("payout_clearing", -fact.net_minor),
        ("withholding_payable", -fact.withheld_minor),
    ]


def _released(fact: account.PayoutReleased) -> Entry:
    return [
        ("payout_clearing", fact.net_minor),
        ("withholding_payable", fact.withheld_minor),
        ("commission_payable", -fact.net_minor - fact.withheld_minor),
    ]


def _confirmed(fact: payout.TransferConfirmed) -> Entry:
    return [("payout_clearing", fact.net_minor), (_BALANCE[fact.provider], -fact.net_minor)]


def _transfer_reversed(fact: account.TransferReversalCredited) -> Entry:
    return [
        (_BALANCE[fact.provider], fact.amount_minor),
        ("withholding_payable", fact.withheld_minor),
        ("commission_payable", -fact.amount_minor - fact.withheld_minor),
    ]


_RULES: Final[dict[type[Fact], Callable[[Any], Entry]]] = {
    reward.RewardAccrued: _accrued,
    reward.RewardReversed: _reversed,
    account.RewardMatured: _matured,
    account.MaturedRewardReversed: _matured_reversed,
    account.ClawbackOffset: _offset,
    account.ClawbackWrittenOff: _written_off,
    account.PayoutReserved: _reserved,
    account.PayoutReleased: _released,
    payout.TransferConfirmed: _confirmed,
    account.TransferReversalCredited: _transfer_reversed,
}


def posting_version(provider: str | None) -> int:
    """The version of the rule for a fact that a provider moved, or (None) that moved nothing out or in."""
    return BANK_POSTING_VERSION if provider == "bank" else POSTING_VERSION


def entry_rule(kind: type[Fact]) -> Callable[[Any], Entry]:
    """The rule of a kind of fact: from anything with the fact's amounts, its accounts and signed amounts."""
    return _RULES[kind]


MONEY_FACTS: Final[tuple[type[Fact], ...]] = tuple(_RULES)
"""The facts that move money; no other has legs."""
