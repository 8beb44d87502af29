"""The quick folds give the rows that the views' own give, whatever the facts look like: anew and live."""

from datetime import datetime, timedelta, timezone

import pytest

from ledger import ids
from ledger.events.account import MaturedRewardReversed
from ledger.events.conversion import ConversionCanceled, DisputeLost, DisputeOpened
from ledger.events.reward import CapApplied, ConversionNotRewarded, RewardAccrued
from ledger.store.application import Ledger
from ledger.store.database import Database
from projections import tables
from projections.folios import ENTRIES
from projections.rebuild import rebuild
from projections.runner import Runner
from tests.projections.conftest import Clock
from tests.projections.world import PROGRAM, World, conversion, day, partner, reward
from tests.support.databases import sqlite_copy

SOMEWHERE = timezone(timedelta(hours=5, minutes=30))


def about(number):
    return {
        "program_id": PROGRAM,
        "source": "shop",
        "external_id": f"invoice-{number}",
        "effective_at": day(number + 2),
    }


def not_rewarded(world, number, detail="Nobody referred the customer."):
    why = ConversionNotRewarded(
        conversion_id=conversion(number),
        program_id=PROGRAM,
        customer_id=ids.customer_id(PROGRAM, f"customer-{number}"),
        reason="no_referral",
        detail=detail,
        effective_at=day(number),
        cause_position=1,
    )
    world.add(ids.rewards_id(conversion(number)), why)


def accrue_with_everything(world, number):
    """A reward whose every field is set, its time told in another zone."""
    fact = RewardAccrued(
        reward_id=reward(number),
        account_id=ids.account_id(PROGRAM, partner(1), "GBP"),
        conversion_id=conversion(number),
        program_id=PROGRAM,
        partner_id=partner(1),
        customer_id=ids.customer_id(PROGRAM, f"customer-{number}"),
        amount_minor=2_000,
        currency="GBP",
        basis_minor=10_000,
        gross_minor=5_000,
        share_bps=5_000,
        terms_version=3,
        rule=1,
        effective_at=datetime(2024, 1, 2, 3, 4, 5, tzinfo=SOMEWHERE),
        matures_at=datetime(2024, 2, 2, 3, 4, 5, 6, tzinfo=SOMEWHERE),
        reason='Vingt %, «à peu près»; "quoted" \\ and\nbroken',
        cause_position=7,
        flat_minor=5_000,
        caps=(
            CapApplied(kind="per_customer", limit_minor=9, left_minor=1),
            CapApplied(kind="per_period", limit_minor=9, left_minor=2, period="2024-01"),
        ),
    )
    world.add(ids.rewards_id(conversion(number)), fact)


@pytest.fixture
def told(world, runner):
    """Facts in every order and form that a log can hold them in, in the views by their own folds."""
    tell(world)
    runner.catch_up()
    return world


def everything(ledger):
    """All rows of all views, as they read on either database."""
    with ledger.database.read() as connection:
        return {
            table.name: [
                row._asdict() for row in connection.execute(table.select().order_by(*table.primary_key))
            ]
            for table in tables.METADATA.tables.values()
        }


