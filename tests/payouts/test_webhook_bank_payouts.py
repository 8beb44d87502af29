"""Payouts to banks by the webhook worker: paid, given back, found by the daily look where no event came."""

from datetime import timedelta

import msgspec
import pytest

from ledger.events.payout import PayoutPaid, PayoutReturned
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


def told(world, payout_id):
    """What was said of a payout since its transfer was confirmed."""
    facts = [one.fact for one in world.ledger.history(payout_id)]
    return [(type(one).__name__, one.reference) for one in facts if isinstance(one, PayoutPaid)] + [
        (type(one).__name__, one.reason) for one in facts if isinstance(one, PayoutReturned)
    ]


def look(world):
    """Somebody has a word about the account's payouts, and they are looked at."""
    world.event("payout.updated", "po_1", "acct_1")
    world.work()


def test_what_was_paid_long_ago_does_not_come_back_with_another_s_failure(connected):
    """The second transfer's payout had 200 less than that: as much of the first had been taken back. Three
    weeks later a payout fails, and the provider forgets what was in it."""
    acme = connected.partner()
    first = connected.transferred(acme, 500)
    connected.provider.pays_out("po_1", "acct_1", 500, "paid", connected.seconds, Contents({"py_1"}))
    look(connected)
    connected.later(timedelta(days=1))
    second = connected.transferred(acme, 500)
    connected.provider.reverses("trr_1", "tr_1", 200, connected.seconds)
    connected.event("transfer.reversed", "tr_1")
    connected.later(timedelta(hours=1))
    connected.provider.pays_out("po_2", "acct_1", 300, "paid", connected.seconds, Contents({"py_2"}))
    look(connected)
    connected.later(timedelta(days=20))
    third, made = connected.transferred(acme, 400), connected.seconds + 3_600
    for status, contents in (("paid", Contents({"py_3"})), ("failed", Contents())):
        connected.later(timedelta(days=1))
        connected.provider.pays_out("po_3", "acct_1", 400, status, made, contents)
        look(connected)

    assert [connected.status(one) for one in (first, second, third)] == ["paid", "paid", "returned"]
    assert told(connected, second) == [("PayoutPaid", "po_2")]


@pytest.mark.parametrize("automatic", [True, False])
def test_what_was_told_is_not_told_otherwise_when_older_transfers_are_out_of_sight(quick, automatic):
    """Each payout had one of two transfers; after a month the older one is not in the list any more."""
    acme = quick.partner()
    one = quick.transferred(acme, 500)
    quick.later(timedelta(hours=12))
    two = quick.transferred(acme, 500)
    for number in (1, 2):
        quick.later(timedelta(days=1))
        contents = Contents({f"py_{number}"}) if automatic else None
        quick.provider.pays_out(f"po_{number}", "acct_1", 500, "paid", quick.seconds, contents)
        look(quick)
    quick.later(timedelta(days=27, hours=23))
    look(quick)

    assert told(quick, one) == [("PayoutPaid", "po_1")]
    assert told(quick, two) == [("PayoutPaid", "po_2")]


def test_what_is_in_a_payout_is_asked_and_counts_before_any_guess(quick):
    """By the amounts, the oldest first, it would be the first transfer."""
    acme = quick.partner()
    payouts = [quick.transferred(acme, 500), quick.transferred(acme, 500)]
    quick.later(timedelta(hours=1))
    quick.provider.pays_out("po_1", "acct_1", 500, "paid", quick.seconds, Contents({"py_2"}))
    look(quick)

    assert [quick.status(one) for one in payouts] == ["confirmed", "paid"]


def test_a_second_transfer_that_names_a_payout_says_nothing_of_the_first(quick):
    """It is another matter, for a human; what came to the bank was its money."""
    acme = quick.partner()
    payout_id = quick.transferred(acme, 500)
    of_first = quick.provider.transfers["tr_1"]
    quick.later(timedelta(hours=1))
    quick.provider.transfers["tr_9"] = msgspec.structs.replace(
        of_first, transfer_id="tr_9", payment_id="py_9", created=quick.seconds
    )
    quick.later(timedelta(hours=1))
    quick.provider.pays_out("po_1", "acct_1", 500, "paid", quick.seconds, Contents({"py_9"}))
    look(quick)

    assert quick.status(payout_id) == "confirmed"


def test_a_transfer_of_weeks_ago_is_still_looked_for(quick):
    """Its payout was made at once; only the word of it comes after 25 days."""
    payout_id = quick.transferred(quick.partner(), 500)
    at = quick.seconds + 60
    quick.later(timedelta(days=25))
    quick.provider.pays_out("po_1", "acct_1", 500, "paid", at, Contents({"py_1"}))
    look(quick)

    assert quick.status(payout_id) == "paid"


def test_what_came_back_without_a_word_is_found_by_the_daily_look(connected):
    """Reversed in the dashboard, and the webhook lost: as early as on the day after."""
    acme = connected.partner()
    payout_id = connected.transferred(acme, 1_000)
    connected.views.catch_up()
    connected.provider.reverses("trr_1", "tr_1", 300, connected.seconds)
    connected.later(timedelta(days=1))
    connected.work()

    assert connected.status(payout_id) == "confirmed"
    assert connected.payable_minor(acme) == 300
    connected.provider.reverses("trr_2", "tr_1", 700, connected.seconds)
    connected.later(timedelta(days=1))
    connected.work()
    assert connected.status(payout_id) == "reversed"
    assert connected.payable_minor(acme) == 1_000


def test_a_reversal_that_is_not_shown_yet_keeps_no_other_transfer_waiting(quick):
    """The first transfer says that something came back, the list of its reversals does not: the second one's
    payout is told all the same."""
    acme = quick.partner()
    first, second = quick.transferred(acme, 1_000), quick.transferred(acme, 500)
    quick.provider.reverses("trr_1", "tr_1", 300, quick.seconds)
    hidden = quick.provider.back.pop("tr_1")
    quick.later(timedelta(hours=1))
    quick.provider.pays_out("po_1", "acct_1", 500, "paid", quick.seconds, Contents({"py_2"}))
    look(quick)

    assert [quick.status(one) for one in (first, second)] == ["confirmed", "paid"]
    assert quick.payable_minor(acme) == 0
    quick.provider.back["tr_1"] = hidden
    quick.later(timedelta(hours=1))
    quick.work()
    assert quick.payable_minor(acme) == 300


def test_every_account_is_looked_at_each_day_however_many_there_are(quick, monkeypatch):
    """Read a few at a time."""
    monkeypatch.setattr("payouts.webhooks.worker.REMINDED_AT_ONCE", 2)
    payouts = []
    for number in range(5):
        account = f"acct_{number}"
        payouts.append(quick.transferred(quick.partner(account, f"partner {number}"), 500, account))
        quick.provider.pays_out(
            f"po_{number}", account, 500, "paid", quick.seconds + 60, Contents({f"py_{number + 1}"})
        )
    quick.views.catch_up()
    quick.later(timedelta(days=1))
    quick.work()

    assert [quick.status(one) for one in payouts] == ["paid"] * 5
