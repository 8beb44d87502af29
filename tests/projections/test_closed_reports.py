"""Roll-forward and voucher of months that were closed: what their statements say, and the same for ever."""

from collections import Counter

import pytest

from ledger.month import Month
from payouts.outcomes import Confirmed
from projections.rebuild import rebuild
from projections.reports.calendars import calendars_of
from projections.reports.roll_forward import roll_forward
from projections.reports.scope import Scope
from projections.reports.voucher import parse, voucher
from projections.statement import Amounts
from projections.statements.deriving import total
from tests.support.closing import FEBRUARY, JANUARY, close, lived, stated
from tests.support.finance import Finance, Script, day

MAPPING = parse('default = "1000"')
COLUMNS = {"accrued": "pending", "payable": "available", "in_transit": "in_transit"}
COLUMNS |= {"clawback": "clawback", "withheld": "withheld"}


@pytest.fixture
def finance(database_url):
    """A program whose partners are paid."""
    finance = Finance(database_url, Script(Confirmed("tr_1")))  # type: ignore[arg-type]
    yield finance
    finance.close()


def rolled(finance, first=JANUARY, last=FEBRUARY, *, basis="books", **scope):
    """The roll-forward of some months."""
    asked = Scope(**scope)
    with finance.ledger.database.read() as connection:
        calendars = calendars_of(finance.ledger, connection, asked, basis)
        return list(roll_forward(connection, asked, Month.parse(first), Month.parse(last), calendars))


def booked(finance, month):
    """The voucher of a month."""
    with finance.ledger.database.read() as connection:
        calendars = calendars_of(finance.ledger, connection, Scope())
        return list(voucher(connection, Scope(), Month.parse(month), Month.parse(month), calendars, MAPPING))


def owed_back(rows):
    """By month, what was clawed back."""
    return {row["period"]: row["clawed_back_minor"] for row in rows if row["balance"] == "clawback"}


def test_a_late_refund_is_of_the_open_month_unless_it_is_asked_by_effective_date(finance):
    """January was closed without it: February has it; by its date it is January's."""
    lived(finance)

    assert owed_back(rolled(finance)) == {FEBRUARY: 20_00}
    assert owed_back(rolled(finance, basis="effective")) == {JANUARY: 20_00, FEBRUARY: 0}


def test_the_sum_of_all_statements_is_the_roll_forward(finance):
    """Of each month and balance, over all partners: what opened it and what it closed with."""
    lived(finance)

    found = Counter(
        {
            (row["period"], row["partner_id"], COLUMNS[row["balance"]]): row["closing_minor"]
            for row in rolled(finance)
            if row["balance"] in COLUMNS and row["closing_minor"]
        }
    )
    told = {
        (each.period.period, each.partner.partner_id, column): amount
        for each in stated(finance)
        for column in COLUMNS.values()
        if (amount := getattr(each.closing, f"{column}_minor"))
    }
    moved = total(
        Amounts(clawback_minor=each.closing.clawback_minor - each.opening.clawback_minor)
        for each in stated(finance)
    )

    assert found == told
    assert moved.clawback_minor == sum(owed_back(rolled(finance)).values())


def test_a_closed_month_stays_after_late_facts_later_closings_and_a_rebuild(finance):
    """Row by row, and the voucher line by line; what is late is in March."""
    lived(finance)
    before = rolled(finance), booked(finance, JANUARY), booked(finance, FEBRUARY)
    finance.world.now = day(75)
    late = finance.partner("late", linked=False)
    finance.earn(late, 50_00)
    finance.world.touch("another", late, day(-1))
    finance.world.send(finance.world.sale("very-late", "another", 10_00, day(5)))
    finance.settle()
    finance.world.now = day(95)
    close(finance, "2024-03")
    assert rebuild(finance.ledger, []).differences == ()

    assert (rolled(finance), booked(finance, JANUARY), booked(finance, FEBRUARY)) == before
    # 50.00 of March, and 2.00 of the sale of January that was told in March.
    march = rolled(finance, "2024-03", "2024-03")
    assert sum(row["accrued_minor"] for row in march if row["balance"] == "owed") == 52_00


def test_a_report_as_it_was_known_says_the_same_of_a_closed_month(finance):
    """On the fortieth day nothing was late yet; today's report says the same of January."""
    lived(finance)

    then = rolled(finance, recorded_as_of=day(40))

    assert owed_back(then) == {}
    assert [row for row in then if row["period"] == JANUARY] == rolled(finance, last=JANUARY)
