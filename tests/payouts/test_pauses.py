"""What holds payouts up, and how they go on when it clears."""

import pytest

from ledger import payout_batch
from ledger.commands import LinkPayoutAccount, PausePartnerPayouts, ResumePartnerPayouts, SuspendPartner
from ledger.desk import ACCOUNT, PARTNER
from ledger.store.application import Change
from payouts import batches
from payouts.batches import BATCH, PAYOUT
from payouts.outcomes import Confirmed, Rejected, RetryLater, Unknown
from payouts.worker import Options
from tests.payouts.test_worker import CONFIRMED_FACTS
from tests.support.finance import Script

TOO_LOW = Rejected("balance_insufficient", "insufficient available funds")
RESTRICTED = Rejected("insufficient_capabilities_for_transfer", "no transfers")


def holds(finance, partner_id):
    """What holds a partner's payouts."""
    return dict(finance.ledger.load(partner_id, PARTNER).state.payout_holds)


def paused_reason(finance, batch):
    """Why no more of a batch is sent."""
    return batches.load(finance.ledger, batch.batch_id).paused_reason


def test_an_approved_payout_of_a_held_partner_waits(finance):
    """It stays as it was approved, and goes out once the hold is lifted."""
    acme = finance.partner(available_minor=30_00)
    batch = finance.approved()
    finance.world.desk.execute(PausePartnerPayouts(partner_id=acme, reason="audit"), by="cli")

    finance.pay()
    waiting = finance.payout(batch).status
    finance.world.desk.execute(ResumePartnerPayouts(partner_id=acme), by="cli")
    finance.pay()

    assert waiting == "approved"
    assert finance.facts_of(finance.payout(batch)) == CONFIRMED_FACTS


def suspend(finance, payout):
    """Its partner may no longer be paid."""
    finance.world.desk.execute(SuspendPartner(partner_id=payout.partner_id, reason="odd traffic"), by="cli")


def hold(finance, payout):
    """Finance holds its partner."""
    finance.world.desk.execute(PausePartnerPayouts(partner_id=payout.partner_id, reason="audit"), by="cli")


def pause(finance, payout):
    """Another worker pauses its batch."""
    batch_id = finance.ledger.load(payout.payout_id, PAYOUT).state.draft.batch_id
    state, version = finance.ledger.load(batch_id, BATCH)
    facts = payout_batch.pause(state, reason="too low", now=finance.world.now)
    assert finance.ledger.append([Change(batch_id, version, facts)], by="payouts")


@pytest.mark.parametrize(
    ("happen", "ends"),
    [
        (hold, ["approved", "confirmed", "confirmed"]),
        (suspend, ["canceled", "confirmed", "confirmed"]),
        (pause, ["approved", "approved", "confirmed"]),
    ],
)
def test_what_comes_between_the_look_and_the_intent_still_counts(finance, happen, ends):
    """The intents of a portion are stored upon what was seen of partners and batch; the others go out."""
    for name in ("acme", "bolt", "crest"):
        finance.partner(name, available_minor=30_00)
    batch = finance.approved()
    portions = []

    def meanwhile(step):
        if step == "before the intent":
            waiting = [p for p in finance.payouts(batch) if p.status == "approved"]
            portions.append(len(waiting))
            if len(portions) == 2:
                happen(finance, waiting[0])

    worker = finance.worker(options=Options(shards=1), reached=meanwhile)
    finance.pay(worker)

    assert portions == [3, 2]
    assert sorted(p.status for p in finance.payouts(batch)) == ends
    assert len(finance.transfers(batch)) == ends.count("confirmed")
    assert worker.counts["failed"] == 0


# The platform's balance


def test_too_low_a_balance_pauses_the_batch_until_it_covers_what_is_left(finance):
    """No other payout of it is sent meanwhile; it resumes by itself, and each is sent once."""
    for number in range(3):
        finance.partner(f"p{number}", available_minor=10_00 + number)
    batch = finance.approved()
    gateway = Script(TOO_LOW, Confirmed("tr_1"), Confirmed("tr_2"), Confirmed("tr_3"))
    worker = finance.worker(gateway)

    finance.pay(worker)
    statuses = sorted(finance.payout(batch, p.partner_id).status for p in batch.payouts)
    assert statuses == ["approved", "approved", "rejected"]
    assert "did not cover a payout of 10.0" in paused_reason(finance, batch)
    for balance in (0, 30_02):
        gateway.balance = {"gbp": balance, "eur": 99_00}
        finance.later(hours=2)
        finance.pay(worker)
        assert len(gateway.intents) == 1
    gateway.balance = {"gbp": 30_03}
    finance.later(hours=2)
    finance.pay(worker)
    finance.pay(worker)

    assert paused_reason(finance, batch) is None
    assert {finance.payout(batch, p.partner_id).status for p in batch.payouts} == {"confirmed"}
    assert sorted(intent.idempotency_key[-2:] for intent in gateway.intents) == ["-1", "-1", "-1", "-2"]
    finance.check_zero_sum()


def test_two_paused_batches_share_one_balance(finance):
    """The one that was paused first goes first; the other one waits for its own part."""
    finance.partner("acme", available_minor=30_00)
    first = finance.approved()
    worker = finance.worker(gateway := Script(TOO_LOW, TOO_LOW, Confirmed("tr_1")))
    finance.pay(worker)
    finance.partner("bolt", available_minor=20_00)
    bolt = finance.draft_unseen()
    assert len(bolt.payouts) == 2  # what was rejected is payable: whoever reserves it first has it
    finance.approve(bolt)
    finance.pay(worker)
    gateway.balance = {"gbp": 49_99}
    for _ in range(2):
        finance.later(hours=1)
        finance.pay(worker)

    assert paused_reason(finance, first) is None
    assert paused_reason(finance, bolt) is not None


