"""The runner: what the views hold follows from the facts, exactly once, whatever happens in between."""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from ledger.store.database import DatabaseUnavailable
from projections import position, tables
from projections.balances import Balances
from projections.conversions import Conversions
from projections.journal import Journal
from projections.runner import Runner
from projections.view import position_name
from projections.views import VIEWS
from tests.projections.world import PROGRAM, conversion, day, partner, reward


def balance(rows, number=1):
    found = [row for row in rows(tables.balances) if row["partner_id"] == partner(number)]
    return {key[:-6]: value for key, value in found[0].items() if key.endswith("_minor") and value}


def test_a_reward_moves_from_pending_to_available_to_paid(world, runner, rows):
    """Each step of a payout is a balance of its own, and nothing is lost on the way."""
    world.accrue(1, 2_000)
    runner.catch_up()
    assert balance(rows) == {"pending": 2_000, "earned": 2_000}

    world.mature(1, 2_000)
    world.reserve(conversion(9), 1_700, withheld=300)
    runner.catch_up()
    assert balance(rows) == {"in_transit": 1_700, "withheld": 300, "earned": 2_000}

    world.confirm(conversion(9), 1_700)
    runner.catch_up()
    assert balance(rows) == {"paid": 1_700, "withheld": 300, "earned": 2_000}


def test_a_rejected_payout_is_available_again(world, runner, rows):
    """What an attempt reserved comes back whole."""
    world.accrue(1, 2_000)
    world.mature(1, 2_000)
    world.reserve(conversion(9), 1_700, withheld=300)
    world.release(conversion(9))
    runner.catch_up()

    assert balance(rows) == {"available": 2_000, "earned": 2_000}


def test_a_reversal_after_payout_is_owed_back_and_offset(world, runner, rows):
    """Clawback lowers what was earned; a later reward pays it off; a write-off leaves it earned."""
    world.accrue(1, 2_000)
    world.mature(1, 2_000)
    world.reserve(conversion(9), 2_000)
    world.confirm(conversion(9), 2_000)
    world.reverse_matured(1, 1_500)
    runner.catch_up()
    assert balance(rows) == {"paid": 2_000, "clawback": 1_500, "earned": 500}

    world.accrue(2, 1_000)
    world.mature(2, 1_000)
    runner.catch_up()
    assert balance(rows) == {"paid": 2_000, "clawback": 500, "earned": 1_500}

    world.write_off(500)
    runner.catch_up()
    assert balance(rows) == {"paid": 2_000, "earned": 2_000}


def test_money_that_came_back_is_available(world, runner, rows):
    """A reversed transfer is paid no more, and the tax that was withheld from it is owed to no office."""
    world.accrue(1, 2_000)
    world.mature(1, 2_000)
    world.reserve(conversion(9), 1_800, 200)
    world.confirm(conversion(9), 1_800)
    world.credit_back(conversion(9), 1_800, withheld=200)
    runner.catch_up()

    assert balance(rows) == {"available": 2_000, "earned": 2_000}


def test_legs_say_what_they_are_about(world, runner, rows):
    """A leg names its reward, conversion or payout, both times and the posting rule's version."""
    world.accrue(1, 2_000)
    world.mature(1, 2_000)
    world.reserve(conversion(9), 2_000)
    world.confirm(conversion(9), 2_000)
    runner.catch_up()

    legs = rows(tables.journal)
    assert [(leg["position"], leg["leg"], leg["account"], leg["amount_minor"]) for leg in legs] == [
        (1, 1, "commission_expense", 2_000),
        (1, 2, "commission_accrued", -2_000),
        (2, 1, "commission_accrued", 2_000),
        (2, 2, "commission_payable", -2_000),
        (3, 1, "commission_payable", 2_000),
        (3, 2, "payout_clearing", -2_000),
        (4, 1, "payout_clearing", 2_000),
        (4, 2, "stripe_balance", -2_000),
    ]
    assert {(leg["program_id"], leg["partner_id"], leg["currency"]) for leg in legs} == {
        (PROGRAM, partner(1), "GBP")
    }
    assert [leg["reward_id"] for leg in legs[:4]] == [reward(1)] * 4
    assert [leg["conversion_id"] for leg in legs[:4]] == [conversion(1)] * 4
    assert [leg["payout_id"] for leg in legs[4:]] == [conversion(9)] * 4
    assert [leg["effective_at"] for leg in legs[:4:2]] == [day(1), day(31)]
    assert all(leg["posting_version"] == 1 and leg["recorded_at"].tzinfo for leg in legs)


