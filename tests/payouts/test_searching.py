"""Twenty hours after the intent: nobody sends the key again, the provider's list is searched."""

import json
from collections import Counter

import msgspec
import pytest

from ledger.events.payout import PayoutLeftToHuman, TransferFoundAbsent
from payouts.gateway import GatewayError
from payouts.leases import Leases
from payouts.outcomes import Confirmed, Rejected, RetryLater, Transfer, Unknown
from payouts.recording import Heard, Recording
from payouts.steps import nothing
from payouts.turn import Turn, load
from tests.support.finance import Cut, Killed, Script, die


@pytest.fixture
def batch(finance):
    """A batch whose one payout of 30.00 is twenty hours old, its outcome unknown: nothing was sent."""
    finance.partner(available_minor=30_00)
    made = finance.approved()
    finance.pay(finance.worker(Script(Unknown("connection"))))
    finance.later(hours=20)
    return made


def listed(finance, batch, number=1, **changes):
    """A transfer of the payout as the provider lists it."""
    found = finance.payout(batch)
    transfer = Transfer(
        id=f"tr_{number}",
        object="transfer",
        amount=30_00,
        amount_reversed=0,
        currency="gbp",
        destination=found.destination,
        livemode=False,
        created=1,
        metadata={"payout_id": str(found.payout_id), "attempt": "1"},
        transfer_group=f"batch-{batch.batch_id}",
    )
    return msgspec.structs.replace(transfer, **changes)


def test_a_transfer_that_nobody_heard_of_is_found_in_the_list(finance):
    """Sent, the answer lost with its process: after 20 hours it is found, and nothing is sent again."""
    acme = finance.partner(available_minor=30_00)
    batch = finance.approved()
    with pytest.raises(Killed):
        finance.pay(finance.worker(Cut(finance.gateway, after=die)))
    [before] = finance.transfers(batch)
    finance.later(hours=20)
    later = Cut(finance.gateway)

    finance.pay(finance.worker(later))

    assert later.intents == []
    assert finance.payout(batch).transfer_id == before.id
    assert finance.facts_of(finance.payout(batch))[3:] == ["TransferSearchBegan", "TransferConfirmed"]
    assert finance.balance(acme) == {"paid": 30_00, "earned": 30_00}
    assert finance.transfers(batch) == [before]


def test_what_is_absent_is_looked_for_again_before_that_is_believed(finance, batch):
    """A look four hours later proves it; then the money is payable, and the next attempt has a new key."""
    gateway = Script(Confirmed("tr_2"))
    gateway.listed = [listed(finance, batch, metadata={"payout_id": "another", "attempt": "1"})]
    worker = finance.worker(gateway)

    assert [finance.pay(worker), finance.pay(worker)] == [1, 0]
    finance.later(hours=3, minutes=59)
    assert finance.pay(worker) == 0
    assert finance.payout(batch).status == "unknown"
    assert len(gateway.asked) == 1
    finance.later(minutes=1)
    assert finance.pay(worker) == 1

    absent = finance.payout(batch)
    assert (absent.status, gateway.intents) == ("absent", [])
    assert finance.balance(absent.partner_id) == {"available": 30_00, "earned": 30_00}
    [proof] = finance.world.facts(TransferFoundAbsent)
    assert (proof.transfer_group, proof.destination) == (f"batch-{batch.batch_id}", absent.destination)
    assert (proof.searched_to - proof.searched_from).total_seconds() == 4 * 3600
    assert (proof.transfers_listed, proof.searched_to) == (1, finance.world.now)
    finance.pay(worker)
    assert [intent.idempotency_key[-2:] for intent in gateway.intents] == ["-2"]
    assert (finance.payout(batch).status, finance.payout(batch).attempt) == ("confirmed", 2)
    assert finance.balance(absent.partner_id) == {"paid": 30_00, "earned": 30_00}
    finance.check_zero_sum()


def test_who_stood_still_before_the_socket_is_waited_for(finance):
    """It looked at the clock in time and sends three hours later: until then nobody believes in absence."""
    acme = finance.partner(available_minor=30_00)
    batch = finance.approved()
    finance.pay(finance.worker(Script(Unknown("connection"))))
    finance.later(hours=19, minutes=59)
    other = finance.worker()

    def stand_still(_intent):
        for minutes in (2, 60, 59, 58):
            finance.later(minutes=minutes)
            finance.pay(other)

    finance.pay(finance.worker(Cut(finance.gateway, before=stand_still)))
    finance.later(hours=4)
    finance.pay(other)

    assert len(finance.transfers(batch)) == 1
    assert finance.balance(acme) == {"paid": 30_00, "earned": 30_00}


