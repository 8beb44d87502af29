"""Folios: what they hold, that nobody changes them, and that reads touch few rows whatever the history."""

import random
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from ledger import ids
from ledger.engine.tables import to_us
from ledger.events.account import RewardMatured
from ledger.events.reward import RewardAccrued
from ledger.store.application import Change
from ledger.store.database import driver
from projections import bulk, folios, queries, tables
from projections.folios import Loose, Movement
from projections.queries import paging
from projections.queries.past import EDGE, taken
from projections.rebuild import RebuildDiffers, rebuild
from tests.projections.world import BEGIN, PROGRAM, conversion, day, partner
from tests.support.touched import Touched


def movements(count, seed=1):
    """Movements dated back at random, each of a penny more than the one before."""
    dice = random.Random(seed)
    return [
        Movement(
            BEGIN - timedelta(seconds=dice.randrange(count)),
            BEGIN + timedelta(seconds=number),
            number,
            [("commission_expense", number), ("commission_accrued", -number)],
        )
        for number in range(1, count + 1)
    ]


def of_level_0(told):
    """The folios that are full after these movements."""
    loose = Loose()
    return [folio for movement in told if (folio := loose.add(movement)) is not None]


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 255, 256, 4_095, 4_096, 70_000])
def test_a_number_of_movements_is_few_folios(count):
    """Each folio of level 0 is in exactly one that is taken; there are few of each level but the highest."""
    found = taken(count)
    covered = [
        first
        for level, number in found
        for first in range(number * folios.FANOUT**level, (number + 1) * folios.FANOUT**level)
    ]

    assert covered == list(range(count))
    assert len(found) <= 3 * (folios.FANOUT - 1) + count // folios.FANOUT**3


def test_a_sheet_opens_to_what_it_was_made_of():
    """And tells, by effective time, what the movements before it come to."""
    told = movements(folios.ENTRIES)
    [folio] = of_level_0(told)
    [(number, first, packed)] = folios.sheets(folio)
    sheet = folios.opened(packed)

    assert (number, first, list(sheet.numbers)) == (0, min(to_us(each.effective_at) for each in told), [0])
    for effective, position, pending in zip(sheet.effective, sheet.positions, sheet.numbers[0], strict=True):
        before = [each for each in told if to_us(each.effective_at) <= effective]
        assert position <= max(each.position for each in before)
        if effective != sheet.effective[sheet.effective.index(effective) - 1]:
            last = len(sheet.effective) - 1 - sheet.effective[::-1].index(effective)
            assert sheet.numbers[0][last] == sum(each.position for each in before)
        assert pending <= sum(each.position for each in before)


def test_folios_that_are_bound_are_those_movements_sorted():
    """In any number of parts, and parts of parts."""
    told = movements(16 * folios.ENTRIES)
    parts = [folio.totals for folio in of_level_0(told)]
    whole = folios.together(parts)
    in_order = sorted(told, key=lambda each: each.effective_at)

    assert list(whole.effective) == [to_us(each.effective_at) for each in in_order]
    assert list(whole.numbers[0]) == [
        sum(each.position for each in in_order[: place + 1]) for place in range(len(in_order))
    ]
    assert folios.together([folios.together(parts[:8]), folios.together(parts[8:])]) == whole


def test_what_a_slow_clock_recorded_late_is_found(world, runner, ledger, monkeypatch):
    """Recorded at 5, and in the log behind what was recorded at 12: at 6 it was known, the others not."""
    monkeypatch.setattr(folios, "ENTRIES", 2)
    for number, (at, amount) in enumerate(
        [(10, 1), (11, 2), (12, 4), (5, 8), (13, 16), (14, 32), (7, 64)], 1
    ):
        ledger.clock.now = BEGIN + timedelta(hours=at, seconds=-1)
        world.accrue(number, amount)
    runner.catch_up()

    def known(at):
        with ledger.database.read() as connection:
            found = queries.balances_as_of(connection, PROGRAM, recorded_as_of=BEGIN + timedelta(hours=at))
        return sum(balance.earned_minor for balance in found)

    assert [known(at) for at in (4, 5, 6, 7, 10, 11, 12, 13, 14)] == [0, 8, 8, 72, 73, 75, 79, 95, 127]


def test_folios_are_never_changed(world, runner, ledger, monkeypatch):
    """The database refuses; where it was made not to, a rebuild and the doctor's check name the place."""
    monkeypatch.setattr(folios, "ENTRIES", 2)
    for number in range(1, 9):
        world.accrue(number, number)
    runner.catch_up()
    for change in ("DELETE FROM folios", "UPDATE folios SET number = 7"):
        with pytest.raises(sa.exc.DBAPIError, match="never changed"), ledger.database.write() as connection:
            connection.execute(sa.text(change))

    with ledger.database.write() as connection:
        assert queries.zero_sum(connection) == []
        if ledger.database.is_postgresql:
            connection.execute(sa.text("ALTER TABLE folios DISABLE TRIGGER folios_no_change"))
        else:
            connection.execute(sa.text("DROP TRIGGER folios_no_update"))
        sheet = connection.execute(sa.select(tables.folios.c.entries).limit(1)).scalar_one()
        changed = tables.folios.update().where(tables.folios.c.number == 3)
        connection.execute(changed.values(entries=sheet))
    with ledger.database.read() as connection:
        [violation] = [each for each in queries.zero_sum(connection) if "pending" in each.detail]
    assert violation.rule == "folios equal the journal"
    with pytest.raises(RebuildDiffers, match=r"journal: folios .*number=3.*entries"):
        rebuild(ledger, ["journal"])


