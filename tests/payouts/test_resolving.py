"""A human's word on a payout: it moves the money that belongs to it, and never silently."""

import msgspec
import pytest

from ledger import payout_search
from ledger.commands import LinkPayoutAccount, ResolvePayout
from ledger.events.payout import PayoutResolved, TransferClaimed
from ledger.refusals import (
    ContentConflict,
    IllegalTransition,
    InsufficientBalance,
    NotFound,
    TransferAmountDiffers,
    TransferCurrencyDiffers,
    TransferDestinationDiffers,
    TransferExists,
    TransferTaken,
    UnknownTransfer,
)
from ledger.store.application import Change
from payouts.accounts import ensure_destinations
from payouts.batches import PAYOUT, load_payout
from payouts.gateway import GatewayError, StripeGateway
from payouts.outcomes import Confirmed, TransferIntent, Unknown
from payouts.recording import Heard
from payouts.resolving import resolve
from payouts.simulator.faults import Fault
from payouts.turn import Turn, load
from tests.support.finance import Script
from tests.support.reconciled import finance_and_stripe
from tests.support.transfers import intent

BY_HAND = "of nobody: sent in the dashboard"


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


def begin_search(finance, found, *, hours_ago=4):
    append(finance, found, lambda s: payout_search.begin_search(s, attempt=1, now=finance.world.now))
    finance.later(hours=hours_ago)


def leave_to_human(finance, found):
    append(
        finance,
        found,
        lambda s: payout_search.leave_to_human(s, attempt=1, reason="two", now=finance.world.now),
    )


def transfer(finance, found, *, of=BY_HAND, **changes):
    """A transfer at the provider, as the payout's but for the changes: its id. `of` is whom it names."""
    like = {"amount": 30_00, "destination": found.destination, "transfer_group": f"batch-{found.batch_id}"}
    body = {**like, "metadata": {"payout_id": str(of), "attempt": "1"}, **changes}
    made = finance.gateway.create_transfer(intent(body.pop("destination"), **body))
    assert isinstance(made, Confirmed)
    return made.transfer_id


def say(finance, found, outcome="confirmed", transfer_id=None, reason="seen in the dashboard"):
    """Somebody's word, with the provider there to be asked."""
    command = ResolvePayout(
        payout_id=found.payout_id, outcome=outcome, transfer_id=transfer_id, reason=reason
    )
    return resolve(finance.ledger, finance.gateway, command, by="key:ann")


def test_a_transfer_that_somebody_found_is_paid(finance, unknown):
    """Who said so, and why, stands in the stream before the confirmation; said twice it counts once."""
    found = transfer(finance, unknown, of=unknown.payout_id)
    for _ in range(2):
        assert say(finance, unknown, "confirmed", found).transfer_id == found

    assert finance.facts_of(unknown)[-2:] == ["PayoutResolved", "TransferConfirmed"]
    [said] = finance.world.facts(PayoutResolved)
    assert (said.resolved_by, said.reason) == ("key:ann", "seen in the dashboard")
    assert finance.balance(unknown.partner_id) == {"paid": 30_00, "earned": 30_00}
    finance.check_zero_sum()


def test_a_transfer_that_is_absent_gives_its_money_back_and_is_sent_anew(finance, unknown):
    """Once nobody can send its key any more; the next attempt has a key of its own."""
    with pytest.raises(IllegalTransition, match="asked for by its key"):
        say(finance, unknown, "absent")
    begin_search(finance, unknown, hours_ago=3)
    with pytest.raises(IllegalTransition, match="may still be on its way"):
        say(finance, unknown, "absent")
    finance.later(hours=1)

    done = [say(finance, unknown, "absent") for _ in range(2)]

    assert [d.status for d in done] == ["absent", "absent"]
    assert finance.balance(unknown.partner_id) == {"available": 30_00, "earned": 30_00}
    worker = finance.worker(Script(Confirmed("tr_2")))
    assert finance.pay(worker) == 1
    facts = finance.facts_of(unknown)
    assert facts.count("PayoutIntentRecorded") == 2
    assert finance.balance(unknown.partner_id) == {"paid": 30_00, "earned": 30_00}
    finance.check_zero_sum()


