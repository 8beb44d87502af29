"""Statements on both databases: numbered without a gap, each once, the same bytes for ever."""

from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa

from ledger import ids
from ledger.commands import WriteOffClawback
from ledger.period import ClosePeriod
from ledger.refusals import InvalidField, JournalDiffers, NotFound, NothingToCorrect, ViewsBehind
from ledger.store.application import Ledger
from ledger.store.database import Database
from payouts.outcomes import Confirmed
from projections import tables
from projections.rebuild import rebuild
from projections.runner import Runner
from projections.statement import Amounts
from projections.statements import issuing
from projections.statements.closing import close_period
from projections.statements.deriving import content, content_sha256
from projections.statements.issuing import CorrectStatement, correct, issue, restate, statement_row
from projections.statements.preview import preview
from tests.proof.hand import Hand
from tests.support.closing import FEBRUARY, JANUARY, MARCH, close, lived, paid, rows, stated
from tests.support.databases import sqlite_copy
from tests.support.finance import Finance, Script, day


@pytest.fixture
def finance(database_url):
    """A program whose partners are paid."""
    finance = Finance(database_url, Script(Confirmed("tr_1")))  # type: ignore[arg-type]
    yield finance
    finance.close()


def test_statements_say_what_moved_and_late_facts_name_their_month(finance):
    """January is paid out; the refund of it stands in February, beside its month."""
    acme, bolt = lived(finance)

    first, *second = stated(finance)

    assert (first.partner.partner_id, first.period.period, first.version) == (acme, JANUARY, 1)
    assert [line.kind for line in first.lines] == [
        "reward_accrued",
        "reward_matured",
        "payout_reserved",
        "transfer_confirmed",
    ]
    assert first.opening == Amounts()
    assert first.closing == Amounts(paid_minor=20_00, earned_minor=20_00)
    (payout,) = first.payouts
    assert (payout.state, payout.reference, payout.net_minor) == ("confirmed", "tr_1", 20_00)
    of = {each.partner.partner_id: each for each in second}
    assert set(of) == {acme, bolt}
    (late,) = of[acme].lines
    assert (late.kind, late.belongs_to, late.reason) == ("matured_reward_reversed", JANUARY, "refund")
    assert late.source == "shop"
    assert of[acme].opening == first.closing
    assert of[acme].closing == Amounts(paid_minor=20_00, clawback_minor=20_00)
    assert of[bolt].closing == Amounts(available_minor=30_00, earned_minor=30_00)
    assert [line.belongs_to for line in of[bolt].lines] == [None, None]


def test_numbers_have_no_gap_and_nothing_is_issued_twice(finance):
    """The stream's version is the number."""
    lived(finance)

    again = issue(finance.ledger, finance.world.program_id, by="key:other", wait_s=0)

    assert again == issuing.Issued(0, is_complete=True)
    found = rows(finance)
    assert [row.number for row in found] == [f"{finance.name}-{count:06}" for count in (1, 2, 3)]
    with finance.ledger.database.read() as connection:
        counted = dict(
            connection.execute(sa.select(tables.periods.c.period, tables.periods.c.statements)).all()
        )
    assert counted == {JANUARY: 1, FEBRUARY: 2}


def test_what_was_issued_is_derived_the_same_after_late_facts_and_a_rebuild(finance):
    """Byte for byte: the hash that the fact froze."""
    lived(finance)
    before = [content(each) for each in stated(finance)]
    finance.world.now = day(75)
    finance.earn(finance.partner("late", linked=False), 50_00)
    finance.world.send(finance.world.sale("very-late", "nobody", 10_00, day(5)))
    finance.settle()
    assert rebuild(finance.ledger, []).differences == ()

    after = stated(finance)

    assert [content(each) for each in after] == before
    assert [content_sha256(each) for each in after] == [row.content_sha256 for row in rows(finance)]


def test_another_machine_derives_the_same_bytes(finance, migrated_sqlite, tmp_path):
    """From the log alone, on a database of its own."""
    lived(finance)
    with finance.ledger.database.read() as connection:
        log = finance.ledger.log.read_log(connection, after=0, limit=100_000)
    (tmp_path / "other").mkdir()
    other = Ledger(Database(sqlite_copy(migrated_sqlite, tmp_path / "other")))
    with other.database.write() as connection:
        for stream, version, topic, state, place in log:
            connection.exec_driver_sql(
                "INSERT INTO stored_events (originator_id, originator_version, topic, state, notification_id)"
                " VALUES (?, ?, ?, ?, ?)",
                (stream.hex, version, topic, state, place),
            )
    Runner(other).catch_up()

    with other.database.read() as connection:
        found = connection.execute(sa.select(tables.statements).order_by(tables.statements.c.count)).all()
        there = [content(restate(other, connection, row)) for row in found]
    other.close()

    assert there == [content(each) for each in stated(finance)]