def test_large_folios_are_bound_one_account_after_the_other(world, runner, ledger, monkeypatch):
    """Two partners' accounts move alike and fill their folios of each level in the same batch. A large folio
    is more than a batch has: memory holds one, and not one of every partner."""
    monkeypatch.setattr(folios, "ENTRIES", 2)
    monkeypatch.setattr(folios, "FANOUT", 2)
    history(world, 0, 2 * 2 * 2 * 2)
    added = []
    plain = bulk.insert

    def counted(connection, table, name, rows):
        if table is tables.folios:
            added.append({(row[3], row[:3]) for row in rows})
        plain(connection, table, name, rows)

    monkeypatch.setattr(bulk, "insert", counted)
    runner.catch_up()
    rebuild(ledger, ["journal"])
    found = [each for each in added if each]

    levels = [{level for level, _ in each} for each in found]
    assert levels[: len(levels) // 2] == levels[len(levels) // 2 :]
    assert [min(each) for each in levels[: len(levels) // 2]] == [0, 1, 2, 3, 2, 3]
    assert [len(each) for each in found[: len(levels) // 2]] == [2, 2, 1, 1, 1, 1]


# Rows touched: as the database counts them


PAGE = 50


def history(world, begin, end):
    """Sales of two partners, each accrued and matured, told in the order of their days, one in ten late."""
    changes = []
    for number in range(begin, end):
        of = number % 2 + 1
        effective = BEGIN + timedelta(minutes=number if number % 10 else number // 2)
        account = ids.account_id(PROGRAM, partner(of), "GBP")
        reward_id = ids.reward_id(conversion(number), partner(of), 1)
        common: dict[str, Any] = {"program_id": PROGRAM, "partner_id": partner(of), "currency": "GBP"}
        common |= {"reward_id": reward_id, "conversion_id": conversion(number), "amount_minor": 100}
        accrued = RewardAccrued(
            account_id=account,
            customer_id=conversion(number),
            basis_minor=500,
            gross_minor=100,
            share_bps=10_000,
            terms_version=1,
            rule=0,
            effective_at=effective,
            matures_at=effective,
            reason="20%",
            cause_position=1,
            rate_bps=2_000,
            **common,
        )
        changes.append(Change(ids.rewards_id(conversion(number)), 0, [accrued]))
        matured = RewardMatured(effective_at=effective + timedelta(hours=1), **common)
        changes.append(Change(account, number // 2, [matured]))
    for start in range(0, len(changes), 40):
        world.ledger.append(changes[start : start + 40], by="engine")


def reads(sales):
    """What a partner's page asks, and finance; times in the middle of the history, and at its end."""
    one, recorded = {"partner_id": partner(1)}, BEGIN + timedelta(seconds=sales // 40)
    effective = BEGIN + timedelta(minutes=sales // 2)
    late = {"effective_as_of": effective, "recorded_as_of": recorded}

    def listed(fetch, **asked):
        return lambda connection: fetch(connection, limit=PAGE, **asked)

    def behind(fetch, **asked):
        def read(connection):
            first = fetch(connection, limit=PAGE, **asked)
            fetch(connection, limit=PAGE, after=first.next, **asked)

        return read

    past = queries.list_balances_as_of
    return {
        "balance": listed(queries.list_balances, **one),
        "as of both": listed(past, **one, **late),
        "as of effective": listed(past, **one, effective_as_of=effective),
        "as of recorded": listed(past, **one, recorded_as_of=recorded),
        "as of an early time": listed(past, **one, recorded_as_of=BEGIN + timedelta(seconds=5)),
        "as of the end": listed(past, **one, recorded_as_of=day(400)),
        "journal": listed(queries.list_journal, **one),
        "journal, next": behind(queries.list_journal, **one),
        "journal of a program and partner": listed(queries.list_journal, program_id=PROGRAM, **one),
        "journal as of": listed(queries.list_journal, **one, **late),
        "rewards": listed(queries.list_rewards, **one),
        "rewards, next": behind(queries.list_rewards, program_id=PROGRAM, **one),
        "rewards as of": listed(queries.list_rewards, **one, effective_as_of=effective),
        "rewards of a program": listed(queries.list_rewards, program_id=PROGRAM),
    }


ROWS_MAX = 400
"""Of a read on PostgreSQL: a page of the past looks at some rows more than it shows."""
ASKED = ("program", "partner", "currency", "effective", "recorded")
STEPS_MAX = 30_000
"""Of a read on SQLite."""


def test_reads_touch_few_rows_whatever_the_history(world, runner, ledger, monkeypatch):
    """A history ten times as long: no more rows (on SQLite: steps) than a few more folios are."""
    monkeypatch.setattr(paging, "LOOKED_AT_MAX", 200)
    counted = {}
    for begin, end in ((0, 600), (600, 6_000)):
        history(world, begin, end)
        runner.catch_up()
        with ledger.database.write() as connection:
            connection.execute(sa.text("ANALYZE"))
        with ledger.database.read() as connection:
            touched = Touched(connection)
            counted[end] = {name: touched.count(read) for name, read in reads(end).items()}
            if not ledger.database.is_postgresql:
                found = driver(connection).execute(
                    f"EXPLAIN QUERY PLAN {EDGE.sqlite}", dict.fromkeys(ASKED, "")
                )
                plan = " ".join(row[3] for row in found)
                assert "SEARCH later USING INDEX ix_folios_late_from" in plan
                assert "SCAN folios" not in plan
    few = ROWS_MAX if ledger.database.is_postgresql else STEPS_MAX

    assert {name: count for name, count in counted[6_000].items() if count > few} == {}
    assert {
        name: (counted[600][name], count)
        for name, count in counted[6_000].items()
        if count > counted[600][name] * 5 // 4 + few // 40
    } == {}
