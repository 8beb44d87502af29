"""After a restore: the worker refuses by name, pays nothing twice, and goes on when all is explained."""

import threading
from datetime import timedelta
from uuid import uuid4

import pytest

from ledger import ids
from ledger.commands import ApprovePayouts, DraftPayouts, PausePartnerPayouts, ResumePartnerPayouts
from ledger.events.reconciliation import TransferTakenIn, UnknownTransfersFound
from ledger.payout_gate import GateState
from ledger.refusals import (
    ContentChanged,
    DatabaseOlderThanProvider,
    IllegalTransition,
    NotFound,
    PayoutsAreFrozen,
    TransferAmountDiffers,
)
from payouts import batches, restore_check
from payouts.gate import Gate
from payouts.gateway import GatewayError, StripeGateway
from payouts.outcomes import Unknown
from payouts.reconciliations import resolve
from payouts.reconciling import reconcile
from payouts.taking_in import take_in
from tests.support.backup import Backup
from tests.support.finance import CHECKER, MAKER, Cut, Script
from tests.support.reconciled import finance_and_stripe
from tests.support.transfers import intent

REASON = "Restored from last night's backup."


@pytest.fixture
def both(database_url):
    """Finance and its stand-in, on one clock."""
    with finance_and_stripe(database_url) as made:
        yield made


@pytest.fixture
def finance(both):
    """The finance department alone."""
    return both[0]


def check(finance):
    """The check of a start."""
    restore_check.refuse_after_restore(finance.ledger, finance.gateway)


def guarded(finance, worker=None):
    """A worker behind its gate."""
    return Gate(finance.ledger, finance.gateway, worker or finance.worker())


def turn(finance, gate):
    """One turn of a gated worker, with the views caught up around it."""
    finance.runner.catch_up()
    stop = threading.Event()
    waited = gate._turn(stop, 0.5)
    finance.runner.catch_up()
    return waited


def pay_hours_apart(finance, later):
    """One of two partners two hours after the other: it was held meanwhile."""
    finance.world.desk.execute(PausePartnerPayouts(partner_id=later, reason="Not yet."), by="cli")
    finance.pay()
    finance.later(hours=2)
    finance.world.desk.execute(ResumePartnerPayouts(partner_id=later), by="cli")
    finance.pay()


def refusal_of(gate):
    """Why the gate is closed now."""
    return gate.refusal


def moved(stripe):
    """How many transfers the provider holds."""
    return len(stripe.objects("transfer"))


# A normal start


def test_a_normal_start_passes_whatever_the_worker_has_still_to_learn(finance):
    """Nothing sent yet; all confirmed; an outcome that was lost; transfers that are none of ours."""
    check(finance)
    acme = finance.partner("acme", available_minor=30_00)
    finance.approved()
    finance.pay()
    check(finance)
    finance.earn(acme, 40_00)
    finance.approved()
    finance.pay(finance.worker(Cut(finance.gateway, after=lambda _: Unknown("connection"))))
    destination = finance.world.desk.partner(acme).payout_accounts["stripe"]
    finance.gateway.create_transfer(intent(destination, metadata={"payout_id": "of-another-system"}))

    check(finance)

    assert finance.ledger.history(ids.payout_gate_id()) == []


def test_a_normal_start_reads_no_more_than_what_was_sent_lately(finance, monkeypatch):
    """It begins an hour before the last intent, and stops when it knows enough."""
    acme = finance.partner("acme")
    for _ in range(3):
        finance.earn(acme, 20_00)
        finance.approved()
        finance.pay()
        finance.later(hours=2)
    looked_at = []

    class Counting:
        """Counts what is read."""

        def transfers_since(self, since):
            for transfer in finance.gateway.transfers_since(since):
                looked_at.append(transfer.id)
                yield transfer

    restore_check.refuse_after_restore(finance.ledger, Counting())
    assert len(looked_at) == 1
    monkeypatch.setattr(restore_check, "MARGIN", timedelta(days=30))
    monkeypatch.setattr(restore_check, "KNOWN_ENOUGH", 2)
    monkeypatch.setattr(restore_check, "_AT_ONCE", 1)
    looked_at.clear()
    restore_check.refuse_after_restore(finance.ledger, Counting())
    assert len(looked_at) == 2


