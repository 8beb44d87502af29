"""A human's word on a payout: it moves the money that belongs to it, and never silently."""

import msgspec
import pytest

from ledger import payout_search
from ledger.commands import ResolvePayout
from ledger.events.payout import PayoutResolved
from ledger.refusals import ContentConflict, IllegalTransition, InsufficientBalance, NotFound
from ledger.store.application import Change
from payouts.batches import PAYOUT
from payouts.outcomes import Confirmed, Unknown
from payouts.resolving import resolve
from tests.support.finance import Script


@pytest.fixture
def unknown(finance):
    """A payout of 30.00 whose outcome nobody learned."""
    finance.partner(available_minor=30_00)
    batch = finance.approved()
    finance.pay(finance.worker(Script(Unknown("connection"))))
    finance.later(hours=20)
    return finance.payout(batch)


def append(finance, found, decide):
    """Let a rule of the search have its say."""
    state, version = finance.ledger.load(found.payout_id, PAYOUT)
    facts = decide(state)
    assert finance.ledger.append([Change(found.payout_id, version, facts)], by="payouts")


def begin_search(finance, found):
    append(finance, found, lambda s: payout_search.begin_search(s, attempt=1, now=finance.world.now))


def leave_to_human(finance, found):
    append(
        finance,
        found,
        lambda s: payout_search.leave_to_human(s, attempt=1, reason="two", now=finance.world.now),
    )


def word(found, outcome="confirmed", transfer_id: str | None = "tr_1", reason="seen in the dashboard"):
    return ResolvePayout(payout_id=found.payout_id, outcome=outcome, transfer_id=transfer_id, reason=reason)


def test_a_transfer_that_somebody_found_is_paid(finance, unknown):
    """Who said so, and why, stands in the stream before the confirmation; said twice it counts once."""
    for _ in range(2):
        assert resolve(finance.ledger, word(unknown), by="key:ann").transfer_id == "tr_1"

    assert finance.facts_of(unknown)[-2:] == ["PayoutResolved", "TransferConfirmed"]
    [said] = finance.world.facts(PayoutResolved)
    assert (said.resolved_by, said.reason) == ("key:ann", "seen in the dashboard")
    assert finance.balance(unknown.partner_id) == {"paid": 30_00, "earned": 30_00}
    finance.check_zero_sum()


def test_a_transfer_that_is_absent_gives_its_money_back_and_is_sent_anew(finance, unknown):
    """Once nobody sends its key any more; the next attempt has a key of its own."""
    absent = word(unknown, "absent", None)
    with pytest.raises(IllegalTransition, match="asked for by its key"):
        resolve(finance.ledger, absent, by="key:ann")
    begin_search(finance, unknown)

    done = [resolve(finance.ledger, absent, by="key:ann") for _ in range(2)]

    assert [d.status for d in done] == ["absent", "absent"]
    assert finance.balance(unknown.partner_id) == {"available": 30_00, "earned": 30_00}
    worker = finance.worker(Script(Confirmed("tr_2")))
    assert finance.pay(worker) == 1
    facts = finance.facts_of(unknown)
    assert facts.count("PayoutIntentRecorded") == 2
    assert finance.balance(unknown.partner_id) == {"paid": 30_00, "earned": 30_00}
    finance.check_zero_sum()


def test_a_transfer_that_appears_after_its_absence_takes_its_money_again(finance, unknown):
    """What was proven absent had been released; if the money went out since, that is said."""
    begin_search(finance, unknown)
    resolve(finance.ledger, word(unknown, "absent", None), by="key:ann")
    leave_to_human(finance, unknown)
    assert finance.balance(unknown.partner_id) == {"available": 30_00, "earned": 30_00}
    finance.reverse(unknown.partner_id, 10_00)

    with pytest.raises(InsufficientBalance):
        resolve(finance.ledger, word(unknown), by="key:ann")
    finance.earn(unknown.partner_id, 10_00)
    resolve(finance.ledger, word(unknown), by="key:ann")

    assert finance.balance(unknown.partner_id) == {"paid": 30_00, "earned": 30_00}
    finance.check_zero_sum()


def test_one_transfer_is_not_two_payouts(finance, unknown):
    """The id that another payout has is refused; and nobody resolves what is not there."""
    finance.partner("bolt", available_minor=20_00)
    finance.approved()
    finance.pay(finance.worker(Script(Confirmed("tr_1"))))

    with pytest.raises(ContentConflict, match="the transfer of payout"):
        resolve(finance.ledger, word(unknown), by="key:ann")
    nobody = msgspec.structs.replace(word(unknown), payout_id=finance.world.program_id)
    with pytest.raises(NotFound):
        resolve(finance.ledger, nobody, by="key:ann")
