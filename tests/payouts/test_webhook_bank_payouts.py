"""Payouts to banks by the webhook worker: paid, given back, found by the daily look where no event came."""

from datetime import timedelta

from ledger.events.payout import PayoutPaid
from payouts.connected import Contents


def test_a_payout_that_arrives_is_paid_and_one_that_fails_later_returned(connected):
    """And never sent again: it is still with the partner, in its account there."""
    acme = connected.partner()
    payout_id = connected.transferred(acme, 1_000)
    told = []
    for status in ("pending", "paid", "paid", "failed"):
        connected.later(timedelta(days=1))
        connected.provider.pays_out("po_1", "acct_1", 1_000, status, connected.seconds, Contents({"py_1"}))
        connected.event(f"payout.{status}", "po_1", "acct_1")
        connected.work()
        told.append(connected.status(payout_id))

    assert told == ["confirmed", "paid", "paid", "returned"]
    assert connected.payable_minor(acme) == 0
    connected.provider.pays_out("po_2", "acct_1", 1_000, "paid", connected.seconds, Contents((), {"po_1"}))
    connected.event("payout.paid", "po_2", "acct_1")
    connected.work()
    assert connected.status(payout_id) == "paid"


def test_news_of_an_earlier_payout_that_comes_late_undoes_nothing(quick):
    """Three days late, the failure of the first payout is old news: the second one arrived."""
    payout_id = quick.transferred(quick.partner(), 1_000)
    at = quick.seconds
    quick.provider.pays_out("po_1", "acct_1", 1_000, "failed", at + 10, Contents({"py_1"}))
    quick.provider.pays_out("po_2", "acct_1", 1_000, "paid", at + 20, Contents((), {"po_1"}))
    quick.later(timedelta(days=1))
    quick.event("payout.paid", "po_2", "acct_1")
    quick.work()
    quick.later(timedelta(days=3))
    quick.event("payout.failed", "po_1", "acct_1")
    quick.work()

    assert quick.status(payout_id) == "paid"


def test_where_the_first_payout_s_failure_was_lost_both_are_told(quick):
    """Paid by one payout, then by another: in between the money had come back."""
    payout_id = quick.transferred(quick.partner(), 1_000)
    for number, before in ((1, ()), (2, ("po_1",))):
        quick.later(timedelta(days=1))
        contents = Contents(() if before else {"py_1"}, before)
        for failed in before:
            quick.provider.pays_out(failed, "acct_1", 1_000, "failed", quick.seconds - 9, Contents({"py_1"}))
        quick.provider.pays_out(f"po_{number}", "acct_1", 1_000, "paid", quick.seconds, contents)
        quick.event("payout.paid", f"po_{number}", "acct_1")
        quick.work()

    names = [type(one.fact).__name__ for one in quick.ledger.history(payout_id)]
    assert names[-3:] == ["PayoutPaid", "PayoutReturned", "PayoutPaid"]
    paid = [one.fact.reference for one in quick.ledger.history(payout_id) if isinstance(one.fact, PayoutPaid)]
    assert paid == ["po_1", "po_2"]


def test_a_payout_not_seen_at_the_bank_is_looked_for_every_day(quick):
    """Though every event about it was lost."""
    payout_id = quick.transferred(quick.partner(), 1_000)
    quick.provider.pays_out("po_1", "acct_1", 1_000, "paid", quick.seconds + 60)
    quick.later(timedelta(days=1))
    quick.worker.step()
    quick.work()

    assert quick.status(payout_id) == "paid"


def test_a_payout_that_the_bank_gave_back_is_found_within_a_day(connected):
    """Though the word of it was lost: what was paid is looked at for as long as a bank may give it back."""
    acme = connected.partner()
    connected.provider.stands("acct_1")
    payout_id = connected.transferred(acme, 1_000)
    connected.provider.pays_out("po_1", "acct_1", 1_000, "paid", connected.seconds + 60)
    for _ in range(13):
        connected.later(timedelta(days=1))
        connected.work()
    assert connected.status(payout_id) == "paid"
    created = connected.provider.payouts["po_1"][1].created
    connected.provider.pays_out("po_1", "acct_1", 1_000, "failed", created)
    connected.later(timedelta(days=1))
    connected.work()

    assert connected.status(payout_id) == "returned"


def test_a_transfer_learned_of_weeks_later_is_looked_for_where_it_was_made(connected):
    """Its answer was lost and nobody was there: its money went to the bank before we knew that it was."""
    acme = connected.partner()
    connected.provider.stands("acct_1")
    payout_id = connected.transferred(acme, 1_000, confirmed=False)
    connected.provider.pays_out("po_1", "acct_1", 1_000, "failed", connected.seconds + 60, Contents({"py_1"}))
    connected.later(timedelta(days=40))
    connected.confirm(payout_id, "tr_1")
    connected.later(timedelta(days=1))
    connected.work()

    assert connected.status(payout_id) == "returned"


def test_what_was_paid_long_ago_is_not_asked_about_any_more(quick):
    """After two weeks nothing of it changes."""
    quick.provider.stands("acct_1")
    payout_id = quick.transferred(quick.partner(), 1_000)
    quick.provider.pays_out("po_1", "acct_1", 1_000, "paid", quick.seconds + 60)
    quick.later(timedelta(days=1))
    quick.work()
    assert quick.status(payout_id) == "paid"
    quick.later(timedelta(days=15))
    quick.work()
    quick.provider.asked.clear()
    quick.later(timedelta(days=1))
    quick.work()

    assert quick.provider.asked == []


def test_our_own_payouts_to_our_bank_are_noted(quick):
    """They are about no partner."""
    quick.event("payout.paid", "po_1", None, event_id="evt_1")
    quick.work()

    assert quick.ends()["evt_1"][0] == "noted"
    assert quick.provider.asked == []
