"""A payout by our bank that was said never to have left, by mistake: taken back with a reason, or refused."""

from uuid import uuid4

import pytest

from ledger.bank_commands import WithdrawBankRejection
from ledger.refusals import (
    IllegalTransition,
    InsufficientBalance,
    InvalidField,
    NotFound,
    NothingToPay,
    PaidAgain,
)
from payouts import batches
from payouts.bank import settling
from projections.rebuild import rebuild
from tests.support.bank import BankFinance
from tests.support.bank_statement import camt053, movement
from tests.support.finance import CHECKER


@pytest.fixture
def rejected(bank):
    """A payout of 50.00 to acme that finance took for one that never left."""
    acme = bank.at_bank("acme", available_minor=50_00)
    payout = bank.payout(bank.exported(), acme)
    bank.later(days=1, hours=12)
    bank.tell(payout, "rejected", **NEVER)
    assert bank.balance(acme) == {"available": 50_00, "earned": 50_00}
    return payout


NEVER = {"reference": "file", "reason": "never uploaded"}


def withdraw(bank: BankFinance, payout, reason="the statement shows it"):
    """Take back that it never left."""
    wish = WithdrawBankRejection(payout_id=payout.payout_id, reason=reason)
    done = settling.withdraw_rejection(bank.ledger, wish, by=CHECKER, person="ann")
    bank.runner.catch_up()
    return done


def now(bank, payout):
    """The payout as it stands."""
    return batches.load_payout(bank.ledger, payout.payout_id)


def test_a_mistaken_rejection_is_taken_back_and_the_statement_then_pays_it(bank, rejected):
    """In transit again, with reason and person; the statement that was `unexpected` is imported anew."""
    statement = camt053(movement(rejected.payout_id, 50_00))
    before = bank.read_statement(statement, "camt.053")

    done = withdraw(bank, rejected)
    facts = len(bank.world.log())
    again = withdraw(bank, rejected)

    assert [line.verdict for line in before.lines] == ["unexpected"]
    assert (done.status, done.reason) == ("intent", "the statement shows it")
    assert (again, len(bank.world.log())) == (done, facts)
    assert bank.balance(rejected.partner_id) == {"in_transit": 50_00, "earned": 50_00}
    after = bank.read_statement(statement, "camt.053")
    assert ([line.verdict for line in after.lines], now(bank, rejected).status) == (["paid"], "paid")
    assert bank.balance(rejected.partner_id) == {"paid": 50_00, "earned": 50_00}
    bank.check_zero_sum()
    assert rebuild(bank.ledger, []).differences == ()


def test_after_it_the_same_word_can_be_said_again(bank, rejected):
    """It is a new one; and what is payable then goes out with the next batch, to the last line."""
    withdraw(bank, rejected)

    told = bank.tell(rejected, "rejected", **NEVER)
    bank.earn(rejected.partner_id, 10_00)
    batch = bank.draft()

    assert told.status == "rejected"
    [payout] = batch.payouts
    assert payout.amount_minor == 60_00
    assert sum(line.amount_minor for line in batches.lines(bank.ledger, payout.payout_id)) == 60_00


def test_what_is_earned_later_is_paid_by_the_next_batch_alone(bank, rejected):
    """The lines of the payout that is in transit again are its own."""
    withdraw(bank, rejected)
    bank.earn(rejected.partner_id, 20_00)
    bank.tell(rejected, "paid")
    bank.runner.catch_up()

    [payout] = bank.payouts(bank.exported())

    assert (payout.status, payout.amount_minor) == ("intent", 20_00)
    assert sum(line.amount_minor for line in batches.lines(bank.ledger, payout.payout_id)) == 20_00
    assert bank.balance(rejected.partner_id) == {"in_transit": 20_00, "paid": 50_00, "earned": 70_00}


def test_where_its_money_was_paid_again_it_is_refused_by_name(bank, rejected):
    """Also when as much was earned since: no line is paid by two payouts. Nothing is stored."""
    [second] = bank.exported().payouts
    bank.earn(rejected.partner_id, 80_00)
    facts = len(bank.world.log())

    with pytest.raises(PaidAgain, match=str(second.payout_id)):
        withdraw(bank, rejected)

    assert len(bank.world.log()) == facts
    assert now(bank, rejected).status == "rejected"


def test_a_draft_of_the_same_money_ends_where_the_rejection_is_taken_back_first(bank, rejected):
    """It was approved and not exported yet: it is canceled, and nobody is paid twice."""
    batch = bank.approved()

    withdraw(bank, rejected)
    bank.later(days=1)
    with pytest.raises(NothingToPay, match="its lines went out"):
        bank.export(batch)

    assert bank.payout(batch).status == "canceled"
    assert bank.balance(rejected.partner_id) == {"in_transit": 50_00, "earned": 50_00}


def test_what_was_taken_back_since_is_not_there_to_be_reserved(bank, rejected):
    """A refund of the reward came first."""
    bank.reverse(rejected.partner_id, 1)

    with pytest.raises(InsufficientBalance):
        withdraw(bank, rejected)


def test_only_a_rejection_by_the_bank_is_taken_back(bank, rejected):
    """With a reason; not one that was never said, nor a payout that is not there."""
    with pytest.raises(InvalidField):
        withdraw(bank, rejected, reason="")
    withdraw(bank, rejected)
    with pytest.raises(IllegalTransition):
        withdraw(bank, rejected, reason="another word")
    bank.tell(rejected, "paid")
    with pytest.raises(IllegalTransition):
        withdraw(bank, rejected)
    wish = WithdrawBankRejection(payout_id=uuid4(), reason="r")
    with pytest.raises(NotFound):
        settling.withdraw_rejection(bank.ledger, wish, by=CHECKER)
