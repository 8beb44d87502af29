"""The posting rule: each fact of money becomes the entry that the chart of accounts asks for."""

import json
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import ids
from ledger.events.account import (
    ClawbackOffset,
    ClawbackWrittenOff,
    MaturedRewardReversed,
    PayoutReleased,
    PayoutReserved,
    RewardMatured,
    TransferReversalCredited,
)
from ledger.events.payout import TransferConfirmed, TransferRejected
from ledger.events.reward import RewardAccrued, RewardReversed
from ledger.money import AMOUNT_MINOR_MAX
from ledger.postings import MONEY_FACTS, POSTING_VERSION, posting_version, postings
from ledger.store.mapper import FactMapper, fact_types
from ledger.store.upcasts import UPCASTS
from tests.support.stored_events import FOLDER

PROGRAM, PARTNER = ids.program_id("retail"), ids.partner_id("acme")
ACCOUNT = ids.account_id(PROGRAM, PARTNER, "GBP")
SALE = ids.conversion_id(PROGRAM, "shop", "1")
WRITE_OFF = ids.command_id("key", "k-1", "write_off")
REWARD, PAYOUT = ids.reward_id(SALE, PARTNER, 1), ids.payout_id(SALE, ACCOUNT)
NOW = datetime(2024, 1, 1, tzinfo=UTC)
HOLDER: dict[str, Any] = {
    "program_id": PROGRAM,
    "partner_id": PARTNER,
    "currency": "GBP",
    "effective_at": NOW,
}
OF_REWARD: dict[str, Any] = {"reward_id": REWARD, "conversion_id": SALE}


def accrued(amount=200):
    return RewardAccrued(
        **HOLDER,
        **OF_REWARD,
        account_id=ACCOUNT,
        customer_id=SALE,
        amount_minor=amount,
        basis_minor=1_000,
        gross_minor=amount,
        share_bps=10_000,
        terms_version=1,
        rule=0,
        matures_at=NOW,
        reason="20% of the sale",
        cause_position=1,
    )


def held_reversed(amount=200):
    return RewardReversed(
        **HOLDER, **OF_REWARD, account_id=ACCOUNT, amount_minor=amount, reason="refund", cause_position=1
    )


def matured_reversed(payable=150, clawback=50):
    return MaturedRewardReversed(
        **HOLDER,
        **OF_REWARD,
        payable_minor=payable,
        clawback_minor=clawback,
        reason="refund",
        cause_position=1,
    )


def reserved(net=170, withheld=30):
    return PayoutReserved(**HOLDER, payout_id=PAYOUT, attempt=1, net_minor=net, withheld_minor=withheld)


def released(net=170, withheld=30):
    return PayoutReleased(
        **HOLDER, payout_id=PAYOUT, attempt=1, net_minor=net, withheld_minor=withheld, reason="rejected"
    )


def confirmed(net=170):
    return TransferConfirmed(**HOLDER, attempt=1, transfer_id="tr_1", account_id=ACCOUNT, net_minor=net)


def matured(amount=200):
    return RewardMatured(**HOLDER, **OF_REWARD, amount_minor=amount)


def offset(amount=200):
    return ClawbackOffset(**HOLDER, reward_id=REWARD, amount_minor=amount)


def written_off(amount=200):
    return ClawbackWrittenOff(**HOLDER, write_off_id=WRITE_OFF, amount_minor=amount, reason="too small")


def credited(amount=200, withheld=0):
    return TransferReversalCredited(
        **HOLDER, payout_id=PAYOUT, reference="trr_1", amount_minor=amount, withheld_minor=withheld
    )


def booked(net=170):
    return msgspec.structs.replace(confirmed(net), provider="bank")


def came_back(net=170, withheld=30):
    return msgspec.structs.replace(credited(net, withheld), provider="bank")