def test_money_that_went_out_with_another_batch_is_not_sent_again(finance):
    """A rejected payout whose money the next batch paid is canceled when its own batch goes on."""
    acme = finance.partner(available_minor=30_00)
    first = finance.approved()
    worker = finance.worker(gateway := Script(TOO_LOW, Confirmed("tr_1")))
    finance.pay(worker)
    second = finance.approve(finance.draft_unseen())
    finance.pay(worker)
    finance.earn(acme, 30_00)
    gateway.balance = {"gbp": 99_00}
    for _ in range(3):
        finance.later(hours=1)
        finance.pay(worker)

    assert [finance.payout(b).status for b in (first, second)] == ["canceled", "confirmed"]
    assert finance.balance(acme) == {"available": 30_00, "paid": 30_00, "earned": 60_00}
    assert len(gateway.intents) == 2


# The partner's account


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("insufficient_capabilities_for_transfer", "account_restricted"),
        ("account_closed", "account_closed"),
        ("livemode_mismatch", "account_mismatch"),
    ],
)
def test_an_account_that_cannot_be_paid_holds_its_partner_alone(finance, code, cause):
    """With the reason; the others are paid. Once the account is clear, the next attempt goes out."""
    acme = finance.partner("acme", available_minor=30_00)
    bolt = finance.partner("bolt", available_minor=30_00)
    batch = finance.approved()
    gateway = Script(Rejected(code, "not to this one"), Confirmed("tr_1"), Confirmed("tr_2"))
    worker = finance.worker(gateway)
    finance.pay(worker)
    rejected = next(p for p in (finance.payout(batch, x) for x in (acme, bolt)) if p.status == "rejected")
    assert holds(finance, rejected.partner_id) == {cause: f"stripe refused a payout: {code}: not to this one"}
    gateway.restricted = {rejected.destination}

    for _ in range(3):
        finance.later(hours=1)
        finance.pay(worker)
    assert len(gateway.intents) == 2
    assert holds(finance, rejected.partner_id)
    gateway.restricted = set()
    finance.later(hours=7)
    finance.pay(worker)
    finance.pay(worker)

    assert holds(finance, rejected.partner_id) == {}
    paid = finance.payout(batch, rejected.partner_id)
    assert (paid.status, paid.attempt) == ("confirmed", 2)
    assert gateway.intents[-1].idempotency_key[-2:] == "-2"
    finance.check_zero_sum()


def test_an_account_is_asked_about_more_and_more_seldom(finance):
    """Not at once, then after twice the time, in the end every six hours."""
    finance.partner(available_minor=30_00)
    batch = finance.approved()
    worker = finance.worker(gateway := Script(RESTRICTED))
    finance.pay(worker)
    gateway.restricted = {finance.payout(batch).destination}

    asked = []
    for minutes in [1] * 12 + [60] * 47:
        finance.later(minutes=minutes)
        worker.step()
        asked.append(len(gateway.asked))

    assert asked[0] == 0
    assert asked[11] == 3
    assert asked[-1] - asked[-25] == 4


def test_a_payout_to_an_account_that_is_no_longer_the_partners_is_given_up(finance):
    """Its money goes out with the next batch, to where it belongs now; the partner is not held for it."""
    acme = finance.partner(available_minor=30_00)
    batch = finance.approved()
    worker = finance.worker(Script(Rejected("account_closed", "closed"), Confirmed("tr_1")))
    finance.world.desk.execute(LinkPayoutAccount(partner_id=acme, destination="acct_2"), by="cli")

    finance.pay(worker)
    finance.pay(worker)

    assert holds(finance, acme) == {}
    assert finance.payout(batch).status == "canceled"
    assert finance.balance(acme) == {"available": 30_00, "earned": 30_00}


def test_a_hold_lifted_by_hand_is_enough(finance):
    """Somebody knows better: the next attempt goes out, as it was approved."""
    acme = finance.partner(available_minor=30_00)
    batch = finance.approved()
    worker = finance.worker(gateway := Script(RESTRICTED, Confirmed("tr_1")))
    finance.pay(worker)
    wish = ResumePartnerPayouts(partner_id=acme, cause="account_restricted", note="Stripe says so")
    finance.world.desk.execute(wish, by="cli")

    finance.pay(worker)

    first, second = gateway.intents
    assert finance.payout(batch).attempt == 2
    assert second.body == first.body.replace('"attempt":"1"', '"attempt":"2"')


def test_an_intent_waits_with_its_partner_but_what_went_out_is_asked_for(finance):
    """Whether it was paid is to be known, whoever is held; what may not be out yet stays in."""
    acme = finance.partner("acme", available_minor=30_00)
    bolt = finance.partner("bolt", available_minor=30_00)
    batch = finance.approved()
    worker = finance.worker(Script(RetryLater(1), Unknown("lock_timeout"), Confirmed("tr_1")))
    finance.pay(worker)
    for partner_id in (acme, bolt):
        finance.world.desk.execute(PausePartnerPayouts(partner_id=partner_id, reason="audit"), by="cli")
    finance.later(minutes=2)

    finance.pay(worker)
    finance.later(minutes=2)
    finance.pay(worker)

    found = sorted(finance.payout(batch, x).status for x in (acme, bolt))
    assert found == ["approved", "confirmed"]
    reserved = [finance.ledger.load(finance.account_id(x), ACCOUNT).state for x in (acme, bolt)]
    assert sorted(state.payable_minor for state in reserved) == [0, 30_00]