def test_an_account_that_holds_something_has_a_statement_each_month(finance):
    """Without a line; one that holds nothing has none."""
    acme, bolt = lived(finance)
    finance.world.desk.execute(
        WriteOffClawback(
            program_id=finance.world.program_id,
            partner_id=acme,
            write_off_id=UUID(int=5),
            amount_minor=20_00,
            currency="GBP",
            reason="gone",
        ),
        by="test",
    )
    finance.settle()
    finance.world.now = day(130)
    close(finance, MARCH, "2024-04")

    found = [(each.partner.partner_id, each.period.period, len(each.lines)) for each in stated(finance)[3:]]

    assert sorted(found) == sorted([(acme, MARCH, 1), (bolt, MARCH, 0), (bolt, "2024-04", 0)])
    for before, after in zip(stated(finance), stated(finance)[1:], strict=False):
        if before.partner == after.partner:
            assert before.closing == after.opening


def test_issuing_goes_on_where_it_stopped(finance, monkeypatch):
    """After each batch: nothing is lost, nothing twice, though somebody else issues at the same time."""
    monkeypatch.setattr(issuing, "BATCH", 2)
    finance.world.now = day(10)
    for number in range(5):
        finance.earn(finance.partner(f"partner-{number}", linked=False), 10_00)
    finance.world.now = day(40)
    wish = ClosePeriod(program_id=finance.world.program_id, period=JANUARY)
    close_period(finance.ledger, wish, by="cli", wait_s=0)
    append = finance.ledger.append
    calls: list[int] = []

    def append_late(changes, **options):
        calls.append(len(calls))
        if len(calls) == 1:
            issue(finance.ledger, finance.world.program_id, by="other", seconds_max=0)
            monkeypatch.setattr(finance.ledger, "append", append)
            issue(finance.ledger, finance.world.program_id, by="other", pause=lambda _s: finance.settle())
        return append(changes, **options)

    monkeypatch.setattr(finance.ledger, "append", append_late)
    issue(finance.ledger, finance.world.program_id, by="key:first", pause=lambda _s: finance.settle())
    finance.settle()

    assert [row.count for row in rows(finance)] == [1, 2, 3, 4, 5]
    assert len({row.partner_id for row in rows(finance)}) == 5


def test_a_correction_is_a_new_version_that_says_what_differs(finance):
    """The payout was told of as confirmed; meanwhile it was paid."""
    acme, _ = lived(finance)
    first = rows(finance)[0]
    with pytest.raises(NothingToCorrect):
        correct(
            finance.ledger, CorrectStatement(statement_id=first.statement_id, reason="why not"), by="key:f"
        )
    paid(finance)

    made, said = correct(
        finance.ledger, CorrectStatement(statement_id=first.statement_id, reason="It was paid"), by="key:f"
    )
    finance.settle()

    with finance.ledger.database.read() as connection:
        row = statement_row(connection, made)
        statement = restate(finance.ledger, connection, row)
    assert (row.number, row.version, row.corrects) == (f"{finance.name}-000004", 2, first.statement_id)
    assert (statement.corrects, statement.reason) == (first.number, "It was paid")
    assert {each.pointer: (each.was, each.now) for each in statement.differs} == {
        "/payouts/0/state": ("confirmed", "paid"),
        "/payouts/0/paid_at": (None, "2024-01-13T00:00:00Z"),
    }
    assert statement.lines == stated(finance)[0].lines
    assert msgspec.structs.replace(statement, issued_at=said.issued_at) == msgspec.structs.replace(
        said, issued_by=None, issued_position=None, content_sha256=None
    )
    assert (said.issued_by, said.content_sha256, said.issued_position) == (
        "key:f",
        row.content_sha256,
        row.position,
    )
    assert content_sha256(statement) == row.content_sha256
    # The first version still says what it said, and the next month goes on.
    assert content_sha256(stated(finance)[0]) == first.content_sha256
    finance.world.now = day(100)
    close(finance, MARCH)
    assert [each.number[-2:] for each in stated(finance)] == ["01", "02", "03", "04", "05", "06"]
    assert acme in {each.partner.partner_id for each in stated(finance)[4:]}