def test_a_provider_that_does_not_answer_holds_the_worker_back(finance):
    """Nothing is sent before it was asked."""
    finance.partner("acme", available_minor=30_00)
    batch = finance.approved()
    deaf = StripeGateway("sk_test_x", "http://127.0.0.1:9")
    gate = Gate(finance.ledger, deaf, finance.worker())

    with pytest.raises(GatewayError):
        gate.closed()
    assert turn(finance, gate) > 0
    assert finance.payout(batch).status == "approved"


# A restore


@pytest.mark.parametrize("hours", [0, 30], ids=["at once", "after the key is forgotten"])
def test_a_restored_ledger_pays_nothing_twice_and_goes_on_when_each_transfer_is_taken_in(
    both, tmp_path, hours
):
    """The backup knows the approval, not the sending: after 24 hours the same key would pay again."""
    finance, stripe = both
    acme = finance.partner("acme", available_minor=30_00)
    bolt = finance.partner("bolt", available_minor=12_34)
    batch = finance.approved()
    backup = Backup(finance.ledger.database, tmp_path)
    pay_hours_apart(finance, bolt)
    assert moved(stripe) == 2
    backup.put_back()
    finance.later(hours=hours)
    assert finance.payout(batch, acme).status == "approved"
    gate = guarded(finance)

    turn(finance, gate)

    assert isinstance(gate.refusal, DatabaseOlderThanProvider)
    assert moved(stripe) == 2
    newest, oldest = [t.id for t in finance.gateway.transfers_since(finance.world.now - timedelta(days=9))]
    take_in(finance.ledger, finance.gateway, newest, REASON, by="cli")
    again = guarded(finance)
    turn(finance, again)
    assert isinstance(again.refusal, DatabaseOlderThanProvider), "the other one is still unknown"
    assert again.refusal.details["transfer_ids"] == [oldest]
    taken = take_in(finance.ledger, finance.gateway, oldest, REASON, by="cli")
    take_in(finance.ledger, finance.gateway, oldest, REASON, by="cli")
    turn(finance, again)

    assert refusal_of(again) is None
    assert moved(stripe) == 2
    assert (taken.status, taken.transfer_id) == ("confirmed", oldest)
    assert finance.balance(acme) == {"paid": 30_00, "earned": 30_00}
    assert finance.balance(bolt) == {"paid": 12_34, "earned": 12_34}
    assert finance.facts_of(taken)[-4:] == [
        "PayoutIntentRecorded",
        "TransferTakenIn",
        "TransferSent",
        "TransferConfirmed",
    ]
    finance.later(hours=2)
    assert reconcile(finance.ledger, finance.gateway, by="cli").is_clean
    finance.check_zero_sum()
    finance.earn(acme, 20_00)
    finance.approved()
    turn(finance, again)
    assert moved(stripe) == 3


