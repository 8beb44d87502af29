"""A payout whose lost transfer has a reason and whose partner is held: it is not sent when the hold ends."""

import threading

import pytest

from ledger import ids
from ledger.commands import PausePartnerPayouts, ResumePartnerPayouts
from ledger.refusals import DatabaseOlderThanProvider
from payouts import restore_check
from payouts.gate import Gate
from payouts.reconciliations import resolve
from payouts.reconciling import reconcile
from payouts.taking_in import take_in
from tests.support.backup import Backup
from tests.support.reconciled import finance_and_stripe


@pytest.fixture
def both(database_url):
    """Finance and its stand-in, on one clock."""
    with finance_and_stripe(database_url) as made:
        yield made


def turn(finance, gate):
    """One turn of a gated worker, with the views caught up around it: why it is closed."""
    finance.runner.catch_up()
    gate._turn(threading.Event(), 0.5)
    finance.runner.catch_up()
    return gate.refusal


@pytest.fixture
def set_aside(both, tmp_path):
    """A batch with a payout of a held partner, which is paid there; its transfer has a reason here."""
    finance, stripe = both
    acme = finance.partner("acme", available_minor=30_00)
    finance.partner("bolt", available_minor=20_00)
    batch = finance.approved()
    backup = Backup(finance.ledger.database, tmp_path)
    finance.pay()
    backup.put_back()
    finance.later(hours=30)
    with pytest.raises(DatabaseOlderThanProvider):
        restore_check.refuse_after_restore(finance.ledger, finance.gateway)
    at = {p.destination: p.payout_id for p in batch.payouts}
    lost = {t["id"]: at[t["destination"]] for t in stripe.objects("transfer")}
    [transfer_id] = [each for each, payout in lost.items() if payout == finance.payout(batch, acme).payout_id]
    for each in lost:
        if each != transfer_id:
            take_in(finance.ledger, finance.gateway, each, "Restored.", by="cli")
    reconcile(finance.ledger, finance.gateway, by="cli")
    resolve(finance.ledger, transfer_id, "Acme has its money.", by="cli")
    finance.world.desk.execute(PausePartnerPayouts(partner_id=acme, reason="It has its money."), by="cli")
    return batch, acme, transfer_id


def test_it_is_not_sent_when_the_hold_ends_under_a_running_worker(both, set_aside, monkeypatch):
    """Not at once, before anybody has looked again; and the look closes the gate, as a start would."""
    finance, stripe = both
    batch, acme, _ = set_aside
    gate = Gate(finance.ledger, finance.gateway, finance.worker())
    assert turn(finance, gate) is None
    assert restore_check.gate(finance.ledger).set_aside == {finance.payout(batch, acme).payout_id}
    asked: list[object] = []
    monkeypatch.setattr(finance.gateway, "transfers_since", asked.append)
    finance.world.desk.execute(ResumePartnerPayouts(partner_id=acme), by="cli")

    assert turn(finance, gate) is None

    monkeypatch.undo()
    assert asked == []
    assert finance.payout(batch, acme).status == "approved"
    assert len(stripe.objects("transfer")) == 2
    monkeypatch.setattr("payouts.gate.WAIT_S", 0.0)
    assert isinstance(turn(finance, gate), DatabaseOlderThanProvider)
    assert len(stripe.objects("transfer")) == 2


def test_other_payouts_go_on_meanwhile_and_do_not_hide_it_from_a_later_start(both, set_aside):
    """Their intents are newer by hours: the look goes back as far as it did."""
    finance, stripe = both
    _, acme, transfer_id = set_aside
    gate = Gate(finance.ledger, finance.gateway, finance.worker())
    turn(finance, gate)
    finance.later(hours=5)
    finance.partner("crest", available_minor=25_00)
    finance.approved()
    assert turn(finance, gate) is None
    assert len(stripe.objects("transfer")) == 3
    finance.later(hours=5)
    finance.world.desk.execute(ResumePartnerPayouts(partner_id=acme), by="cli")

    refusal = turn(finance, Gate(finance.ledger, finance.gateway, finance.worker()))

    assert isinstance(refusal, DatabaseOlderThanProvider)
    assert refusal.details["transfer_ids"] == [transfer_id]
    assert len(stripe.objects("transfer")) == 3


def test_once_its_transfer_is_taken_back_it_is_sent_as_any_other(both, set_aside, monkeypatch):
    """A running worker finds that out by itself; nothing is suspect then."""
    finance, stripe = both
    batch, acme, transfer_id = set_aside
    monkeypatch.setattr("payouts.gate.WAIT_S", 0.0)
    gate = Gate(finance.ledger, finance.gateway, finance.worker())
    turn(finance, gate)
    turn(finance, gate)
    finance.gateway._client.v1.transfers.reversals.create(transfer_id)
    finance.later(minutes=5)
    turn(finance, gate)
    finance.world.desk.execute(ResumePartnerPayouts(partner_id=acme), by="cli")
    finance.later(minutes=5)

    assert turn(finance, gate) is None

    assert finance.payout(batch, acme).status == "confirmed"
    assert len(stripe.objects("transfer")) == 3
    state = restore_check.gate(finance.ledger)
    assert (state.suspect_from, state.set_aside) == (None, frozenset())
    names = [type(r.fact).__name__ for r in finance.ledger.history(ids.payout_gate_id())]
    assert names == ["UnknownTransfersFound", "PayoutsSetAside", "UnknownTransfersExplained"]