class Crash(Exception):
    """The process died."""


def crashing(view, after_write):
    """The view, but its first write raises, before or after it wrote."""

    fragile = copy.copy(view)
    crashed: list[bool] = []

    def write(connection, changes, names):
        if after_write or crashed:
            view.write(connection, changes, names)
        if not crashed:
            crashed.append(True)
            raise Crash

    fragile.write = write
    return fragile


@pytest.mark.parametrize("view", [Journal(), Balances(), Conversions()], ids=lambda view: view.name)
@pytest.mark.parametrize("after_write", [True, False])
def test_a_crash_in_mid_batch_counts_nothing_twice(world, ledger, rows, view, after_write):
    """All views of a batch and their positions are one transaction: it happened or it did not."""
    world.sale(1)
    world.refund(1, 2_500)
    world.accrue(1, 2_000)
    world.reverse_held(1, 500)
    fragile = Runner(ledger, [crashing(view, after_write) if v.name == view.name else v for v in VIEWS])
    with pytest.raises(Crash):
        fragile.catch_up()
    assert rows(tables.journal) == rows(tables.balances) == rows(tables.conversions) == []

    fragile.catch_up()

    assert balance(rows) == {"pending": 1_500, "earned": 1_500}
    assert len(rows(tables.journal)) == 4
    assert rows(tables.conversions)[0]["refunded_minor"] == 2_500
    assert rows(tables.rewards)[0]["reversed_minor"] == 500


def test_two_runners_project_each_fact_once(world, ledger, rows):
    """Whoever loses the race for a batch writes nothing."""
    for number in range(60):
        world.accrue(number, 100)
    # Balances alone: no key of theirs would stop a batch from being counted twice.
    runners = [Runner(ledger, [Balances()], batch_events=7) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        for running in [pool.submit(runner.catch_up) for runner in runners]:
            running.result()

    assert balance(rows) == {"pending": 6_000, "earned": 6_000}


def test_views_at_different_positions_meet(world, ledger, runner, rows):
    """A view that is behind is driven alone until it stands where the others stand."""
    world.accrue(1, 100)
    world.accrue(2, 100)
    Runner(ledger, [Balances()]).catch_up()
    world.accrue(3, 100)
    runner.catch_up()

    with ledger.database.read() as connection:
        found = position.read(connection, [position_name(view) for view in VIEWS])
    assert set(found.values()) == {3}
    assert balance(rows)["pending"] == 300
    assert len(rows(tables.journal)) == 6


def test_a_database_that_was_down_is_waited_for(world, ledger, rows):
    """The runner goes on by itself, and projects everything once."""
    world.accrue(1, 100)
    down = iter([True, True, False])
    stop, stepped = threading.Event(), threading.Event()

    class Flaky(Runner):
        def step(self):
            if next(down, False):
                raise DatabaseUnavailable("the server is gone")
            done = super().step()
            if not done:
                stepped.set()
            return done

    thread = threading.Thread(target=Flaky(ledger).run, args=(stop,))
    thread.start()
    assert stepped.wait(20)
    stop.set()
    thread.join(20)

    assert not thread.is_alive()
    assert balance(rows) == {"pending": 100, "earned": 100}


def test_the_positions_of_views_that_are_new_begin_at_the_start(ledger, world, rows):
    """A missing row is made, so that there is something to lock."""
    with ledger.database.write() as connection:
        connection.execute(sa.text("DELETE FROM positions"))
    world.accrue(1, 100)
    Runner(ledger).catch_up()

    assert balance(rows)["pending"] == 100
