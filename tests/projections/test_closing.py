"""Closing a month on both databases: of one position of the log, and what comes late is the next month's."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa

from ledger import period as rules
from ledger.events.period import PeriodClosed, PeriodTotal
from ledger.events.program import PayoutSchedule
from ledger.payout_commands import ChangePayoutSettings
from ledger.refusals import EarlierPeriodOpen, JournalDiffers, PeriodNotOver, UnknownProgram, ViewsBehind
from projections import position, tables
from projections.audit_log import Sequencer
from projections.checkpoints import CheckpointMaker, latest
from projections.periods import Periods
from projections.rebuild import rebuild
from projections.runner import Runner
from projections.statements import closing, reading
from tests.proof.hand import Hand
from tests.proof.stage import SIGNER
from tests.support.closing import FEBRUARY, JANUARY
from tests.support.months import close, moved, settle
from tests.support.touched import Touched
from tests.support.world import World, day, terms


@pytest.fixture
def world(database_url):
    """A program with one partner, who brought one customer."""
    world = World(database_url)
    world.program(terms(holding_days=0))
    world.touch("customer", world.partner("acme"), day(-1))
    yield world
    world.close()


def test_what_is_learned_late_is_the_next_month_s(world):
    """A sale of January that comes in February, after the closing, moves nothing of January."""
    world.now = day(40)
    world.send(world.sale("one", "customer", 100_00, day(3)))
    world.send(world.sale("two", "customer", 50_00, day(35)))
    settle(world)
    first = close(world, JANUARY)
    world.now = day(45)
    world.send(world.sale("late", "customer", 10_00, day(20)), world.refund("one", "r", 100_00, day(30)))
    settle(world)
    world.now = day(70)

    again, second = close(world, JANUARY), close(world, FEBRUARY)

    assert moved(first) == {"commission_expense": 20_00, "commission_payable": -20_00}
    assert (again, first.new) == (msgspec.structs.replace(first, new=False), True)
    # 10.00 of the second sale, 2.00 of the late one, less the 20.00 that the late refund took back.
    assert moved(second) == {"commission_expense": -8_00, "commission_payable": 8_00}
    held = {each.account: each.opening_minor for each in second.frozen.totals}
    assert held["commission_payable"] == -20_00
    # February is looked for from its own first leg on, which stood in the log before January was closed.
    assert second.fact.after_position < first.fact.through_position


def test_a_month_waits_for_what_is_known_of_it(world):
    """A sale that the engine has not seen yet, or the views: refused by name; nothing is told."""
    world.now = day(40)
    settle(world)
    world.send(world.sale("one", "customer", 100_00, day(3)))

    with pytest.raises(ViewsBehind, match="is of 2024-01 and not worked out yet"):
        close(world, JANUARY)
    while world.engine.step():
        pass
    with pytest.raises(ViewsBehind):
        close(world, JANUARY)
    settle(world)

    assert moved(close(world, JANUARY))["commission_expense"] == 20_00


def test_a_closing_that_waits_goes_on_when_the_views_have_come(world):
    """What the pause lets happen is counted."""
    world.now = day(40)
    world.send(world.sale("one", "customer", 100_00, day(3)))

    done = close(world, JANUARY, wait_s=60, pause=lambda _s: settle(world))

    assert moved(done)["commission_expense"] == 20_00


def test_what_is_new_of_later_months_does_not_hold_it_up(world):
    """The log goes on while a month is closed."""
    world.now = day(40)
    settle(world)
    world.send(world.sale("two", "customer", 50_00, day(35)))

    assert close(world, JANUARY).new


def test_a_reward_that_matures_in_the_month_is_waited_for(world):
    """The engine matures by the clock; a clock that has passed it is not enough."""
    world.publish(terms(holding_days=10), effective_at=day(0))
    world.agree(world.partner("bolt"), day(0), 2)
    world.touch("another", world.partner("bolt", agreed=day(0), version=2), day(0))
    world.now = day(4)
    world.send(world.sale("held", "another", 100_00, day(3)))
    settle(world)
    world.now = day(40)

    with pytest.raises(ViewsBehind, match="has not worked out all of 2024-01"):
        close(world, JANUARY)
    settle(world)

    assert moved(close(world, JANUARY)) == {"commission_expense": 20_00, "commission_payable": -20_00}


def test_refusals(world):
    """The program, the order, the end of the month."""
    world.now = day(40)
    world.send(world.sale("one", "customer", 100_00, day(3)))
    settle(world)

    close(world, JANUARY)
    with pytest.raises(PeriodNotOver):
        close(world, FEBRUARY)
    world.now = day(200)
    with pytest.raises(EarlierPeriodOpen, match="2024-02 is open"):
        close(world, "2024-03")
    world.program_id = UUID(int=9)
    with pytest.raises(UnknownProgram):
        close(world, JANUARY)


def test_the_month_is_the_time_zone_s(world):
    """A sale at 23:30 UTC of 31 January is February's in Berlin."""
    schedule = PayoutSchedule(every="month", day=5, time_zone="Europe/Berlin", hour=6)
    wish = ChangePayoutSettings(program_id=world.program_id, schedule=schedule)
    world.desk.execute(wish, by="test")
    at = datetime(2024, 1, 31, 23, 30, tzinfo=UTC)
    world.now = day(70)
    world.send(world.sale("one", "customer", 100_00, day(3)), world.sale("two", "customer", 50_00, at))
    settle(world)

    first, second = close(world, JANUARY), close(world, FEBRUARY)

    assert (moved(first)["commission_expense"], moved(second)["commission_expense"]) == (20_00, 10_00)
    assert first.fact.ends_at == datetime(2024, 1, 31, 23, tzinfo=UTC) == second.fact.begins_at


