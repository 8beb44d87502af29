"""Months of a program: closed in order, when they are over, where its time zone says."""

from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import period as rules
from ledger.events.period import PeriodTotal
from ledger.month import Month
from ledger.period import Books, ClosePeriod, Moved
from ledger.refusals import EarlierPeriodOpen, InvalidField, PeriodNotOver

PROGRAM = UUID(int=1)
NOW = datetime(2026, 6, 15, tzinfo=UTC)
MOVED = {("commission_expense", "GBP"): Moved(500, 3), ("commission_accrued", "GBP"): Moved(-500, 3)}


def closing(period, *, zone="UTC", state=rules.INITIAL, earliest=None, now=NOW, reason=None):
    """The facts by which a month is closed, the closing and its totals; None: it was."""
    command = ClosePeriod(program_id=PROGRAM, period=period, reason=reason)
    found = rules.to_close(command, state, time_zone=zone, earliest=earliest, now=now)
    if found is None:
        return None
    books = Books(through_position=100, later_after_position=90, moved=MOVED)
    return rules.close(command, state, found, books, salt="random", by="key:finance")


def closed(period, **given):
    """The fact that closes a month; None: it was."""
    facts = closing(period, **given)
    return None if facts is None else facts[0]


def after(*periods, zone="UTC"):
    """The periods after these months were closed."""
    state = rules.INITIAL
    for period in periods:
        for fact in closing(period, zone=zone, state=state):
            state = rules.evolve(state, fact)
    return state


def test_a_month_is_closed_with_its_totals_carried_on():
    """What an account held stands beside by how much it moved."""
    fact, frozen = closing("2026-02", state=after("2026-01"))

    assert (fact.begins_at, fact.ends_at) == (
        datetime(2026, 2, 1, tzinfo=UTC),
        datetime(2026, 3, 1, tzinfo=UTC),
    )
    assert (fact.through_position, fact.after_position, fact.later_after_position) == (100, 90, 90)
    assert (frozen.program_id, frozen.period) == (fact.program_id, fact.period)
    assert frozen.totals == (
        PeriodTotal(
            account="commission_accrued", currency="GBP", opening_minor=-500, moved_minor=-500, legs=3
        ),
        PeriodTotal(account="commission_expense", currency="GBP", opening_minor=500, moved_minor=500, legs=3),
    )


def test_what_only_finance_reads_is_in_a_fact_of_its_own():
    """The closing is shown to partners, who check their statements: no totals, no remark."""
    fact, frozen = closing("2026-01", reason="without acme's last sale")

    assert not {"totals", "reason", "salt"} & set(fact.__struct_fields__)
    assert (frozen.reason, frozen.salt) == ("without acme's last sale", "random")


def test_a_closed_month_is_closed_once():
    """And never opened: there is no wish for that."""
    assert closed("2026-01", state=after("2026-01", "2026-02")) is None


@pytest.mark.parametrize(
    ("period", "state", "earliest", "refusal", "says"),
    [
        ("2026-13", (), None, InvalidField, "such as 2026-10"),
        ("2026-1", (), None, InvalidField, "such as 2026-10"),
        ("1969-12", (), None, InvalidField, "such as 2026-10"),
        ("9001-01", (), None, InvalidField, "such as 2026-10"),
        ("9000-12", (), None, PeriodNotOver, "9000-12 ends at 9001-01-01"),
        ("2026-06", (), None, PeriodNotOver, "2026-06 ends at 2026-07-01T00:00:00"),
        ("2026-04", ("2026-01",), None, EarlierPeriodOpen, "2026-02 is open"),
        ("2026-04", (), datetime(2026, 2, 3, tzinfo=UTC), EarlierPeriodOpen, "2026-02 is open"),
        ("2025-12", ("2026-01",), None, InvalidField, "first closed month is 2026-01"),
    ],
)
def test_a_month_is_not_closed_before_its_turn(period, state, earliest, refusal, says):
    """Each refusal has its name and says what is the matter."""
    with pytest.raises(refusal, match=says):
        closed(period, state=after(*state), earliest=earliest)


