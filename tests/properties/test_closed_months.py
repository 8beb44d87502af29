"""Closed months in finance's reports, over facts told late and dated back: they are what was closed."""

from collections import Counter
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from ledger import ids
from ledger import period as rules
from ledger.events.period import PeriodClosed, PeriodTotalsFrozen
from ledger.month import Month, months
from ledger.period import ClosePeriod
from ledger.store.application import Ledger
from projections import position, queries, tables
from projections.months import Zones
from projections.reports.calendars import JOURNAL, calendars_of, of_zones
from projections.reports.roll_forward import BALANCES, MOVEMENTS, roll_forward
from projections.reports.scope import ACCOUNTS, Row, Scope
from projections.reports.voucher import parse, voucher
from projections.runner import Runner
from projections.statement import Amounts
from projections.statements.closing import PERIODS, books_of, legs_of
from projections.statements.deriving import moved, total
from tests.properties.test_as_of import HOURS, NAMES, Story, ledger, told
from tests.properties.test_reports import EFFECTS, STORIES

__all__ = ["ledger"]
ZONE_NAMES = ("UTC", "Pacific/Auckland", "America/New_York")
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(NAMES),
            st.sampled_from([1, 1, 1, 2]),
            st.integers(1, 10_000),
            HOURS,
            st.integers(-2, 5),
        ),
        st.sampled_from(ZONE_NAMES),  # the next month is closed, in this time zone
    ),
    min_size=20,
    max_size=60,
)
STRETCH = 24
"""Two and a half days of a story become two months."""
CLOSED_MAX = 8
FIRST, LAST = Month(2023, 7), Month(2024, 12)
MAPPING = parse("[accounts]\n" + "".join(f'{name} = "{name}"\n' for name in ACCOUNTS))


class Closed(NamedTuple):
    """A closing, and what the reports said of its month right after it."""

    fact: PeriodClosed
    frozen: PeriodTotalsFrozen
    rolled: list[Row]
    voucher: list[Row]


def totals(fact: PeriodTotalsFrozen) -> dict[tuple[str, str], tuple[int, int]]:
    """What each account and currency held when a closed month began, and by how much it moved."""
    return {(each.account, each.currency): (each.opening_minor, each.moved_minor) for each in fact.totals}


def reports(ledger: Ledger, program: UUID, first: Month, last: Month) -> tuple[list[Row], list[Row]]:
    """Roll-forward and vouchers of some months."""
    scope = Scope(program_id=program)
    with ledger.database.read() as connection:
        calendars = calendars_of(ledger, connection, scope)
        rolled = list(roll_forward(connection, scope, first, last, calendars))
        return rolled, list(voucher(connection, scope, first, last, calendars, MAPPING))


def close_next(ledger: Ledger, story: Story, zone: str) -> Closed | None:
    """Close the next month, the first one being that of the oldest fact. None: there is no fact yet."""
    Runner(ledger).catch_up()
    stream = ids.periods_id(story.program)
    state = ledger.load(stream, PERIODS).state
    c = tables.journal.c
    with ledger.database.read() as connection:
        oldest = connection.execute(
            sa.select(sa.func.min(c.effective_at)).where(c.program_id == story.program)
        ).scalar()
        if oldest is None:
            return None
        last = state.last
        period = str(Month.of(oldest, zone)) if last is None else rules.following(last.period)
        span = rules.span(state, period, zone)
        reached = position.read(connection, [JOURNAL])[JOURNAL]
        books = books_of(ledger, connection, story.program, state, span, reached)
    wish = ClosePeriod(program_id=story.program, period=period)
    fact, frozen = rules.close(wish, state, span, books, salt="salt", by="key:finance")
    story.world.add(stream, fact, frozen)
    month = Month.parse(period)
    return Closed(fact, frozen, *reports(ledger, story.program, month, month))


def lived(ledger: Ledger, steps: list[Any]) -> tuple[Story, list[Closed]]:
    """A story in which months were closed."""
    story = Story(ledger)
    closed: list[Closed] = []
    for step in steps:
        if step not in ZONE_NAMES:
            name, of, amount, back, later = step
            story.tell(name, of, amount, back * STRETCH, later * STRETCH)
        elif len(closed) < CLOSED_MAX and (done := close_next(ledger, story, step)) is not None:
            closed.append(done)
    Runner(ledger).catch_up()
    return story, closed


def minor(text: str) -> int:
    """An amount of pounds in pence."""
    return int(text.replace(".", "") or 0)


def test_a_closed_month_is_what_was_closed_for_ever(ledger: Ledger) -> None:
    """Roll-forward and voucher: the closing's totals, and the same rows whatever is told later."""

    @STORIES
    @given(steps=STEPS)
    def holds(steps: list[Any]) -> None:
        story, closed = lived(ledger, steps)
        for was in closed:
            month = Month.parse(was.fact.period)
            rolled, booked = reports(ledger, story.program, month, month)
            assert (rolled, booked) == (was.rolled, was.voucher)
            frozen = totals(was.frozen)
            of_voucher = {
                (row["account"], row["currency"]): minor(row["debit"]) - minor(row["credit"])
                for row in booked
            }
            assert of_voucher == {key: amount for key, (_, amount) in frozen.items() if amount}
            for balance, signs in BALANCES.items():
                rows = [row for row in rolled if row["balance"] == balance]
                opening = sum(sign * frozen.get((name, "GBP"), (0, 0))[0] for name, sign in signs.items())
                change = sum(sign * frozen.get((name, "GBP"), (0, 0))[1] for name, sign in signs.items())
                assert sum(row["opening_minor"] for row in rows) == opening
                assert sum(row["closing_minor"] for row in rows) == opening + change

    holds()


