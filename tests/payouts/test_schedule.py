"""The scheduler: each date of a calendar once, after a downtime the latest alone, by whoever looks."""

import threading
from datetime import UTC, date, datetime

import pytest

from ledger import ids
from ledger.events.payout import PayoutBatchDrafted, PayoutDatePassed
from ledger.events.program import PayoutSchedule
from ledger.payout_commands import ChangePayoutSettings
from ledger.store.application import Ledger
from ledger.store.database import Database
from payouts import batches
from payouts.schedule import PayoutScheduler
from tests.support.finance import CURRENCY

MONTHLY = PayoutSchedule(every="month", day=31, time_zone="Europe/London", hour=6)


def now(text):
    """A moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture
def scheduled(finance):
    """A program that pays on the last day of each month, as of 15 January 2024."""
    finance.world.now = now("2024-01-15T12:00")
    wish = ChangePayoutSettings(program_id=finance.world.program_id, schedule=MONTHLY)
    finance.world.desk.execute(wish, by="cli")
    finance.settle()
    return finance


def dates(finance):
    """What became of each date, in the order of the log."""
    facts = finance.world.facts(PayoutBatchDrafted, PayoutDatePassed)
    return [(type(fact).__name__, fact.due_on.isoformat()) for fact in facts]


def test_a_batch_is_drafted_when_its_date_comes_and_once(scheduled):
    """Not before; not again by the same scheduler, nor by one that starts anew; anybody may check it."""
    scheduled.partner(available_minor=30_00)
    scheduler = PayoutScheduler(scheduled.ledger)
    before = scheduler.step()
    scheduled.world.now = now("2024-01-31T05:59:59")
    just_before = scheduler.step()
    scheduled.world.now = now("2024-01-31T06:00")
    at_once = scheduler.step()
    facts = len(scheduled.world.log())
    again = [scheduler.step(), PayoutScheduler(scheduled.ledger).step()]

    assert (before, just_before, at_once) == (0, 0, 1)
    assert again[0] == 0
    assert len(scheduled.world.log()) == facts
    assert dates(scheduled) == [("PayoutBatchDrafted", "2024-01-31")]
    batch_id = ids.scheduled_batch_id(scheduled.world.program_id, date(2024, 1, 31), CURRENCY)
    batch = batches.load(scheduled.ledger, batch_id)
    assert (batch.made_by, batch.due_on, batch.total_minor) == ("schedule", date(2024, 1, 31), 30_00)
    assert scheduled.approve(batch).status == "approved"


def test_after_a_downtime_only_the_latest_date_counts(scheduled):
    """It pays what the missed ones would have paid."""
    scheduled.partner(available_minor=30_00)
    scheduled.world.now = now("2024-06-10T00:00")

    assert PayoutScheduler(scheduled.ledger).step() == 1
    assert dates(scheduled) == [("PayoutBatchDrafted", "2024-05-31")]


def test_a_date_on_which_nobody_is_due_passes_for_good(scheduled):
    """What is earned afterwards waits for the next date, or for somebody's wish."""
    scheduler = PayoutScheduler(scheduled.ledger)
    scheduled.world.now = now("2024-01-31T06:00")
    passed = scheduler.step()
    scheduled.partner(available_minor=30_00)
    again = [scheduler.step(), PayoutScheduler(scheduled.ledger).step()]
    scheduled.world.now = now("2024-02-29T06:00")
    following = scheduler.step()

    assert (passed, again[0], following) == (1, 0, 1)
    assert dates(scheduled) == [("PayoutDatePassed", "2024-01-31"), ("PayoutBatchDrafted", "2024-02-29")]


def test_a_calendar_holds_from_when_it_was_made(scheduled):
    """A date that had passed by then is none of its dates; without one nothing is drafted."""
    scheduled.partner(available_minor=30_00)
    scheduled.world.now = now("2024-02-10T00:00")
    weekly = PayoutSchedule(every="week", day=5, time_zone="UTC", hour=0)
    wish = ChangePayoutSettings(program_id=scheduled.world.program_id, schedule=weekly)
    scheduled.world.desk.execute(wish, by="cli")
    scheduler = PayoutScheduler(scheduled.ledger)

    steps = [scheduler.step()]
    scheduled.world.desk.execute(ChangePayoutSettings(program_id=scheduled.world.program_id), by="cli")
    scheduled.settle()
    scheduled.world.now = now("2024-03-01T00:00")
    steps.append(scheduler.step())

    assert steps == [0, 0]
    assert dates(scheduled) == []


def test_nothing_is_drafted_before_engine_and_views_know_it_all(scheduled):
    """After a downtime rewards may still be worked out: a batch then would leave their partners out."""
    acme = scheduled.partner("acme")
    scheduled.world.touch("customer", acme, scheduled.world.now)
    scheduled.world.send(scheduled.world.sale("sale", "customer", 150_00, scheduled.world.now))
    scheduled.world.now = now("2024-02-01T00:00")
    scheduler = PayoutScheduler(scheduled.ledger)

    behind = scheduler.step()
    while scheduled.world.engine.step():
        pass
    unseen = scheduler.step()
    scheduled.runner.catch_up()
    known = scheduler.step()

    assert (behind, unseen, known) == (0, 0, 1)
    assert dates(scheduled) == [("PayoutBatchDrafted", "2024-01-31")]


def test_schedulers_at_once_draft_one_batch(scheduled):
    """Whoever stores first; the others find it."""
    scheduled.partner(available_minor=30_00)
    scheduled.world.now = now("2024-01-31T07:00")
    start, steps = threading.Barrier(3), []

    def look():
        ledger = Ledger(Database(scheduled.ledger.database.url), clock=lambda: scheduled.world.now)
        start.wait()
        steps.append(PayoutScheduler(ledger).step())
        ledger.close()

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # Whoever looks between another's append and the views that show it waits for its next look.
    assert sorted(steps)[-1] == 1
    assert set(steps) <= {0, 1}
    assert dates(scheduled) == [("PayoutBatchDrafted", "2024-01-31")]