ENTRIES = [
    (accrued(), {"commission_expense": 200, "commission_accrued": -200}),
    (held_reversed(), {"commission_accrued": 200, "commission_expense": -200}),
    (matured(), {"commission_accrued": 200, "commission_payable": -200}),
    (
        matured_reversed(),
        {"commission_payable": 150, "clawback_receivable": 50, "commission_expense": -200},
    ),
    (offset(), {"commission_payable": 200, "clawback_receivable": -200}),
    (written_off(), {"clawback_loss": 200, "clawback_receivable": -200}),
    (reserved(), {"commission_payable": 200, "payout_clearing": -170, "withholding_payable": -30}),
    (released(), {"payout_clearing": 170, "withholding_payable": 30, "commission_payable": -200}),
    (confirmed(), {"payout_clearing": 170, "stripe_balance": -170}),
    (credited(), {"stripe_balance": 200, "commission_payable": -200}),
    (
        credited(170, 30),
        {"stripe_balance": 170, "withholding_payable": 30, "commission_payable": -200},
    ),
    (booked(), {"payout_clearing": 170, "bank_balance": -170}),
    (came_back(), {"bank_balance": 170, "withholding_payable": 30, "commission_payable": -200}),
]


@pytest.mark.parametrize(("fact", "entry"), ENTRIES, ids=lambda value: type(value).__name__)
def test_each_fact_of_money_has_its_entry(fact, entry):
    """Debits are positive, credits negative; each leg names program, partner and currency."""
    legs = postings(fact)

    assert {leg.account: leg.amount_minor for leg in legs} == entry
    assert len(legs) == len(entry)
    assert {(leg.program_id, leg.partner_id, leg.currency) for leg in legs} == {(PROGRAM, PARTNER, "GBP")}


def test_every_rule_is_tried_here():
    """A new fact of money needs its entry above, and keeps the version of the rule for the old ones."""
    assert {type(fact) for fact, _ in ENTRIES} == set(MONEY_FACTS)
    assert POSTING_VERSION == 1


def test_what_came_back_before_its_tax_did_keeps_its_entry():
    """Of version 1: the net alone, as it was booked then."""
    [stored] = json.loads((FOLDER / "TransferReversalCredited@1.json").read_text())["examples"]
    fact = (
        FactMapper(UPCASTS).decode(PAYOUT, 1, "TransferReversalCredited@1", stored["state"].encode(), 9).fact
    )
    legs = [(leg.account, leg.amount_minor) for leg in postings(fact)]

    assert legs == [("stripe_balance", 10_050), ("commission_payable", -10_050)]


def test_each_provider_s_money_is_an_account_of_its_own():
    """What our bank moves is posted by the second version of the rule; all else stays what it was."""
    assert [posting_version(name) for name in (None, "stripe", "bank")] == [1, 1, 2]
    for stripe, bank in ((confirmed(), booked()), (credited(), came_back(200, 0))):
        renamed = [leg.account.replace("stripe", "bank") for leg in postings(stripe)]
        assert [leg.account for leg in postings(bank)] == renamed


def test_facts_that_move_no_money_have_no_legs():
    """A definite rejection moves nothing by itself: the account's release does."""
    rejected = TransferRejected(attempt=1, code="x", message="y", effective_at=NOW)

    assert postings(rejected) == ()
    assert set(MONEY_FACTS) < set(fact_types())


@pytest.mark.parametrize(
    ("fact", "accounts"),
    [
        (matured_reversed(200, 0), ["commission_payable", "commission_expense"]),
        (matured_reversed(0, 200), ["clawback_receivable", "commission_expense"]),
        (reserved(200, 0), ["commission_payable", "payout_clearing"]),
        (accrued(0), []),
    ],
)
def test_a_leg_of_nothing_is_left_out(fact, accounts):
    """The journal has no lines of zero."""
    assert [leg.account for leg in postings(fact)] == accounts


AMOUNT = st.integers(0, AMOUNT_MINOR_MAX)
MONEY = st.one_of(
    *(st.builds(make, AMOUNT) for make in (accrued, held_reversed, matured, offset, written_off)),
    *(st.builds(make, AMOUNT) for make in (confirmed, credited, booked)),
    *(st.builds(make, AMOUNT, AMOUNT) for make in (matured_reversed, reserved, released, came_back)),
)


@given(MONEY)
def test_every_entry_sums_to_zero_per_currency(fact):
    """Whatever the amounts, nothing appears and nothing is lost."""
    sums: dict[str, int] = defaultdict(int)
    for leg in postings(fact):
        sums[leg.currency] += leg.amount_minor

    assert all(total == 0 for total in sums.values())
