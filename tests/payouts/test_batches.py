"""Batches: who is due what, down to the facts; two people; and what somebody else changed in between."""

from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest

from ledger.commands import ApprovePayouts, CancelPayouts, DraftPayouts, SuspendPartner
from ledger.refusals import (
    ContentChanged,
    ContentConflict,
    NotFound,
    NothingToPay,
    SameMakerAndChecker,
    UnknownProgram,
)
from payouts import batches
from payouts.outcomes import Rejected
from tests.support.finance import CHECKER, MAKER, Script


def test_a_batch_pays_each_account_all_that_is_payable_and_its_lines_say_why(finance):
    """Amounts come from the account streams; every line leads to the reward and the conversion behind it."""
    acme, bolt = finance.partner("acme", available_minor=30_00), finance.partner("bolt")
    finance.earn(acme, 12_34)
    first = finance.earn(bolt, 25_00)
    finance.refund(first, 5_00)

    batch = finance.draft()

    assert {p.partner_id: p.amount_minor for p in batch.payouts} == {acme: 42_34, bolt: 24_00}
    assert (batch.status, batch.total_minor, batch.made_by) == ("draft", 66_34, MAKER)
    lines = batches.lines(finance.ledger, finance.payout(batch, bolt).payout_id)
    assert [(line.kind, line.amount_minor) for line in lines] == [
        ("RewardMatured", 25_00),
        ("MaturedRewardReversed", -1_00),
    ]
    assert {line.conversion_id for line in lines} == {finance.world.conversion_id(first)}
    assert len({line.reward_id for line in lines} - {None}) == 1


def test_the_view_only_names_candidates(finance):
    """A view that lags behind a refund can't make a batch overpay: the account's stream decides."""
    acme = finance.partner(available_minor=30_00)
    finance.reverse(acme, 12_00)
    wish = DraftPayouts(batch_id=uuid4(), program_id=finance.world.program_id)

    batch = batches.draft(finance.ledger, wish, by=MAKER)

    assert [p.amount_minor for p in batch.payouts] == [18_00]


def test_drafting_reads_no_more_for_a_partner_who_earned_a_lot(finance, monkeypatch):
    """The engine's snapshot and what came since: of many facts, paid or not, none."""
    acme = finance.partner("acme", available_minor=30_00)
    first = finance.approved()
    finance.pay()
    for number in range(60):
        now, customer = finance.world.now, f"customer-{number}"
        finance.world.touch(customer, acme, now - timedelta(minutes=1))
        finance.world.send(finance.world.sale(f"sale-{number}", customer, 5_00, now))
    finance.settle()
    finance.reverse(acme, 10)
    finance.runner.catch_up()
    read = []
    decode = finance.ledger.decode

    def counted(row):
        read.append(row[0])
        return decode(row)

    monkeypatch.setattr(finance.ledger, "decode", counted)

    batch = finance.draft()

    [second] = batch.payouts
    assert second.amount_minor == 60 * 1_00 - 10
    assert second.account_from_version == first.payouts[0].account_to_version
    assert second.account_to_version == len(finance.ledger.history(second.account_id)) == 63
    assert read.count(second.account_id) == 1
    monkeypatch.undo()
    lines = batches.lines(finance.ledger, second.payout_id)
    assert (len(lines), sum(line.amount_minor for line in lines)) == (61, second.amount_minor)


def test_the_lines_of_a_payout_are_all_that_is_read_of_its_account(finance, monkeypatch):
    """Not what was paid before it, nor what came after."""
    acme = finance.partner("acme", available_minor=30_00)
    for _ in range(3):
        batch = finance.approved()
        finance.pay()
        finance.earn(acme, 20_00)
    read = []
    to_fact = finance.ledger.mapper.to_domain_event

    def counted(stored):
        read.append(stored.originator_id)
        return to_fact(stored)

    monkeypatch.setattr(finance.ledger.mapper, "to_domain_event", counted)
    payout = finance.payout(batch)

    lines = batches.lines(finance.ledger, payout.payout_id)

    assert sum(line.amount_minor for line in lines) == payout.amount_minor == 20_00
    assert read.count(payout.account_id) == payout.account_to_version - payout.account_from_version == 2


def test_who_is_left_out_is_told_with_the_reason(finance):
    """Suspended, without payout account, below the minimum, or with a payout on its way."""
    due = finance.partner("due", available_minor=10_00)
    below = finance.partner("below", available_minor=9_99)
    homeless = finance.partner("homeless", available_minor=50_00, linked=False)
    suspended = finance.partner("suspended", available_minor=50_00)
    finance.world.desk.execute(SuspendPartner(partner_id=suspended, reason="odd traffic"), by="cli")

    batch = finance.draft()

    assert [p.partner_id for p in batch.payouts] == [due]
    assert {skipped.partner_id: skipped.reason for skipped in batch.skipped} == {
        below: "less than the minimum of 1000 is payable",
        homeless: "the partner has no account of stripe",
        suspended: "the partner is suspended",
    }
    with pytest.raises(NothingToPay) as refused:
        finance.draft()
    reasons = {skipped.partner_id: skipped.reason for skipped in refused.value.details["skipped"]}
    assert reasons[due] == "an earlier payout is open"