def test_a_month_before_any_money_moved_can_be_closed():
    """The books may begin where finance says."""
    assert closed("2025-11", earliest=datetime(2026, 2, 3, tzinfo=UTC)).period == "2025-11"


def test_the_first_month_that_can_be_named_takes_what_was_before_it():
    """The first hours of 1970 are 1969's in New York: no month that can be closed would come before it."""
    earliest = datetime(1970, 1, 1, 0, 30, tzinfo=UTC)

    fact = closed("1970-01", zone="America/New_York", earliest=earliest)

    assert rules.is_of(rules.INITIAL, rules.span(rules.INITIAL, fact.period, fact.time_zone), earliest, 1)
    with pytest.raises(EarlierPeriodOpen, match="1970-01 is open"):
        closed("1970-02", zone="America/New_York", earliest=earliest)


def test_a_month_ends_where_the_clocks_of_the_time_zone_say():
    """Berlin is an hour ahead in January, two in summer."""
    fact = closed("2026-03", zone="Europe/Berlin")

    assert fact.begins_at == datetime(2026, 2, 28, 23, tzinfo=UTC)
    assert fact.ends_at == datetime(2026, 3, 31, 22, tzinfo=UTC)


def test_another_time_zone_leaves_no_gap():
    """The month begins where the last closed one ended."""
    fact = closed("2026-02", zone="America/New_York", state=after("2026-01"))

    assert fact.begins_at == datetime(2026, 2, 1, tzinfo=UTC)
    assert fact.ends_at == datetime(2026, 3, 1, 5, tzinfo=UTC)


@given(
    at=st.integers(0, 7_000_000_000).map(lambda second: datetime.fromtimestamp(second + 31_536_000, UTC)),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Asia/Kathmandu"]),
)
def test_a_moment_is_in_its_month(at, zone):
    """Months cut time without gap or overlap."""
    month = Month.of(at, zone)
    found = rules.span(rules.INITIAL, str(month), zone)

    assert found.begins_at <= at < found.ends_at
    assert month.following.begins_at(zone) == found.ends_at
    assert at.astimezone(ZoneInfo(zone)).month == month.number
    assert Month.of(found.ends_at - timedelta(microseconds=1), zone) == month
    assert Month.parse(str(month)) == month


DAYS = st.integers(-40, 130).map(lambda number: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number))


@given(log=st.lists(DAYS, max_size=40), looks=st.lists(st.integers(0, 40), min_size=3, max_size=3))
def test_each_leg_is_of_one_month_whenever_it_comes(log, looks):
    """Closings look up to any positions of the log, among legs of any time: none is in two months, none in
    none but what no closing has seen or what is later; and each stands behind where its month begins."""
    state, found_in = rules.INITIAL, dict.fromkeys(range(1, len(log) + 1), 0)
    for number, through in enumerate(sorted(looks), start=1):
        period = f"2026-{number:02}"
        span = rules.span(state, period, "UTC")
        seen = [(place, at) for place, at in enumerate(log, start=1) if place <= through]
        for place, at in seen:
            if rules.is_of(state, span, at, place):
                found_in[place] += 1
                assert place > state.after_position
        later = [p for p, at in seen if p > state.after_position and at >= span.ends_at]
        books = Books(through, min(later, default=through + 1) - 1, MOVED)
        wish = ClosePeriod(program_id=PROGRAM, period=period)
        for fact in rules.close(wish, state, span, books, salt="random", by="cli"):
            state = rules.evolve(state, fact)

    assert state.last is not None
    for place, at in enumerate(log, start=1):
        is_open = place > state.through_position or at >= state.last.ends_at
        assert found_in[place] == (0 if is_open else 1)