@pytest.mark.parametrize("function", ["_place", "_newest_version"])
@pytest.mark.parametrize("is_before", [True, False])
def test_two_corrections_at_once_are_two_versions(finance, monkeypatch, function, is_before):
    """Wherever the other one comes in between: there are no two second versions."""
    lived(finance)
    paid(finance)
    first = rows(finance)[0].statement_id
    wish = CorrectStatement(statement_id=first, reason="paid")
    original = getattr(issuing, function)

    def meanwhile(*given):
        monkeypatch.setattr(issuing, function, original)
        found = None if is_before else original(*given)
        correct(finance.ledger, wish, by="key:other")
        finance.settle()
        return original(*given) if is_before else found

    monkeypatch.setattr(issuing, function, meanwhile)
    with pytest.raises(NothingToCorrect):
        correct(finance.ledger, wish, by="key:f")
    finance.settle()

    assert [row.version for row in rows(finance) if row.period == JANUARY] == [1, 2]


def test_a_correction_needs_a_statement_and_a_reason(finance):
    """Both are refused by name."""
    lived(finance)
    with pytest.raises(NotFound):
        correct(finance.ledger, CorrectStatement(statement_id=UUID(int=1), reason="x"), by="cli")
    with pytest.raises(InvalidField):
        correct(
            finance.ledger, CorrectStatement(statement_id=rows(finance)[0].statement_id, reason=" "), by="cli"
        )


def test_statements_wait_for_the_views(finance):
    """Of a month whose legs the views do not show any more, none is issued."""
    lived(finance)
    finance.world.now = day(100)
    close_period(
        finance.ledger, ClosePeriod(program_id=finance.world.program_id, period=MARCH), by="cli", wait_s=0
    )
    with finance.ledger.database.write() as connection:
        connection.execute(sa.text("UPDATE positions SET position = 1 WHERE name = 'view:conversions'"))

    with pytest.raises(ViewsBehind):
        issue(finance.ledger, finance.world.program_id, by="cli", wait_s=0)


def test_a_preview_says_what_the_statement_would(finance):
    """And then does: but for number, version and times of issue. A closed month has none."""
    acme, bolt = lived(finance)
    finance.world.now = day(75)
    finance.world.send(finance.world.sale("march", "customer-march", 10_00, day(61)))
    finance.settle()
    program = finance.world.program_id
    with finance.ledger.database.read() as connection:
        looked = [preview(finance.ledger, connection, (program, each, "GBP"), MARCH) for each in (acme, bolt)]
        later = preview(finance.ledger, connection, (program, bolt, "GBP"), "2024-05")
        with pytest.raises(InvalidField, match="is closed"):
            preview(finance.ledger, connection, (program, acme, "GBP"), JANUARY)
    finance.world.now = day(100)
    close(finance, MARCH)

    issued = {each.partner: each for each in stated(finance) if each.period.period == MARCH}

    assert all(each.is_preview and each.version == 0 for each in (*looked, later))
    for each in looked:
        made = issued[each.partner]
        period = msgspec.structs.replace(made.period, closed_at=None)
        same = msgspec.structs.replace(made, number=each.number, version=0, period=period)
        assert same == each
    assert later.opening == later.closing == issued[looked[1].partner].closing


def test_a_preview_before_any_closing_opens_with_the_months_before(finance):
    """Nothing is late then."""
    finance.world.now = day(10)
    acme = finance.partner("acme", linked=False)
    finance.earn(acme, 20_00)
    finance.world.now = day(40)
    finance.earn(acme, 10_00)
    with finance.ledger.database.read() as connection:
        found = preview(finance.ledger, connection, (finance.world.program_id, acme, "GBP"), FEBRUARY)

    assert (found.opening.available_minor, found.closing.available_minor) == (20_00, 30_00)
    assert {line.belongs_to for line in found.lines} == {None}


@pytest.mark.parametrize("column", ["amount_minor", "reward_id", "effective_at"])
def test_no_line_is_made_of_an_edited_leg(finance, column):
    """The month was closed before; the fact says what the leg was."""
    finance.world.now = day(10)
    finance.earn(finance.partner("acme", linked=False), 20_00)
    finance.world.now = day(40)
    wish = ClosePeriod(program_id=finance.world.program_id, period=JANUARY)
    close_period(finance.ledger, wish, by="cli", wait_s=0)
    c = tables.journal.c
    other = {"amount_minor": 5, "reward_id": UUID(int=5), "effective_at": day(11)}
    with finance.ledger.database.write() as connection:
        Hand(connection, finance.ledger.database).disarm()
        first = sa.select(sa.func.min(c.position)).scalar_subquery()
        connection.execute(
            sa.update(tables.journal).where(c.position == first).values({column: other[column]})
        )

    with pytest.raises(JournalDiffers, match=r"at position|froze"):
        issue(finance.ledger, finance.world.program_id, by="cli", wait_s=0)

    assert finance.ledger.history(ids.statements_id(finance.world.program_id)) == []