def test_of_what_is_held_absent_can_be_said_once_nobody_can_send_it(finance, unknown):
    """A payout may be held while its last attempt is under way: its key and the margin have to end first."""
    leave_to_human(finance, unknown)
    with pytest.raises(IllegalTransition, match="may still be on its way"):
        say(finance, unknown, "absent")
    finance.later(hours=3, minutes=59)
    with pytest.raises(IllegalTransition, match="may still be on its way"):
        say(finance, unknown, "absent")
    finance.later(minutes=1)

    assert say(finance, unknown, "absent").status == "absent"
    assert finance.balance(unknown.partner_id) == {"available": 30_00, "earned": 30_00}


def test_of_two_transfers_that_turn_up_late_one_is_not_sent_a_third_time(database_url):
    """One was thought absent, the other one's answer is lost, and the lists lag: whoever takes the first one
    back has not seen the second.
    """
    with finance_and_stripe(database_url) as (finance, stripe):
        finance.partner(available_minor=30_00)
        batch, worker = finance.approved(), finance.worker()
        finance.pay(finance.worker(Script(Unknown("connection"))))
        [slept] = load(finance.ledger, [finance.payout(batch).payout_id])
        for hours in (20, 4):
            finance.later(hours=hours)
            finance.pay(worker)
        assert finance.payout(batch).status == "absent"
        of = slept.state.intent
        assert of is not None
        late = finance.gateway.create_transfer(TransferIntent(of.idempotency_key, of.body, of.api_version))
        assert isinstance(late, Confirmed)
        stripe.set(list_lag_s=3000)
        stripe.play(Fault("POST /v1/transfers", "drop_after_commit"))
        finance.later(minutes=5)
        finance.pay(worker)
        lease = worker._leases.take("somebody who slept")
        assert lease is not None
        heard = Heard(slept, late, finance.world.now)
        worker._recording.record([heard], Turn(finance.ledger, worker._leases, lease))
        held = finance.payout(batch)
        assert (held.status, held.attempt) == ("held", 2)
        stripe.sdk().v1.transfers.reversals.create(late.transfer_id)

        with pytest.raises(IllegalTransition, match="may still be on its way"):
            say(finance, held, "absent")
        finance.later(hours=24)
        with pytest.raises(TransferExists):
            say(finance, held, "absent")

        assert len(stripe.objects("transfer")) == 2


def test_a_transfer_that_appears_after_its_absence_takes_its_money_again(finance, unknown):
    """What was proven absent had been released; if the money went out since, that is said."""
    begin_search(finance, unknown)
    say(finance, unknown, "absent")
    leave_to_human(finance, unknown)
    assert finance.balance(unknown.partner_id) == {"available": 30_00, "earned": 30_00}
    finance.reverse(unknown.partner_id, 10_00)
    late = transfer(finance, unknown, of=unknown.payout_id)

    with pytest.raises(InsufficientBalance):
        say(finance, unknown, "confirmed", late)
    finance.earn(unknown.partner_id, 10_00)
    say(finance, unknown, "confirmed", late)

    assert finance.balance(unknown.partner_id) == {"paid": 30_00, "earned": 30_00}
    finance.check_zero_sum()


def test_nobody_resolves_what_is_not_there(finance, unknown):
    """No payout, no transfer, and no provider that could be asked: nothing is recorded."""
    nobody = msgspec.structs.replace(unknown, payout_id=finance.world.program_id)
    deaf = StripeGateway("sk_test_standin", "http://127.0.0.1:9")
    command = ResolvePayout(
        payout_id=unknown.payout_id, outcome="confirmed", transfer_id="tr_1", reason="seen"
    )

    with pytest.raises(NotFound):
        say(finance, nobody, "confirmed", "tr_1")
    with pytest.raises(UnknownTransfer):
        say(finance, unknown, "confirmed", "tr_1")
    with pytest.raises(GatewayError):
        resolve(finance.ledger, deaf, command, by="key:ann")

    assert finance.world.facts(PayoutResolved) == []


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"amount": 29_99}, TransferAmountDiffers),
        ({"currency": "eur"}, TransferCurrencyDiffers),
        ({"destination": None}, TransferDestinationDiffers),
    ],
)
def test_only_what_was_approved_confirms_a_payout(finance, unknown, changes, refusal):
    """Another amount, another currency, another account: each refused by its name."""
    if "destination" in changes:
        bolt = finance.world.desk.partner(finance.partner("bolt"))
        changes = {"destination": bolt.payout_accounts["stripe"]}
    found = transfer(finance, unknown, of=unknown.payout_id, **changes)

    with pytest.raises(refusal, match=found):
        say(finance, unknown, "confirmed", found)

    assert finance.world.facts(PayoutResolved) == []


