"""Queries: details with what belongs to them, pages without gap or repeat, balances as they were."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from ledger import ids
from projections import queries, tables
from projections.queries import paging
from projections.queries.paging import InvalidCursor
from tests.projections.world import BEGIN, PROGRAM, conversion, day, partner, reward


@pytest.fixture
def ask(ledger, runner):
    """Asks a query of caught-up views."""

    def asked(query, *arguments, **named):
        runner.catch_up()
        with ledger.database.read() as connection:
            return query(connection, *arguments, **named)

    return asked


def pages(ask, query, **named):
    """The rows of all pages, walked by their cursors."""
    found, cursor = [], None
    while True:
        page = ask(query, after=cursor, **named)
        assert len(page.rows) <= named["limit"]
        found.extend(page.rows)
        if page.next is None:
            return found
        assert all(isinstance(value, str | int) for value in page.next)
        cursor = page.next


def test_a_conversion_comes_with_its_facts_and_rewards(world, ask):
    """What it was, what was told about it, what it earned and how much of that is kept."""
    world.sale(1, product="pro")
    world.accrue(1, 2_000)
    world.refund(1, 2_500)
    world.reverse_held(1, 500)
    found = ask(queries.conversion, conversion(1))

    assert found["status"] == "partly_refunded"
    assert (found["amount_minor"], found["refunded_minor"], found["product"]) == (10_000, 2_500, "pro")
    assert found["customer_id"] == ids.customer_id(PROGRAM, "customer-1")
    assert [(fact["kind"], fact["reference"], fact["amount_minor"]) for fact in found["facts"]] == [
        ("refund", "r1", 2_500)
    ]
    assert [(r["reward_id"], r["kept_minor"], r["caps"]) for r in found["rewards"]] == [
        (reward(1), 1_500, [])
    ]
    assert found["not_rewarded"] is None
    assert ask(queries.conversion, conversion(2)) is None


def test_a_reward_comes_with_its_legs(world, ask):
    """Every leg that the reward caused, in the order of the log."""
    world.accrue(1, 2_000)
    world.reverse_held(1, 500)
    world.mature(1, 1_500)
    found = ask(queries.reward, reward(1))

    assert (found["stage"], found["matured_at"], found["kept_minor"]) == ("matured", day(31), 1_500)
    assert [leg["amount_minor"] for leg in found["legs"]] == [2_000, -2_000, 500, -500, 1_500, -1_500]


@pytest.mark.parametrize("limit", [1, 3, 7, 1_000])
def test_pages_join_without_gap_or_repeat(world, ask, limit):
    """Also where many rows share a time: the id decides."""
    for number in range(1, 12):
        world.sale(number, effective_at=day(number // 4))
        world.accrue(number, 100, of=number % 2)
    found = pages(ask, queries.list_conversions, program_id=PROGRAM, limit=limit)
    assert [(row["effective_at"], row["conversion_id"]) for row in found] == sorted(
        ((day(number // 4), conversion(number)) for number in range(1, 12)), reverse=True
    )

    legs = pages(ask, queries.list_journal, limit=limit)
    assert [(leg["position"], leg["leg"]) for leg in legs] == [
        (2 * number, leg) for number in range(1, 12) for leg in (1, 2)
    ]
    mine = pages(ask, queries.list_rewards, partner_id=partner(1), limit=limit)
    assert [row["reward_id"] for row in mine] == [reward(number) for number in (11, 9, 7, 5, 3, 1)]
    both = pages(ask, queries.list_balances, program_id=PROGRAM, limit=limit)
    assert [row["partner_id"] for row in both] == sorted([partner(0), partner(1)])


def test_filters_leave_the_rest_out(world, ask):
    """By partner, customer, kind, status and time of effect: from the first on, before the last."""
    for number in range(1, 5):
        world.sale(number)
        world.accrue(number, 100, of=number % 2)
    world.refund(2, 10_000)
    world.sale(5, kind="renewal")

    def numbers(**filters):
        found = ask(queries.list_conversions, **filters).rows
        return sorted(int(row["external_id"].removeprefix("invoice-")) for row in found)

    assert numbers(partner_id=partner(1)) == [1, 3]
    assert numbers(customer="customer-4") == [4]
    assert numbers(kind="renewal") == [5]
    assert numbers(status="refunded") == [2]
    assert numbers(effective_from=day(2), effective_to=day(4)) == [2, 3]
    assert numbers(program_id=partner(1)) == []
    assert [row["reward_id"] for row in ask(queries.list_rewards, stage="matured").rows] == []


@pytest.mark.parametrize("cursor", [[], ["x"], ["x", "y"], [1, 2], ["2024-01-01T00:00:00", str(PROGRAM)]])
def test_a_strange_cursor_is_refused(ask, cursor):
    """Whatever a caller makes up is no error of ours."""
    with pytest.raises(InvalidCursor):
        ask(queries.list_conversions, after=cursor)


def test_balances_as_of_now_are_the_balances(world, ask):
    """And earlier they are what was true, or known, then."""
    world.accrue(1, 2_000)
    world.accrue(2, 500, of=2)
    world.mature(1, 2_000)
    now = ask(queries.balances, PROGRAM)
    assert ask(queries.balances_as_of, PROGRAM) == now
    assert ask(queries.balances_as_of, PROGRAM, recorded_as_of=BEGIN + timedelta(days=1)) == now
    assert [b.pending_minor for b in ask(queries.balances_as_of, PROGRAM, partner(2))] == [500]

    first = ask(queries.balances_as_of, PROGRAM, recorded_as_of=BEGIN + timedelta(seconds=1))
    assert [(b.partner_id, b.pending_minor, b.position) for b in first] == [(partner(1), 2_000, 1)]
    early = {b.partner_id: b for b in ask(queries.balances_as_of, PROGRAM, effective_as_of=day(2))}
    assert early[partner(1)].pending_minor == 2_000
    assert early[partner(2)].earned_minor == 500
    assert ask(queries.balances_as_of, PROGRAM, effective_as_of=day(0)) == []


def test_one_balance_is_zero_where_nothing_happened(world, ask):
    """A partner without rewards is owed nothing; that is an answer."""
    world.accrue(1, 2_000)

    assert ask(queries.balance_of, PROGRAM, partner(1), "GBP").pending_minor == 2_000
    assert ask(queries.balance_of, PROGRAM, partner(2), "GBP") == queries.Balance(
        PROGRAM, partner(2), "GBP", 0, 0, 0, 0, 0, 0, 0, 0
    )


def test_the_books_hold_until_somebody_touches_them(world, ledger, ask):
    """Each violation names its place and by how much."""
    for number in range(1, 6):
        world.accrue(number, 1_000, of=number)
    assert ask(queries.zero_sum) == []

    with ledger.database.write() as connection:
        connection.execute(
            tables.balances.update().where(tables.balances.c.partner_id == partner(3)).values(paid_minor=7)
        )
        if ledger.database.is_postgresql:
            connection.execute(sa.text("ALTER TABLE journal DISABLE TRIGGER ALL"))
        else:
            connection.execute(sa.text("DROP TRIGGER journal_no_update"))
        leg = (tables.journal.c.position == 2) & (tables.journal.c.leg == 1)
        connection.execute(tables.journal.update().where(leg).values(amount_minor=1_001))
    violations = ask(queries.zero_sum)

    assert [(v.rule, v.place, v.detail) for v in violations[:2]] == [
        ("the journal sums to zero", "currency GBP", "it sums to 1"),
        ("each entry sums to zero", "position 2", "its legs sum to 1 GBP"),
    ]
    assert [v.detail for v in violations[2:]] == ["paid_minor is 7, the journal says 0"]
    assert f"partner {partner(3)}" in violations[2].place


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        (queries.list_journal, {"effective_as_of": day(2)}),
        (queries.list_journal, {"account": "commission_accrued", "effective_to": day(3)}),
        (queries.list_rewards, {"recorded_as_of": BEGIN + timedelta(seconds=3)}),
    ],
)
def test_a_page_looks_at_a_bounded_number_of_rows(world, ask, monkeypatch, query, asked):
    """Where no index answers, pages are short or empty; following them misses nothing."""
    for number in range(1, 31):
        world.accrue(number, number, of=number % 2)
    whole = ask(query, limit=1_000, **asked).rows
    monkeypatch.setattr(paging, "LOOKED_AT_MAX", 4)

    first = ask(query, limit=3, **asked)

    assert 0 < len(whole) <= 4
    assert len(first.rows) <= 3
    assert first.next is not None
    assert pages(ask, query, limit=3, **asked) == whole
