"""The real data month by month: 40 partners' statements are what plain SQL over the CSV files says.

Each month is sent when it is over, and closed; our code takes no part in what is expected.
"""

import csv
import sqlite3
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa

from ledger.commands import CreateProgram
from ledger.month import Month
from ledger.period import ClosePeriod, following
from projections import tables
from projections.rebuild import rebuild
from projections.runner import Runner
from projections.statements.closing import close_period
from projections.statements.deriving import content_sha256
from projections.statements.issuing import issue, restate
from tests.support.world import World, terms

DATA = Path(__file__).resolve().parents[1] / "data" / "online_retail"
FIRST, LAST = "2010-12", "2011-12"
MONTHS, PARTNERS = 13, 40

# What each partner had earned by a moment: 20% of what was left of each invoice then, rounded half up once.
EARNED = """
SELECT partner, sum((2 * (invoices.amount_minor - coalesce(refunded, 0)) + 5) / 10)
FROM invoices
JOIN referrals ON referrals.customer = invoices.customer
LEFT JOIN (
    SELECT invoice_id, sum(amount_minor) AS refunded FROM refunds
    WHERE occurred_at < :ends GROUP BY invoice_id
) AS given_back ON given_back.invoice_id = invoices.invoice_id
WHERE invoices.occurred_at < :ends
GROUP BY partner
"""


@pytest.fixture(scope="module")
def files():
    """The CSV files as tables of SQLite."""
    connection = sqlite3.connect(":memory:")
    for name in ("invoices", "refunds", "referrals"):
        with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        columns = ", ".join(f"{c} INTEGER" if c == "amount_minor" else f"{c} TEXT" for c in rows[0])
        connection.execute(f"CREATE TABLE {name} ({columns})")
        marks = ", ".join("?" * len(rows[0]))
        connection.executemany(f"INSERT INTO {name} VALUES ({marks})", [list(row.values()) for row in rows])
    yield connection
    connection.close()


def earned_by(files, ends):
    """By partner, in pence."""
    return dict(files.execute(EARNED, {"ends": text(ends)}).fetchall())


def text(moment):
    """A moment as the files write it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def months():
    """All months, in order."""
    found = [FIRST]
    while found[-1] != LAST:
        found.append(following(found[-1]))
    return found


def settle(world):
    """Let the engine and the views catch up."""
    while world.engine.step():
        pass
    Runner(world.ledger).catch_up()


def send(world, files, begins, ends):
    """A month's invoices and refunds."""
    between = (text(begins), text(ends))
    invoices = "SELECT invoice_id, customer, amount_minor, occurred_at FROM invoices"
    wishes = [
        world.sale(name, customer, amount, datetime.fromisoformat(at))
        for name, customer, amount, at in files.execute(
            f"{invoices} WHERE occurred_at >= ? AND occurred_at < ?", between
        )
    ]
    refunds = "SELECT invoice_id, refund_id, amount_minor, occurred_at FROM refunds"
    wishes += [
        world.refund(name, refund, amount, datetime.fromisoformat(at))
        for name, refund, amount, at in files.execute(
            f"{refunds} WHERE occurred_at >= ? AND occurred_at < ?", between
        )
    ]
    for start in range(0, len(wishes), 1_000):
        world.send(*wishes[start : start + 1_000])


def close(world, month):
    """Close a month and issue its statements."""
    wish = ClosePeriod(program_id=world.program_id, period=month)
    close_period(world.ledger, wish, by="key:finance", wait_s=0)
    issue(world.ledger, world.program_id, by="key:finance", pause=lambda _s: settle(world))
    settle(world)


@pytest.fixture
def closed(database_url, files):
    """All months sent and closed, each on the third day of the next one."""
    world = World(database_url)
    world.now = datetime(2010, 11, 30, tzinfo=UTC)
    create = CreateProgram(reference="retail", name="Retail", type="revenue_share", currency="GBP")
    world.program_id = world.desk.execute(create, by="test").id
    world.publish(terms(), effective_at=datetime(2010, 1, 1, tzinfo=UTC))
    partners: dict[str, UUID] = {}
    for customer, partner, at in files.execute(
        "SELECT customer, partner, registered_at FROM referrals ORDER BY 3"
    ):
        if partner not in partners:
            partners[partner] = world.partner(partner, agreed=datetime(2010, 1, 1, tzinfo=UTC))
        moment = datetime.fromisoformat(at)
        world.now = max(world.now, moment)
        world.touch(customer, partners[partner], moment)
    for month in months():
        begins, ends = Month.parse(month).begins_at("UTC"), Month.parse(following(month)).begins_at("UTC")
        world.now = max(world.now, ends) + timedelta(days=2)
        send(world, files, begins, ends)
        settle(world)
        close(world, month)
    yield world, {partner_id: name for name, partner_id in partners.items()}
    world.close()


def stated(world):
    """Every row with its statement as it is derived now."""
    with world.database.read() as connection:
        rows = connection.execute(sa.select(tables.statements).order_by(tables.statements.c.count)).all()
        return [(row, restate(world.ledger, connection, row)) for row in rows]


@pytest.mark.timeout(900)
def test_the_statements_of_all_months_are_what_the_files_say(closed, files):
    """To the penny: each month's closing, and the chain of them; then a late refund, and a rebuild."""
    world, names = closed
    found = stated(world)

    earned: dict[str, dict[str, int]] = defaultdict(dict)
    held: dict[object, object] = {}
    for _, statement in found:
        partner = statement.partner.partner_id
        assert statement.opening == held.get(partner, type(statement.opening)())
        held[partner] = statement.closing
        assert (
            statement.closing.pending_minor + statement.closing.available_minor
            == statement.closing.earned_minor
        )
        earned[statement.period.period][names[partner]] = statement.closing.earned_minor
    assert len(earned) == MONTHS
    for month in months():
        expected = earned_by(files, Month.parse(following(month)).begins_at("UTC"))
        assert earned[month] == {name: amount for name, amount in expected.items() if amount}
    assert len(earned[LAST]) == PARTNERS
    assert [row.count for row, _ in found] == list(range(1, len(found) + 1))
    late_refund_is_the_next_month_s(world, files, found)


def late_refund_is_the_next_month_s(world, files, before):
    """A refund of February 2011 that is told in January 2012."""
    name, amount = files.execute(
        "SELECT invoice_id, amount_minor FROM invoices WHERE customer IN (SELECT customer FROM referrals)"
        " AND occurred_at LIKE '2011-01%' AND invoice_id NOT IN (SELECT invoice_id FROM refunds) LIMIT 1"
    ).fetchone()
    world.now = datetime(2012, 1, 20, tzinfo=UTC)
    world.send(world.refund(name, "late", amount, datetime(2011, 2, 10, tzinfo=UTC)))
    settle(world)
    world.now = datetime(2012, 2, 3, tzinfo=UTC)
    close(world, "2012-01")
    assert rebuild(world.ledger, []).differences == ()

    after = stated(world)

    assert after[: len(before)] == before
    assert [content_sha256(statement) for _, statement in after] == [row.content_sha256 for row, _ in after]
    late = [line for _, statement in after[len(before) :] for line in statement.lines if line.belongs_to]
    assert [(line.external_id, line.belongs_to, line.reason) for line in late] == [
        (name, "2011-02", "refund")
    ]
    assert late[0].moved.available_minor == late[0].moved.earned_minor == -((2 * amount + 5) // 10)
