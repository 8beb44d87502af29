"""A preview as of a time: what it said then, whatever became known later; what was true by then."""

from datetime import datetime
from uuid import UUID

import pytest
import sqlalchemy as sa

from ledger.partner_commands import ChangePartnerLocale
from ledger.period import ClosePeriod
from ledger.refusals import InvalidField
from payouts.outcomes import Confirmed
from projections.queries.money import balances_as_of
from projections.statement import Statement
from projections.statements.closing import close_period
from projections.statements.preview import preview
from projections.statements.then import NOW, Then
from projections.tables import statements
from tests.support.closing import FEBRUARY, JANUARY, MARCH, close, link, paid
from tests.support.finance import Finance, Script, day

NAMES = ("pending", "available", "in_transit", "paid", "clawback", "withheld", "earned")


@pytest.fixture
def finance(database_url):
    """A program whose partners are paid."""
    made = Finance(database_url, Script(Confirmed("tr_1")))  # type: ignore[arg-type]
    yield made
    made.close()


def looked(finance: Finance, partner_id: UUID, period: str, then: Then = NOW):
    """The preview of a month."""
    account = (finance.world.program_id, partner_id, finance.world.currency)
    with finance.ledger.database.read() as connection:
        return preview(finance.ledger, connection, account, period, then)


def balance(finance: Finance, partner_id: UUID, then: Then) -> list[int]:
    """A balance as it was, from the folios."""
    with finance.ledger.database.read() as connection:
        [found] = balances_as_of(
            connection,
            partner_id=partner_id,
            effective_as_of=then.effective,
            recorded_as_of=then.recorded,
        )
    return [getattr(found, f"{name}_minor") for name in NAMES]


def closing(statement: Statement) -> list[int]:
    """Its closing balance."""
    return [getattr(statement.closing, f"{name}_minor") for name in NAMES]


def test_what_a_preview_said_is_said_again_of_that_time(finance):
    """Through closings, a late refund, a payout that arrives and a partner's new language."""
    world = finance.world
    world.now = day(10)
    acme = finance.partner("acme", linked=False)
    link(finance, acme)
    said: list[tuple[datetime, str, Statement]] = []

    def look(*months: str) -> None:
        said.extend((world.now, month, looked(finance, acme, month)) for month in months)
        finance.later(minutes=1)

    sale = finance.earn(acme, 20_00)
    look(JANUARY, FEBRUARY)
    finance.approved()
    finance.pay()
    look(JANUARY, FEBRUARY)
    world.now = day(33)
    finance.earn(acme, 12_00)
    look(JANUARY, FEBRUARY, MARCH)
    close(finance, JANUARY)
    finance.later(minutes=1)
    paid(finance)
    look(FEBRUARY)
    world.now = day(41)
    world.send(world.refund(sale, "late", 100_00, day(12)))
    finance.settle()
    look(FEBRUARY, MARCH)
    world.desk.execute(ChangePartnerLocale(partner_id=acme, locale="de-AT"), by="test")
    look(FEBRUARY)
    world.now = day(70)
    close(finance, FEBRUARY)
    finance.later(minutes=1)
    finance.earn(acme, 1_00)
    look(MARCH)

    for moment, month, before in said:
        assert looked(finance, acme, month, Then(recorded=moment)) == before
        assert closing(before) == balance(finance, acme, Then(recorded=moment)) or month == JANUARY

    assert len({closing(each)[1] for _, _, each in said}) == 3
    assert {each.partner.locale for _, _, each in said} == {None, "de-AT"}
    assert {payout.state for _, _, each in said for payout in each.payouts} == {"confirmed"}
    with pytest.raises(InvalidField, match="is closed"):
        looked(finance, acme, JANUARY, Then(recorded=said[-1][0]))


def test_what_was_true_by_a_time_is_asked_of_all_that_is_known(finance):
    """The closing balance is the balance of then, and each line was true by then; of both times both hold."""
    world = finance.world
    world.now = day(10)
    acme = finance.partner("acme", linked=False)
    link(finance, acme)
    sale = finance.earn(acme, 20_00)
    world.now = day(32)
    close(finance, JANUARY)
    world.now = day(35)
    finance.earn(acme, 15_00)
    world.now = day(40)
    finance.approved()
    finance.pay()
    world.now = day(50)
    world.send(
        world.refund(sale, "late", 50_00, day(12)), world.sale("early", f"customer-{sale}", 5_00, day(34))
    )
    finance.settle()

    for effective in (day(31), day(34), day(35), day(39), day(40), day(55)):
        for recorded in (None, day(45), day(50)):
            then = Then(effective, recorded)
            found = looked(finance, acme, FEBRUARY, then)
            assert closing(found) == balance(finance, acme, then)
            assert all(line.effective_at <= effective for line in found.lines)
            assert bool(found.payouts) == (effective >= day(40))

    late = looked(finance, acme, FEBRUARY, Then(day(31)))
    assert [line.belongs_to for line in late.lines] == [JANUARY]
    assert looked(finance, acme, FEBRUARY, Then(day(31), day(45))).lines == ()
    with pytest.raises(InvalidField, match="begins at") as refused:
        looked(finance, acme, FEBRUARY, Then(day(30)))
    assert refused.value.pointer == "/effective_as_of"


def test_statements_that_are_not_all_issued_yet_open_no_other_month(finance):
    """A month that was closed then counts from its closing on."""
    world = finance.world
    world.now = day(10)
    acme = finance.partner("acme", linked=False)
    finance.earn(acme, 20_00)
    world.now = day(40)
    close(finance, JANUARY)

    found = looked(finance, acme, FEBRUARY, Then(recorded=day(40)))

    assert found.opening.available_minor == 20_00
    with finance.ledger.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(statements)).scalar() == 1


@pytest.mark.parametrize("stated", [False, True])
def test_a_month_opens_with_what_closed_months_moved_before_their_statements_are_there(finance, stated):
    """A closing is there first, and a crash may keep it alone: no balance is told without its month."""
    world = finance.world
    world.now = day(10)
    acme = finance.partner("acme", linked=False)
    finance.earn(acme, 20_00)
    world.now = day(35)
    finance.earn(acme, 5_00)
    world.now = day(65)
    finance.earn(acme, 1_00)
    world.now = day(95)
    if stated:
        close(finance, JANUARY)
    for month in (JANUARY, FEBRUARY):
        wish = ClosePeriod(program_id=world.program_id, period=month)
        close_period(finance.ledger, wish, by="key:finance", wait_s=0)

    found, later = looked(finance, acme, MARCH), looked(finance, acme, "2024-04")

    assert (found.opening.available_minor, closing(found)) == (25_00, balance(finance, acme, NOW))
    assert [line.moved.available_minor for line in found.lines] == [0, 1_00]
    assert closing(later) == closing(found)
    with finance.ledger.database.read() as connection:
        issued = sa.select(sa.func.count()).select_from(statements)
        assert connection.execute(issued).scalar() == stated
    close(finance, JANUARY)
    assert looked(finance, acme, MARCH) == found
