"""What a closing waits for, on both databases: what is its program's, and nothing that others post."""

import pytest
import sqlalchemy as sa

from ledger.commands import SuspendPartner
from ledger.engine import tables as engine_tables
from ledger.engine.readiness import is_settled
from ledger.events.partner import AgreementAccepted
from ledger.refusals import ViewsBehind
from projections import position
from projections.runner import Runner
from projections.statements import lookout
from tests.support.closing import FEBRUARY, JANUARY
from tests.support.months import close, moved, settle
from tests.support.world import World, day, terms


@pytest.fixture
def world(database_url):
    """A program with one partner, who brought one customer."""
    world = World(database_url)
    world.program(terms(holding_days=0))
    world.touch("customer", world.partner("acme"), day(-1))
    yield world
    world.close()


@pytest.fixture
def busy(world):
    """A second program with a sale of January, and a way back to the first."""
    first = world.program_id
    world.now = day(40)
    world.send(world.sale("one", "customer", 100_00, day(3)))
    settle(world)

    def begin(document=None):
        world.program(document or terms(holding_days=0), reference="busy")
        world.agree(world.applicant("bolt"), day(-1000), 1)
        return world.program_id

    def back():
        world.program_id = first

    return begin, back


MANY = 2 * lookout.ROWS + 500


def test_however_much_others_post_it_is_closed(world, busy):
    """Thousands of facts of another program's January, that neither the engine nor any view has seen."""
    begin, back = busy
    begin()
    world.send(*(world.sale(f"{number}", "nobody", 1_00, day(3)) for number in range(MANY)))
    back()
    with world.database.read() as connection:
        assert world.ledger.log.head(connection) > position.read(connection, ["engine"])["engine"] + MANY - 1

    assert moved(close(world, JANUARY))["commission_expense"] == 20_00


def test_one_fact_of_its_own_among_thousands_of_others_is_waited_for(world, busy):
    """The position that is named is its own."""
    begin, back = busy
    begin()
    world.send(*(world.sale(f"{number}", "nobody", 1_00, day(3)) for number in range(lookout.ROWS)))
    back()
    world.send(world.sale("own", "customer", 50_00, day(4)))
    place = world.log()[-1].position
    begin()
    world.send(*(world.sale(f"more-{number}", "nobody", 1_00, day(3)) for number in range(lookout.ROWS)))
    back()

    with pytest.raises(ViewsBehind, match=f"at position {place} is of 2024-01"):
        close(world, JANUARY)
    settle(world)

    assert moved(close(world, JANUARY))["commission_expense"] == 30_00


def test_what_the_engine_has_to_do_for_others_holds_nothing_up(world, busy):
    """A reward of another program is due, and a conversion there is to be settled again."""
    begin, back = busy
    begin(terms(holding_days=10))
    bolt = world.facts(AgreementAccepted)[-1].partner_id
    world.touch("other", bolt, day(-1))
    world.now = day(4)
    world.send(world.sale("held", "other", 100_00, day(3)))
    settle(world)
    world.now = day(40)
    world.touch("other", world.partner("coil"), day(-2))
    world.engine._read()
    Runner(world.ledger).catch_up()
    back()
    with world.database.read() as connection:
        reached = position.read(connection, ["engine"])["engine"]
        assert not is_settled(connection, position=reached, until=day(31))
        assert connection.execute(sa.select(sa.func.count()).select_from(engine_tables.work)).scalar() == 1

    assert close(world, JANUARY).new


def test_a_conversion_of_its_own_that_is_to_be_settled_again_is_waited_for(world):
    """A touch that came late: the facts are read, and what they change is not told yet."""
    world.now = day(40)
    world.send(world.sale("one", "customer", 100_00, day(3)))
    settle(world)
    world.touch("customer", world.partner("bolt"), day(-2))
    world.engine._read()
    Runner(world.ledger).catch_up()

    with pytest.raises(ViewsBehind, match="has not worked out all of 2024-01"):
        close(world, JANUARY)
    settle(world)

    assert close(world, JANUARY).new


def test_what_names_no_program_is_waited_for_if_it_may_matter(world):
    """A partner is suspended; terms are of the program in whose stream they stand."""
    world.now = day(40)
    world.send(world.sale("one", "customer", 100_00, day(3)))
    settle(world)
    first, partner_id = world.program_id, world.facts(AgreementAccepted)[0].partner_id
    world.program(terms(), reference="other")
    world.program_id = first

    assert close(world, JANUARY).new
    world.now = day(35)
    world.desk.execute(SuspendPartner(partner_id=partner_id, reason="asked"), by="test")
    world.now = day(70)
    with pytest.raises(ViewsBehind, match="is of 2024-02"):
        close(world, FEBRUARY)