def tell(world):
    """Facts in every order and form that a log can hold them in."""
    world.sale(1, product="Æther \t\\N", kind="usage", effective_at=datetime(2024, 1, 2, 3, tzinfo=SOMEWHERE))
    world.sale(
        2, 0, kind="signup", effective_at=datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=SOMEWHERE)
    )
    world.refund(3, 4_000)  # before its sale
    world.sale(3)
    not_rewarded(world, 3)
    not_rewarded(world, 3, "Still nobody.")
    world.accrue(3, 2_000)
    not_rewarded(world, 4)
    accrue_with_everything(world, 5)
    world.reverse_held(5, 300)
    world.reverse_held(5, 200)
    for number in range(6, 12):
        world.sale(number)
        world.accrue(number, 1_500, of=number % 2)
    for number in range(6, 10):
        world.mature(number, 1_500, of=number % 2)
    back = MaturedRewardReversed(
        reward_id=reward(6),
        conversion_id=conversion(6),
        program_id=PROGRAM,
        partner_id=partner(0),
        payable_minor=400,
        clawback_minor=100,
        currency="GBP",
        reason="refund",
        effective_at=day(60),
        cause_position=1,
    )
    world.add(ids.account_id(PROGRAM, partner(0), "GBP"), back)
    world.add(conversion(7), DisputeOpened(**about(7), dispute_id="d"))
    world.add(conversion(7), DisputeLost(**about(7), dispute_id="d"))
    world.add(conversion(8), ConversionCanceled(**about(8)))
    world.reserve(conversion(9), 900, withheld=100)
    world.confirm(conversion(9), 900)
    world.credit_back(conversion(9), 300, withheld=33)
    for number in range(20, 60):  # enough for folios, some of them in the middle of a batch
        world.accrue(number, 100 + number, of=number % 3 % 2)


@pytest.fixture
def plain(migrated_sqlite, tmp_path):
    """What the views' own folds make of the same facts, in another database."""
    folder = tmp_path / "plain"
    folder.mkdir()
    ledger = Ledger(Database(sqlite_copy(migrated_sqlite, folder)), clock=Clock())
    tell(World(ledger))
    Runner(ledger, quick_events=1_000_000).catch_up()
    found = everything(ledger)
    ledger.close()
    return found


@pytest.mark.parametrize("batch_events", [1, 7, 50, 20_000])
@pytest.mark.parametrize("quick_events", [1, 7])
def test_the_live_views_hold_the_same_by_their_quick_folds(world, ledger, plain, batch_events, quick_events):
    """In batches of any size, also where quick ones and plain ones follow each other."""
    tell(world)
    Runner(ledger, batch_events=batch_events, quick_events=quick_events).catch_up()

    assert everything(ledger) == plain
    assert rebuild(ledger, [], batch_events=11).differences == ()


def test_a_quick_batch_goes_on_from_the_folios_that_plain_ones_left(world, ledger):
    """A folio may begin with legs of one and end with those of the other."""
    told = 0
    for number, quick_events in enumerate((1_000, 1, 1_000, 1, 1)):
        for _ in range(21 + number * 3):
            told += 1
            world.accrue(told, 100 + told)
        Runner(ledger, quick_events=quick_events).catch_up()

    assert len(everything(ledger)["folios"]) == told // ENTRIES
    assert rebuild(ledger, ["journal"]).differences == ()


@pytest.mark.parametrize("batch_events", [1, 2, 5, 20_000])
def test_every_form_of_a_fact_becomes_the_same_row(told, ledger, batch_events):
    """In one batch, where a later fact finds the row in memory, and in many, where it finds it written."""
    before = everything(ledger)
    assert len(before["folios"]) == 1
    assert len(before["rewards"]) == 48
    assert [row["detail"] for row in before["not_rewarded"]] == ["Nobody referred the customer."]

    for _ in range(2):
        assert (
            rebuild(ledger, ["conversions", "journal", "balances"], batch_events=batch_events).differences
            == ()
        )

    assert everything(ledger) == before


def test_rows_that_stand_in_another_place_are_the_same_rows(told, ledger, rows):
    """What counts is what a table holds, not in which order it came there."""
    first = rows(tables.rewards)[0]
    with ledger.database.write() as connection:
        connection.execute(tables.rewards.delete().where(tables.rewards.c.reward_id == first["reward_id"]))
        connection.execute(tables.rewards.insert().values(**first))

    assert rebuild(ledger, ["conversions"]).differences == ()


def test_a_view_that_was_projected_in_other_batches_is_the_same(told, ledger):
    """The live side too may have met the facts one by one."""
    told.accrue(12, 100)
    told.mature(12, 100)
    Runner(ledger, batch_events=1).catch_up()

    assert rebuild(ledger, []).differences == ()