def test_what_came_back_is_not_sent_to_a_partner_that_owes_us_as_much(finance):
    """A rejected attempt's money is set off against a refund that came while it was under way."""
    acme = finance.partner(available_minor=20_00)
    rejected = finance.approved()
    no = Script(Rejected("amount_too_large", "no"), before=lambda: finance.reverse(acme, 20_00))
    finance.pay(finance.worker(no))

    assert finance.payout(rejected).status == "rejected"
    with pytest.raises(NothingToPay):
        finance.draft()
    finance.earn(acme, 30_00)
    assert [payout.amount_minor for payout in finance.draft().payouts] == [30_00]


def test_the_wish_can_raise_the_minimum_but_not_lower_it(finance):
    """The partner's own terms hold at least."""
    finance.partner(available_minor=9_99)
    big = finance.partner("big", available_minor=100_00)

    assert [p.partner_id for p in finance.draft(minimum_minor=50_00).payouts] == [big]
    with pytest.raises(NothingToPay):
        finance.draft(minimum_minor=0)


def test_the_same_wish_again_is_the_same_batch(finance):
    """Also after more was earned; another wish under the same id is refused."""
    acme = finance.partner(available_minor=30_00)
    wish = DraftPayouts(batch_id=uuid4(), program_id=finance.world.program_id)
    batch = batches.draft(finance.ledger, wish, by=MAKER)
    finance.earn(acme, 10_00)
    facts = len(finance.world.log())

    again = batches.draft(finance.ledger, wish, by=MAKER)

    assert msgspec.structs.replace(again, new=True) == batch
    assert len(finance.world.log()) == facts
    with pytest.raises(ContentConflict):
        batches.draft(finance.ledger, msgspec.structs.replace(wish, minimum_minor=1), by=MAKER)
    with pytest.raises(UnknownProgram):
        batches.draft(finance.ledger, DraftPayouts(batch_id=uuid4(), program_id=uuid4()), by=MAKER)


def test_a_batch_is_approved_by_somebody_else_as_it_was_looked_at(finance):
    """Neither the maker nor another hash approves; nothing is stored then."""
    finance.partner(available_minor=30_00)
    batch = finance.draft()
    wish = ApprovePayouts(batch_id=batch.batch_id, content_hash=batch.content_hash)
    facts = len(finance.world.log())

    with pytest.raises(SameMakerAndChecker):
        batches.approve(finance.ledger, wish, by=MAKER)
    with pytest.raises(ContentChanged):
        batches.approve(finance.ledger, msgspec.structs.replace(wish, content_hash="0" * 64), by=CHECKER)
    with pytest.raises(NotFound):
        batches.approve(finance.ledger, msgspec.structs.replace(wish, batch_id=uuid4()), by=CHECKER)
    assert len(finance.world.log()) == facts
    assert finance.pay() == 0

    approved = batches.approve(finance.ledger, wish, by=CHECKER)

    assert (approved.status, approved.approved_by, approved.new) == ("approved", CHECKER, True)
    assert [p.status for p in approved.payouts] == ["approved"]
    assert batches.approve(finance.ledger, wish, by=CHECKER).new is False


def test_a_batch_given_up_frees_its_partners(finance):
    """The same money is drafted anew, from the same first line."""
    acme = finance.partner(available_minor=30_00)
    batch = finance.draft()
    wish = CancelPayouts(batch_id=batch.batch_id, reason="wrong month")

    canceled = batches.cancel(finance.ledger, wish, by=CHECKER)

    assert (canceled.status, [p.status for p in canceled.payouts]) == ("canceled", ["canceled"])
    again = finance.approve(finance.draft())
    assert finance.payout(again, acme).account_from_version == 0


def test_the_next_payout_begins_where_the_last_one_ended(finance):
    """Lines of consecutive payouts meet without gap or overlap, refunds between draft and send included."""
    acme = finance.partner(available_minor=30_00)
    first = finance.draft()
    sale = finance.earn(acme, 40_00)
    finance.refund(sale, 50_00)
    finance.approve(first)
    finance.pay()
    finance.earn(acme, 5_00)

    second = finance.draft()

    one, two = finance.payout(first), finance.payout(second)
    assert (one.status, one.amount_minor, two.amount_minor) == ("confirmed", 30_00, 35_00)
    assert two.account_from_version == one.account_to_version
    assert [line.amount_minor for line in batches.lines(finance.ledger, two.payout_id)] == [
        40_00,
        -10_00,
        5_00,
    ]