def test_a_list_that_lags_is_no_proof(finance, batch):
    """The transfer shows up in the second look only: it is confirmed, not sent anew."""
    gateway = Script(Confirmed("tr_never"))
    worker = finance.worker(gateway)
    finance.pay(worker)
    gateway.listed = [listed(finance, batch)] * 2  # the same row on two pages: others came in between
    finance.later(hours=4)

    finance.pay(worker)

    assert (finance.payout(batch).status, finance.payout(batch).transfer_id) == ("confirmed", "tr_1")
    assert gateway.intents == []


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([{}, {"number": 2}], "2 transfers are of this payout"),
        ([{"amount": 29_99}], "differs from what was approved"),
        ([{"currency": "eur"}], "differs from what was approved"),
        ([{"metadata": None}], "attempt 2, not of 1"),
    ],
    ids=["two", "amount", "currency", "attempt"],
)
def test_what_is_not_simply_its_transfer_is_left_to_a_human(finance, batch, rows, reason):
    """Nothing is sent, nothing released; the reason and the transfers stand in the stream."""
    payout_id = str(finance.payout(batch).payout_id)
    gateway = Script(Confirmed("tr_never"))
    for row in rows:
        if "metadata" in row:
            row = {"metadata": {"payout_id": payout_id, "attempt": "2"}}
        gateway.listed.append(listed(finance, batch, **row))
    worker = finance.worker(gateway)

    finance.pay(worker)
    finance.later(hours=5)
    assert finance.pay(worker) == 0

    held = finance.payout(batch)
    assert (held.status, gateway.intents) == ("held", [])
    assert reason in held.reason
    assert worker.held_for_human == {held.payout_id}
    [left] = finance.world.facts(PayoutLeftToHuman)
    assert left.transfer_ids == tuple(transfer.id for transfer in gateway.listed)
    assert finance.balance(held.partner_id) == {"in_transit": 30_00, "earned": 30_00}


def test_a_list_that_cannot_be_read_proves_nothing(finance, batch):
    """It is asked for again; the payout stays as it is."""

    class Deaf(Script):
        """Its lists can't be read."""

        def find_transfers(self, transfer_group, destination):
            raise GatewayError(Unknown("connection"))

    worker = finance.worker(Deaf(Confirmed("tr_never")))
    finance.pay(worker)
    for _ in range(3):
        finance.later(hours=2)
        assert finance.pay(worker) == 0

    assert worker.counts["list_not_read"] == 4
    assert finance.payout(batch).status == "unknown"


def record(finance, heard):
    """What somebody heard who has a lease: of how many payouts something was recorded."""
    leases = Leases(finance.ledger.database, finance.ledger.clock, holder="slept")
    lease = leases.take("a test")
    assert lease is not None
    return Recording(finance.ledger, Counter(), nothing).record([heard], Turn(finance.ledger, leases, lease))


@pytest.mark.parametrize(
    "late", [Rejected("account_closed", "closed"), Unknown("connection"), RetryLater(after_s=1)]
)
def test_a_late_answer_to_an_earlier_attempt_adds_nothing(finance, batch, late):
    """It was proven absent, and the next attempt is on its way: neither that one nor the partner changes."""
    [slept] = load(finance.ledger, [finance.payout(batch).payout_id])
    worker = finance.worker(gateway := Script(RetryLater(after_s=60)))
    finance.pay(worker)
    finance.later(hours=4)
    finance.pay(worker)
    finance.later(minutes=1)
    finance.pay(worker)
    assert [json.loads(intent.body)["metadata"]["attempt"] for intent in gateway.intents] == ["2"]
    before = finance.world.log()

    assert record(finance, Heard(slept, late, finance.world.now)) == 0

    assert finance.world.log() == before


def test_a_transfer_that_was_proven_absent_stops_what_comes_after(finance, batch):
    """An answer that comes hours late says that it was made after all: somebody has to look first."""
    [slept] = load(finance.ledger, [finance.payout(batch).payout_id])
    worker = finance.worker(gateway := Script(Confirmed("tr_never")))
    finance.pay(worker)
    finance.later(hours=4)
    finance.pay(worker)
    assert finance.payout(batch).status == "absent"

    record(finance, Heard(slept, Confirmed("tr_late"), finance.world.now))
    finance.pay(worker)

    assert (finance.payout(batch).status, gateway.intents) == ("held", [])
    assert finance.payout(batch).reason == "attempt 1 made a transfer after all"
    [left] = finance.world.facts(PayoutLeftToHuman)
    assert left.transfer_ids == ("tr_late",)