def test_a_payout_whose_transfer_is_there_is_not_absent(finance, unknown):
    """Unless it was taken back whole: sent anew, it would be paid twice."""
    begin_search(finance, unknown)
    made = transfer(finance, unknown, of=unknown.payout_id)
    transfer(finance, unknown, of=finance.world.program_id)

    with pytest.raises(TransferExists, match=made):
        say(finance, unknown, "absent")
    finance.gateway._client.v1.transfers.reversals.create(made, {"amount": 29_99})
    with pytest.raises(TransferExists):
        say(finance, unknown, "absent")
    finance.gateway._client.v1.transfers.reversals.create(made, {"amount": 1})

    assert say(finance, unknown, "absent").status == "absent"


@pytest.fixture
def two_unknown(finance):
    """Two payouts of 30.00 to one account, whose outcomes nobody learned, and a transfer that names none."""
    acme, bolt = finance.partner("acme"), finance.partner("bolt")
    shared = finance.world.desk.partner(acme).payout_accounts["stripe"]
    finance.world.desk.execute(LinkPayoutAccount(partner_id=bolt, destination=shared), by="cli")
    ensure_destinations(finance.ledger, finance.gateway, finance.world.desk, [bolt], by="cli")
    for partner_id in (acme, bolt):
        finance.earn(partner_id, 30_00)
    batch = finance.approved()
    finance.pay(finance.worker(Script(Unknown("unreadable"))))
    finance.later(hours=20)
    first, second = finance.payouts(batch)
    return first, second, transfer(finance, first)


def test_one_transfer_is_not_two_payouts(finance, two_unknown):
    """Whoever is named first has it, also where no view has seen that yet."""
    first, second, made = two_unknown

    say(finance, first, "confirmed", made)
    with pytest.raises(TransferTaken, match=str(first.payout_id)):
        say(finance, second, "confirmed", made)
    finance.runner.catch_up()
    with pytest.raises(TransferTaken, match=str(first.payout_id)):
        say(finance, second, "confirmed", made)

    assert [p.status for p in (load_payout(finance.ledger, p.payout_id) for p in (first, second))] == [
        "confirmed",
        "unknown",
    ]


def test_of_two_words_at_once_one_gets_the_transfer(finance, two_unknown, monkeypatch):
    """Between the look at the claim and the append somebody else's word is recorded."""
    first, second, made = two_unknown
    append = finance.ledger.append

    def overtaken(*args, **kwargs):
        monkeypatch.undo()
        say(finance, first, "confirmed", made)
        return append(*args, **kwargs)

    monkeypatch.setattr(finance.ledger, "append", overtaken)

    with pytest.raises(TransferTaken, match=str(first.payout_id)):
        say(finance, second, "confirmed", made)

    assert [said.transfer_id for said in finance.world.facts(PayoutResolved)] == [made]


def test_a_transfer_that_names_another_payout_is_that_one_s(finance, two_unknown):
    """Whoever says otherwise; and so is one that the worker confirmed, should it have lost its name since."""
    first, second, _ = two_unknown
    named = transfer(finance, first, of=first.payout_id)

    with pytest.raises(TransferTaken, match=str(first.payout_id)):
        say(finance, second, "confirmed", named)
    say(finance, first, "confirmed", named)
    finance.partner("crest", available_minor=30_00)
    finance.approved()
    finance.pay(finance.worker(Script(Confirmed(unnamed := transfer(finance, first)))))
    with pytest.raises(TransferTaken):
        say(finance, second, "confirmed", unnamed)


def test_the_same_word_twice_is_one_word_and_another_one_a_conflict(finance, unknown):
    """Once it is confirmed, nothing else can be said."""
    made = transfer(finance, unknown, of=unknown.payout_id)
    say(finance, unknown, "confirmed", made)

    say(finance, unknown, "confirmed", made)
    with pytest.raises(ContentConflict):
        say(finance, unknown, "confirmed", made, reason="another one")

    assert len(finance.world.facts(TransferClaimed)) == 1
