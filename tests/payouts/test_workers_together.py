"""Several workers and the end of processes: whoever comes second adds nothing, and nothing is sent anew."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest

from ledger.events.payout import TransferSent
from ledger.store.application import Ledger
from ledger.store.database import Database
from payouts.outcomes import RetryLater, TransferIntent, Unknown
from payouts.worker import PayoutWorker
from tests.payouts.test_worker import CONFIRMED_FACTS
from tests.support.finance import Cut, Killed, die
from tests.support.stripe_process import play_faults


def test_two_workers_at_once_make_one_transfer_each(finance):
    """Their intents race on the payouts' streams; whoever loses drops it. No second key ever exists."""
    partners = [finance.partner(f"p{n}", available_minor=10_00 + n) for n in range(6)]
    batch = finance.approved()
    start = threading.Barrier(2)

    def work(worker):
        start.wait()
        worker.step()

    ledgers = [Ledger(Database(finance.ledger.database.url)) for _ in range(2)]
    workers = [PayoutWorker(ledger, finance.gateway) for ledger in ledgers]
    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for ledger in ledgers:
        ledger.close()

    assert sum(worker.counts["Confirmed"] for worker in workers) >= len(partners)
    assert sum(worker.counts["failed"] for worker in workers) == 0
    assert {finance.facts_of(p) == CONFIRMED_FACTS for p in batch.payouts} == {True}
    assert sorted(t.amount for t in finance.transfers(batch)) == [10_00 + n for n in range(6)]
    finance.check_zero_sum()


@pytest.mark.parametrize("heard", [None, Unknown("connection"), RetryLater(after_s=1)])
def test_a_zombie_can_record_nothing_that_others_settled(finance, heard):
    """A worker that hears of its transfer long after another settled it adds no fact."""
    finance.partner(available_minor=30_00)
    batch = finance.approved()

    def meanwhile(_intent: TransferIntent):
        finance.later(minutes=1)
        finance.pay()

    zombie = finance.worker(Cut(finance.gateway, before=meanwhile, after=lambda real: heard or real))
    finance.pay(zombie)

    assert zombie.counts[type(heard).__name__ if heard else "Confirmed"] == 1
    assert (zombie.counts["lease_lost"], zombie.counts["failed"]) == (1, 0)
    assert finance.facts_of(finance.payout(batch)) == CONFIRMED_FACTS
    assert len(finance.transfers(batch)) == 1


def test_another_workers_intent_is_left_alone_while_its_lease_lasts(finance):
    """It is about to hear of it; after a minute we ask with its key."""
    finance.partner(available_minor=30_00)
    batch = finance.approved()
    with pytest.raises(Killed):
        finance.pay(finance.worker(Cut(finance.gateway, before=die)))
    worker = finance.worker()

    turns = [finance.pay(worker)]
    finance.later(seconds=59)
    turns.append(finance.pay(worker))
    finance.later(seconds=1)
    turns.append(finance.pay(worker))

    assert turns == [0, 0, 1]
    assert finance.payout(batch).status == "confirmed"


def test_the_trouble_of_one_payout_does_not_stop_the_others(finance):
    """An error that nobody thought of is logged and counted; its intent stands and is sent again later."""
    odd = finance.partner("odd", available_minor=30_00)
    even = finance.partner("even", available_minor=20_00)
    batch = finance.approved()

    def stumble(intent):
        if '"amount":3000' in intent.body:
            raise RuntimeError("nobody thought of this")

    worker = finance.worker(Cut(finance.gateway, before=stumble))
    finance.pay(worker)

    assert finance.payout(batch, even).status == "confirmed"
    assert (finance.payout(batch, odd).status, worker.counts["failed"]) == ("intent", 1)
    finance.later(minutes=1)
    finance.pay()
    assert finance.payout(batch, odd).status == "confirmed"


def test_run_works_until_it_is_told_to_stop(finance):
    """It pays what is there, idles, and ends on the word."""
    finance.partner(available_minor=30_00)
    batch = finance.approved()
    stop = threading.Event()
    thread = threading.Thread(target=finance.worker().run, args=(stop,), kwargs={"idle_s": 0.01})
    thread.start()
    for _ in range(500):
        if finance.payout(batch).status == "confirmed":
            break
        stop.wait(0.01)
    stop.set()
    thread.join(timeout=5)

    assert not thread.is_alive()
    assert finance.payout(batch).status == "confirmed"


def test_time_of_sending_is_kept(finance):
    """The first sending's time stands in the stream, not that of the answer."""
    finance.partner(available_minor=30_00)
    batch = finance.approved()
    sent_at = finance.world.now

    def take_long(_intent):
        finance.later(seconds=30)

    finance.pay(finance.worker(Cut(finance.gateway, before=take_long)))

    facts = {type(r.fact): r.fact for r in finance.ledger.history(finance.payout(batch).payout_id)}
    assert facts[TransferSent].effective_at == sent_at
    assert finance.world.now - sent_at == timedelta(seconds=30)


WORKER_PROCESS = """
import sys, threading
from ledger.store.application import Ledger
from ledger.store.database import Database
from payouts.gateway import StripeGateway
from payouts.worker import PayoutWorker

database_url, address = sys.argv[1:]
worker = PayoutWorker(Ledger(Database(database_url)), StripeGateway("sk_test_standin", address))
worker.run(threading.Event(), idle_s=0.05)
"""


def test_kill_nine_while_the_transfer_is_being_made(finance, stripe_gateway):
    """A real process, ended while it waits for the answer: one transfer, found by the next worker."""
    acme = finance.partner(available_minor=30_00)
    batch = finance.approved()
    play_faults(stripe_gateway.address, {"on": "POST /v1/transfers", "do": "delay", "seconds": 1.5})
    command = [sys.executable, "-c", WORKER_PROCESS, finance.ledger.database.url, stripe_gateway.address]
    process = subprocess.Popen(command)
    try:
        await_state(finance, batch, "intent")
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    time.sleep(2)  # the stand-in ends what it began, with nobody to hear of it

    assert finance.payout(batch).status == "intent"
    finance.world.now = finance.ledger.history(batch.payouts[0].payout_id)[-1].recorded_at
    finance.later(minutes=1)
    finance.pay()

    assert finance.payout(batch).status == "confirmed"
    assert len(finance.transfers(batch)) == 1
    assert finance.balance(acme) == {"paid": 30_00, "earned": 30_00}


def await_state(finance, batch, status):
    """Wait until the payout of a batch got there."""
    for _ in range(600):
        if finance.payout(batch).status == status:
            return
        time.sleep(0.02)
    raise AssertionError(f"the payout is {finance.payout(batch).status}, not {status}")
