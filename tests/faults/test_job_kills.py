"""kill -9 at every edge of a look, a take-in and an export: begun again, each is done, and once."""

import time
from uuid import UUID, uuid4

import pytest

from ledger import ids, payout_gate
from ledger.events.bank import BankFileExported
from ledger.events.payout import PayoutIntentRecorded
from ledger.events.reconciliation import DatabaseSeenAt, TransferTakenIn, UnknownTransfersFound
from ledger.store.application import Change
from payouts import batches, restore_check
from payouts.outcomes import Confirmed
from tests.faults.jobs import PAYOUT_JOBS
from tests.faults.scene import KILLED
from tests.support.transfers import intent

AMOUNT = 30_00


def begin(place, job):
    """A payout is approved that the gate lets through; it is for the bank, or Stripe has its transfer."""
    state, version = place.ledger.load(ids.payout_gate_id(), restore_check.GATE)
    now = place.ledger.clock()
    calm = payout_gate.looked(state, provider="stripe", looked_from=now, unknown=[], now=now)
    calm += payout_gate.account_for_bank_files(state, reason="Looked.", person=None, now=now)
    calm.append(DatabaseSeenAt(place="elsewhere", effective_at=now))  # so that each export says it anew
    place.ledger.append([Change(ids.payout_gate_id(), version, calm)], by="cli")
    place.new_program()
    make = place.at_bank if job == "export" else place.partner
    make(uuid4().hex[:8], available_minor=AMOUNT)
    batch = place.approved()
    told = {"batch_id": str(batch.batch_id), "has_left": "Seen."}
    if job == "export":
        return told
    payout = place.payout(batch)
    named = {"payout_id": str(payout.payout_id), "attempt": "1"}
    group = f"batch-{batch.batch_id}"
    lost = intent(payout.destination, amount=AMOUNT, metadata=named, transfer_group=group)
    made = place.gateway.create_transfer(lost)
    assert isinstance(made, Confirmed)
    return {**told, "transfer_id": made.transfer_id}


def facts_since(place, position, *kinds):
    """Facts of some types, behind a position of the log."""
    found = [r for r in place.world.log() if r.position > position]
    return [r.fact for r in found if isinstance(r.fact, kinds)]


def check(place, job, told, since):
    """What the job does stands in the ledger, once; nothing is sent by it."""
    place.runner.catch_up()
    [payout] = batches.load(place.ledger, UUID(told["batch_id"])).payouts
    if job == "look":
        assert payout.status == "approved"
        [found] = facts_since(place, since, UnknownTransfersFound)
        assert told["transfer_id"] in found.transfer_ids
        assert restore_check.gate(place.ledger).is_suspect
        return
    if job == "take in":
        assert (payout.status, payout.transfer_id) == ("confirmed", told["transfer_id"])
        assert len(facts_since(place, since, TransferTakenIn)) == 1
        assert place.balance(payout.partner_id) == {"paid": AMOUNT, "earned": AMOUNT}
        return
    assert payout.status == "intent"
    assert len(facts_since(place, since, BankFileExported)) == 1
    assert len(facts_since(place, since, PayoutIntentRecorded)) == 1
    assert place.balance(payout.partner_id) == {"in_transit": AMOUNT, "earned": AMOUNT}


@pytest.mark.parametrize("job", PAYOUT_JOBS)
def test_a_job_can_end_at_any_edge(finance, bank, forks, tmp_path, job):
    """The first time names the edges; then the process is killed at each of them, and another one follows."""
    place = bank if job == "export" else finance

    def run(told, kill_at=None):
        seen = tmp_path / uuid4().hex
        pid = forks.start(
            url=place.ledger.database.url,
            address=place.gateway.address,
            seen=str(seen),
            kill_at=kill_at,
            epoch=time.time(),
            job=job,
            told=told,
        )
        return forks.wait(pid), seen.read_text().splitlines()

    def head():
        return max(r.position for r in place.world.log())

    told, since = begin(place, job), head()
    code, edges = run(told)
    assert code == 0
    check(place, job, told, since)
    assert any(edge.startswith("before append ") for edge in edges)
    for edge in edges:
        told, since = begin(place, job), head()
        assert run(told, kill_at=edge)[0] == KILLED, edge
        assert run(told)[0] == 0
        check(place, job, told, since)
    place.check_zero_sum()