def test_a_payout_that_the_ledger_lost_is_drafted_again_under_its_batch_or_has_a_reason(both, tmp_path):
    """The backup is older than the batch: with the batch's id the payout has its own id again."""
    finance, stripe = both
    acme = finance.partner("acme", available_minor=30_00)
    bolt = finance.partner("bolt", available_minor=12_34)
    backup = Backup(finance.ledger.database, tmp_path)
    batch = finance.approved()
    finance.pay()
    by_amount = {t.amount: t.id for t in finance.transfers(batch)}
    backup.put_back()
    finance.later(hours=2)
    with pytest.raises(DatabaseOlderThanProvider):
        check(finance)

    with pytest.raises(NotFound, match="draft its batch again"):
        take_in(finance.ledger, finance.gateway, by_amount[30_00], REASON, by="cli")
    wish = DraftPayouts(batch_id=batch.batch_id, program_id=finance.world.program_id)
    drafted = batches.draft(finance.ledger, wish, by=MAKER)
    with pytest.raises(IllegalTransition):
        take_in(finance.ledger, finance.gateway, by_amount[30_00], REASON, by="cli")
    approval = ApprovePayouts(batch_id=batch.batch_id, content_hash=drafted.content_hash)
    batches.approve(finance.ledger, approval, by=CHECKER)
    taken = take_in(finance.ledger, finance.gateway, by_amount[30_00], REASON, by="cli")
    with pytest.raises(DatabaseOlderThanProvider):
        check(finance)
    found = reconcile(finance.ledger, finance.gateway, by="cli")
    assert [i.reference for i in found.items if i.is_difference] == [by_amount[12_34]]
    resolve(finance.ledger, by_amount[12_34], "Settled by hand.", by="cli")
    with pytest.raises(DatabaseOlderThanProvider):
        check(finance)
    held = {"partner_id": bolt, "cause": "finance"}
    finance.world.desk.execute(PausePartnerPayouts(**held, reason="It has its money."), by="cli")
    check(finance)
    finance.world.desk.execute(ResumePartnerPayouts(**held), by="cli")
    with pytest.raises(DatabaseOlderThanProvider):
        check(finance)
    finance.gateway._client.v1.transfers.reversals.create(by_amount[12_34])
    check(finance)

    assert taken.payout_id == finance.payout(batch, acme).payout_id
    assert restore_check.gate(finance.ledger).suspect_from is None
    fact = next(
        r.fact for r in finance.ledger.history(taken.payout_id) if isinstance(r.fact, TransferTakenIn)
    )
    assert (fact.transfer_id, fact.sent_attempt, fact.reason) == (by_amount[30_00], "1", REASON)
    assert moved(stripe) == 2


def test_what_is_taken_in_hides_no_older_transfer_that_is_lost_too(both, tmp_path):
    """Also where nobody looked before: the last intent is the one of the backup, not the one taken in."""
    finance, stripe = both
    finance.partner("acme", available_minor=30_00)
    bolt = finance.partner("bolt", available_minor=12_34)
    finance.approved()
    backup = Backup(finance.ledger.database, tmp_path)
    pay_hours_apart(finance, bolt)
    backup.put_back()
    newest, oldest = [t.id for t in finance.gateway.transfers_since(finance.world.now - timedelta(days=9))]

    take_in(finance.ledger, finance.gateway, newest, REASON, by="cli")
    finance.runner.catch_up()

    with pytest.raises(DatabaseOlderThanProvider, match=oldest):
        check(finance)
    finance.later(hours=30)
    gate = guarded(finance)
    turn(finance, gate)
    assert moved(stripe) == 2


def test_a_transfer_of_an_attempt_that_the_ledger_lost_is_taken_in_by_the_one_that_it_knows(finance):
    """The backup was made between two attempts: it waits for the first, and the second was paid."""
    acme = finance.partner("acme", available_minor=30_00)
    batch = finance.approved()
    finance.pay(finance.worker(Script(Unknown("unreadable"))))
    payout = finance.payout(batch)
    named = {"payout_id": str(payout.payout_id), "attempt": "2"}
    second = intent(
        payout.destination, amount=30_00, metadata=named, transfer_group=f"batch-{batch.batch_id}"
    )
    made = finance.gateway.create_transfer(second).transfer_id
    with pytest.raises(DatabaseOlderThanProvider):
        check(finance)

    for _ in range(2):
        taken = take_in(finance.ledger, finance.gateway, made, REASON, by="cli")

    check(finance)
    assert (taken.status, taken.transfer_id, taken.attempt) == ("confirmed", made, 1)
    assert finance.facts_of(taken)[-2:] == ["TransferTakenIn", "TransferConfirmed"]
    assert finance.balance(acme) == {"paid": 30_00, "earned": 30_00}
    finance.check_zero_sum()