def test_the_view_has_the_month_and_a_rebuild_gives_it_again(world):
    """Byte for byte."""
    world.now = day(40)
    world.send(world.sale("one", "customer", 100_00, day(3)))
    settle(world)
    frozen = close(world, JANUARY, reason="as agreed").frozen
    settle(world)

    with world.database.read() as connection:
        row = connection.execute(sa.select(tables.periods)).one()
    told = (row.period, row.closed_by, row.statements, row.reason)
    assert told == (JANUARY, "key:finance", 0, "as agreed")
    assert msgspec.json.decode(row.totals, type=tuple[PeriodTotal, ...]) == frozen.totals
    assert rebuild(world.ledger, []).differences == ()


def test_a_month_is_not_shown_before_its_totals_are(world):
    """A batch of the view may end between the two facts."""
    world.now = day(40)
    settle(world)
    close(world, JANUARY)
    steps = Runner(world.ledger, (Periods(),), batch_events=1)
    shown = []
    while steps.step():
        with world.database.read() as connection:
            shown.append(len(reading.list_periods(connection, program_id=world.program_id).rows))
            row = reading.period_row(connection, world.program_id, JANUARY)
        assert (row is not None) == bool(shown[-1])

    assert shown[-2:] == [0, 1]
    assert row is not None
    assert row["totals"] == []
    assert rebuild(world.ledger, []).differences == ()


def test_what_is_frozen_cannot_be_tried_out(world):
    """Two months that came to nothing have other words, by a salt of each."""
    world.now = day(100)
    settle(world)
    salts = {close(world, each).frozen.salt for each in (JANUARY, FEBRUARY)}

    assert [len(bytes.fromhex(salt)) for salt in salts] == [16, 16]


def test_a_closing_is_sealed_at_once(world):
    """The interval of checkpoints is not waited for."""
    world.now = day(40)
    settle(world)
    sequencer, maker = (
        Sequencer(world.ledger),
        CheckpointMaker(world.ledger, SIGNER, interval=timedelta(days=9)),
    )
    sequencer.catch_up()
    maker.step()
    close(world, JANUARY)
    sequencer.catch_up()

    assert maker.step() is not None
    with world.database.read() as connection:
        assert latest(connection).cause == "period_closed"


def test_months_without_anything_are_closed_too(world):
    """They hold nothing, and the next one goes on from them."""
    world.now = day(100)
    settle(world)

    assert [close(world, each).frozen.totals for each in (JANUARY, FEBRUARY)] == [(), ()]
    assert rules.following(FEBRUARY) == "2024-03"


def read_by_february(world, name, sales):
    """What closing February reads of a program with so many sales in January."""
    world.program(terms(holding_days=0), reference=name)
    world.touch(name, world.partner(name), day(-1))
    world.now = day(40)
    world.send(*(world.sale(f"{number}", name, 10_00, day(3)) for number in range(sales)))
    settle(world)
    close(world, JANUARY)
    world.send(*(world.sale(f"february-{number}", name, 10_00, day(35)) for number in range(5)))
    settle(world)
    state = closing.periods_of(world.ledger, world.program_id)
    span = rules.span(state, FEBRUARY, "UTC")
    with world.database.read() as connection:
        reached = position.read(connection, [closing.JOURNAL])[closing.JOURNAL]
        of = (world.program_id, state, span, reached)
        return Touched(connection).count(lambda reading: closing.books_of(world.ledger, reading, *of))


def test_what_a_closing_reads_does_not_grow_with_what_is_closed(sqlite_database_url):
    """A hundred times the January makes February no longer."""
    world = World(sqlite_database_url)
    few, many = read_by_february(world, "few", 2), read_by_february(world, "many", 200)
    world.close()

    assert 0 < many <= few * 1.2


EDITS = (
    "UPDATE journal SET amount_minor = amount_minor * 2 WHERE position = :place",
    "UPDATE journal SET effective_at = :later WHERE position = :place",
    "DELETE FROM journal WHERE position = :place",
    "UPDATE journal SET position = position + 1000000 WHERE position = :place",
)


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_journal_closes_no_month(world, edit):
    """Whoever edits a leg, has the month closed and puts it back: it is not closed, and nothing is told."""
    world.now = day(40)
    world.send(world.sale("one", "customer", 100_00, day(3)))
    settle(world)
    with world.database.write() as connection:
        Hand(connection, world.database).disarm()
        place = connection.execute(sa.text("SELECT min(position) FROM journal")).scalar_one()
        later = sa.bindparam("later", day(35), tables.journal.c.effective_at.type)
        given = sa.text(edit).bindparams(place=place)
        connection.execute(given.bindparams(later) if ":later" in edit else given)

    with pytest.raises(JournalDiffers, match="the facts post"):
        close(world, JANUARY)

    assert world.facts(PeriodClosed) == []