def month_in_the_books(at: datetime, place: int, closed: list[PeriodClosed]) -> Month:
    """The rule of the decision, told once more: the first closing that saw it, or the later open month."""
    for fact in closed:
        if at < fact.ends_at and place <= fact.through_position:
            return Month.parse(fact.period)
    # The story's program has no calendar: what is not closed is of UTC's months.
    own = Month.of(at, "UTC")
    return max(own, Month.parse(closed[-1].period).following) if closed else own


def test_every_fact_stands_in_its_month_of_the_books_and_months_chain(ledger: Ledger) -> None:
    """Closed and open ones, by kind; the last closing is the balance; `effective` is as if none was."""

    @STORIES
    @given(steps=STEPS)
    def holds(steps: list[Any]) -> None:
        story, closed = lived(ledger, steps)
        scope = Scope(program_id=story.program)
        rolled, _ = reports(ledger, story.program, FIRST, LAST)
        wanted: Counter[Any] = Counter()
        for name, fact, _, place in told(ledger, story.program):
            if name in EFFECTS:
                at = datetime.fromisoformat(fact["effective_at"])
                month = month_in_the_books(at, place, [each.fact for each in closed])
                for column, amount in EFFECTS[name](fact).items():
                    wanted[fact["partner_id"], str(month), *column] += amount

        assert {
            (str(row["partner_id"]), row["period"], row["balance"], movement): row[f"{movement}_minor"]
            for row in rolled
            for movement in MOVEMENTS
            if row[f"{movement}_minor"] and row["balance"] != "owed"
        } == {key: amount for key, amount in wanted.items() if amount}
        held: dict[Any, int] = {}
        for row in rolled:
            balanced = (row["partner_id"], row["balance"])
            assert row["opening_minor"] == held.get(balanced, 0)
            held[balanced] = row["closing_minor"]
        with ledger.database.read() as connection:
            for balance in queries.balances(connection, story.program):
                assert balance.pending_minor == held.get((balance.partner_id, "accrued"), 0)
                assert balance.available_minor == held.get((balance.partner_id, "payable"), 0)
            by_time = calendars_of(ledger, connection, scope, "effective")
            plain, at_all = (
                list(roll_forward(connection, scope, FIRST, LAST, each))
                for each in (by_time, of_zones(Zones({})))
            )
        assert plain == at_all

    holds()


def stated(connection: sa.Connection, story: Story, closed: list[PeriodClosed], number: int) -> Amounts:
    """What the statements of a closed month move together, by the legs that they have."""
    fact, c = closed[number], tables.journal.c
    before = closed[number - 1].through_position if number else 0
    query = sa.select(c.account, c.amount_minor).where(
        c.program_id == story.program,
        c.position > fact.after_position,
        c.position <= fact.through_position,
        *legs_of(c, before, fact.begins_at, fact.ends_at),
    )
    return moved(connection.execute(query).all())


def test_the_statements_of_a_month_are_together_its_roll_forward(ledger: Ledger) -> None:
    """Each column of a statement is a balance of the roll-forward, over all partners."""

    @STORIES
    @given(steps=STEPS)
    def holds(steps: list[Any]) -> None:
        story, closed = lived(ledger, steps)
        facts, opening = [each.fact for each in closed], Amounts()
        words = {"accrued": "pending", "payable": "available", "in_transit": "in_transit"}
        words |= {"clawback": "clawback", "withheld": "withheld"}
        for number, fact in enumerate(facts):
            month = Month.parse(fact.period)
            rolled, _ = reports(ledger, story.program, month, month)
            with ledger.database.read() as connection:
                closing = total([opening, stated(connection, story, facts, number)])
            for balance, word in words.items():
                rows = [row for row in rolled if row["balance"] == balance]
                assert sum(row["opening_minor"] for row in rows) == getattr(opening, f"{word}_minor")
                assert sum(row["closing_minor"] for row in rows) == getattr(closing, f"{word}_minor")
            opening = closing

    holds()


def test_months_of_a_report_are_counted_from_any_month_on(ledger: Ledger) -> None:
    """A report that begins in the middle has the rows that the whole one has of its months."""

    @STORIES
    @given(steps=STEPS, first=st.sampled_from(months(FIRST, LAST)), length=st.integers(0, 5))
    def holds(steps: list[Any], first: Month, length: int) -> None:
        story, _ = lived(ledger, steps)
        span = months(first, LAST)[: length + 1]
        whole, every = reports(ledger, story.program, FIRST, LAST)
        rolled, booked = reports(ledger, story.program, span[0], span[-1])

        assert rolled == [row for row in whole if Month.parse(row["period"]) in span]
        assert booked == [row for row in every if Month.parse(row["date"][:7]) in span]

    holds()
