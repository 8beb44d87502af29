"""Frozen lies are named by the verifier, on both databases: totals of a closing, a statement's lines."""

import msgspec
import pytest
import sqlalchemy as sa

from ledger.audit.revshare_verify import parse_key, verify
from ledger.period import ClosePeriod, Moved
from payouts.outcomes import Confirmed
from projections import tables
from projections.audit_log import Sequencer
from projections.checkpoints import CheckpointMaker
from projections.statement import Amounts
from projections.statements import closing, deriving, issuing
from projections.statements.closing import close_period
from projections.statements.facts import books
from projections.statements.issuing import CorrectStatement, correct, issue
from projections.statements.proof import statement_proof
from projections.verification import verify_ledger
from tests.proof.hand import Hand
from tests.proof.stage import SIGNER
from tests.support.closing import JANUARY, close, lived, paid, rows
from tests.support.finance import Finance, Script, day


@pytest.fixture
def finance(database_url):
    """A program whose partners are paid."""
    finance = Finance(database_url, Script(Confirmed("tr_1")))  # type: ignore[arg-type]
    yield finance
    finance.close()


def verified(finance):
    """What the verifier finds in the sealed ledger."""
    finance.settle()
    Sequencer(finance.ledger).catch_up()
    assert CheckpointMaker(finance.ledger, SIGNER).step(now_wanted=True) is not None
    return verify_ledger(finance.ledger, key=SIGNER.verifier, processes=1)


def earned(finance):
    """Acme earned in January, which can be closed."""
    finance.world.now = day(10)
    finance.earn(finance.partner("acme", linked=False), 20_00)
    finance.world.now = day(40)
    finance.settle()


def doubled(finance, times):
    """Somebody edits all legs by hand."""
    c = tables.journal.c
    with finance.ledger.database.write() as connection:
        Hand(connection, finance.ledger.database).disarm()
        connection.execute(sa.update(tables.journal).values(amount_minor=times(c.amount_minor)))


def test_months_that_were_lived_through_are_sound(finance):
    """With a late refund, a payout and a correction; each closing and each statement is looked at."""
    lived(finance)
    paid(finance)
    wish = CorrectStatement(statement_id=rows(finance)[0].statement_id, reason="paid")
    correct(finance.ledger, wish, by="key:finance")

    report = verified(finance)

    assert [str(each) for each in report.findings] == []
    assert (report.closings, report.statements) == (2, 4)


def summed_otherwise(monkeypatch, **changes):
    """A closing that sums something else."""

    def lie(told, through):
        held = books(told, through)
        moved = (
            {**held.moved, ("commission_expense", "GBP"): Moved(5, 1)} if "moved" in changes else held.moved
        )
        return msgspec.structs.replace(held, **{**changes, "moved": moved})

    monkeypatch.setattr(closing, "books", lie)
    unheld(monkeypatch)


def unheld(monkeypatch):
    """Statements that are not held to the closing."""
    monkeypatch.setattr(issuing, "hold_totals", lambda _period, _frozen, _has: None)


def test_totals_that_the_facts_do_not_come_to_are_named(finance, monkeypatch):
    """By account, with what it came to."""
    earned(finance)
    summed_otherwise(monkeypatch, moved=True)
    close(finance, JANUARY)

    found = verified(finance)

    assert found.counts == {"closing_differs": 1}
    assert "commission_expense, currency GBP" in str(found.findings[0])
    assert (found.findings[0].expected["moved_minor"], found.findings[0].found["moved_minor"]) == (20_00, 5)


def test_a_closing_that_ends_elsewhere_is_named(finance, monkeypatch):
    """Where the legs of later months begin decides what they are of."""
    earned(finance)
    summed_otherwise(monkeypatch, later_after_position=1)
    close(finance, JANUARY)

    assert "field later_after_position" in str(verified(finance).findings[0])


def test_a_statement_of_edited_legs_is_named_once_they_are_put_back(finance, monkeypatch):
    """What the verifier finds where no line was held to its fact."""
    earned(finance)
    wish = ClosePeriod(program_id=finance.world.program_id, period=JANUARY)
    close_period(finance.ledger, wish, by="cli", wait_s=0)
    doubled(finance, lambda amount: amount * 2)
    with monkeypatch.context() as patched:
        patched.setattr(deriving, "hold_legs", lambda _account, _place, recorded, _legs: recorded)
        unheld(patched)
        issue(finance.ledger, finance.world.program_id, by="cli", wait_s=0)
    doubled(finance, lambda amount: amount / 2)

    found = verified(finance)

    assert found.counts == {"statement_differs": 1}
    assert f"statement {finance.name}-000001" in str(found.findings[0])

    number = rows(finance)[0].statement_id
    _, made = correct(finance.ledger, CorrectStatement(statement_id=number, reason="doubled"), by="cli")

    assert [(each.pointer, each.was, each.now) for each in made.differs] == [
        ("/closing/available_minor", "4000", "2000"),
        ("/closing/earned_minor", "4000", "2000"),
    ]
    assert verified(finance).counts == {"statement_differs": 1}, "the first one, which stays"
    proof = b"".join(statement_proof(finance.ledger, rows(finance)[1].statement_id))
    assert verify(proof.splitlines(keepends=True), parse_key(str(SIGNER.verifier)))


def test_an_opening_balance_from_nowhere_is_named(finance, monkeypatch):
    """The first statement opens with nothing."""
    earned(finance)
    nowhere = Amounts(available_minor=5, earned_minor=5)
    monkeypatch.setattr(issuing, "last_closing", lambda *_: (None, nowhere))
    close(finance, JANUARY)

    assert "field opening" in str(verified(finance).findings[0])