def test_only_what_was_approved_is_taken_in(finance):
    """Another amount, another batch, one that is not there, and one that is none of ours."""
    acme = finance.partner("acme", available_minor=30_00)
    batch = finance.approved()
    payout = finance.payout(batch)
    named = {"payout_id": str(payout.payout_id), "attempt": "1"}
    group = f"batch-{batch.batch_id}"
    more = intent(payout.destination, amount=30_01, metadata=named, transfer_group=group)
    crooked = finance.gateway.create_transfer(more)
    elsewhere = finance.gateway.create_transfer(intent(payout.destination, amount=30_00, metadata=named))
    foreign = finance.gateway.create_transfer(intent(payout.destination, metadata={"payout_id": "x"}))

    with pytest.raises(TransferAmountDiffers):
        take_in(finance.ledger, finance.gateway, crooked.transfer_id, REASON, by="cli")
    with pytest.raises(ContentChanged, match="group"):
        take_in(finance.ledger, finance.gateway, elsewhere.transfer_id, REASON, by="cli")
    for transfer_id in (foreign.transfer_id, "tr_none"):
        with pytest.raises(NotFound):
            take_in(finance.ledger, finance.gateway, transfer_id, REASON, by="cli")
    assert finance.balance(acme) == {"available": 30_00, "earned": 30_00}


def test_a_duplicate_and_an_attempt_that_was_rejected_here_are_not_known(finance):
    """What contradicts the ledger stops a start, too, until a human says why."""
    finance.partner("acme", available_minor=30_00)
    batch = finance.approved()
    finance.pay()
    payout = finance.payout(batch)
    second = intent(payout.destination, metadata={"payout_id": str(payout.payout_id), "attempt": "1"})
    finance.gateway.create_transfer(second)

    with pytest.raises(DatabaseOlderThanProvider):
        check(finance)

    [recorded] = finance.ledger.history(ids.payout_gate_id())
    assert isinstance(recorded.fact, UnknownTransfersFound)
    with pytest.raises(NotFound):
        resolve(finance.ledger, recorded.fact.transfer_ids[0], "No run found it yet.", by="cli")


# The brake


def test_frozen_payouts_wait_until_they_are_thawed(finance, both):
    """At a start and in the middle of a step; each is a fact with a reason."""
    finance.partner("acme", available_minor=30_00)
    finance.partner("bolt", available_minor=12_34)
    batch = finance.approved()
    gate = guarded(finance)
    restore_check.freeze(finance.ledger, "Odd traffic.", by="key:a")
    restore_check.freeze(finance.ledger, "Odd traffic.", by="key:b")

    turn(finance, gate)

    assert isinstance(gate.refusal, PayoutsAreFrozen)
    assert {p.status for p in batches.load(finance.ledger, batch.batch_id).payouts} == {"approved"}
    restore_check.thaw(finance.ledger, "All is well.", by="key:a")
    restore_check.thaw(finance.ledger, "All is well.", by="key:a")
    turn(finance, gate)
    assert refusal_of(gate) is None
    assert moved(both[1]) == 2
    facts = [type(r.fact).__name__ for r in finance.ledger.history(ids.payout_gate_id())]
    assert facts == ["PayoutsFrozen", "PayoutsThawed"]


def test_a_freeze_ends_a_step_that_is_under_way(finance, both, monkeypatch):
    """After the first of three payouts somebody freezes: the other two wait."""
    for name in ("acme", "bolt", "crest"):
        finance.partner(name, available_minor=20_00)
    finance.approved()
    monkeypatch.setattr("payouts.gate.LOOK_S", 0.0)
    froze: list[GateState] = []

    def freeze(_intent):
        if not froze:
            froze.append(restore_check.freeze(finance.ledger, f"Stop {uuid4()}.", by="cli"))

    stop = threading.Event()
    gate = guarded(finance, finance.worker(Cut(finance.gateway, before=freeze)))
    finance.runner.catch_up()
    idle = [0]

    class Ending(threading.Event):
        """Ends the loop after two waits."""

        def wait(self, timeout=None):
            idle[0] += 1
            if idle[0] == 2:
                stop.set()
                self.set()
            return True

    gate.run(Ending())

    assert moved(both[1]) == 1
