"""Statements are held to what the closing of their month froze: a journal without an entry makes none."""

import msgspec
import pytest
import sqlalchemy as sa

from ledger import ids
from ledger.period import ClosePeriod
from ledger.refusals import JournalDiffers
from payouts.outcomes import Confirmed
from projections import tables
from projections.statements import issuing
from projections.statements.closing import close_period
from projections.statements.issuing import issue
from projections.verification.findings import Findings
from projections.verification.months import check_months
from tests.proof.hand import Hand
from tests.support.closing import JANUARY
from tests.support.finance import Finance, Script, day


@pytest.fixture
def finance(database_url):
    """A program whose partners are paid."""
    finance = Finance(database_url, Script(Confirmed("tr_1")))  # type: ignore[arg-type]
    yield finance
    finance.close()


def deleted(finance, *where):
    """Take whole entries out of the journal."""
    with finance.ledger.database.write() as connection:
        Hand(connection, finance.ledger.database).disarm()
        assert connection.execute(sa.delete(tables.journal).where(*where)).rowcount > 0


@pytest.fixture
def closed(finance):
    """January, closed and not stated: acme earned once, and once for nothing; bolt earned. What to delete."""
    finance.world.now = day(10)
    acme, bolt = (finance.partner(name, linked=False) for name in ("acme", "bolt"))
    finance.earn(acme, 20_00)
    finance.earn(bolt, 30_00)
    before = max(recorded.position for recorded in finance.world.log())
    finance.refund(finance.earn(acme, 10_00), 50_00)
    finance.world.now = day(40)
    wish = ClosePeriod(program_id=finance.world.program_id, period=JANUARY)
    close_period(finance.ledger, wish, by="cli", wait_s=0)
    c = tables.journal.c
    first = sa.select(sa.func.min(c.position)).scalar_subquery()
    return {
        "an entry": c.position == first,
        "what sums to nothing": c.position > before,
        "one": c.partner_id == bolt,
    }


@pytest.mark.parametrize("what", ["an entry", "what sums to nothing", "one"])
def test_of_a_journal_without_an_entry_no_statement_is_made(finance, closed, what):
    """The closing counted them: one entry, three that sum to nothing together, all that a partner has."""
    deleted(finance, closed[what])

    with pytest.raises(JournalDiffers, match=f"the closing of {JANUARY} froze"):
        issue(finance.ledger, finance.world.program_id, by="cli", wait_s=0)

    assert finance.ledger.history(ids.statements_id(finance.world.program_id)) == []


@pytest.mark.parametrize("what", ["an entry", "what sums to nothing", "one"])
def test_what_is_taken_out_between_the_look_and_the_statement_is_missed(finance, closed, what, monkeypatch):
    """Each statement's legs are counted at the moment in which its lines are made."""
    look = issuing._missing

    def look_then_lose(*given):
        found = look(*given)
        deleted(finance, closed[what])
        return found

    monkeypatch.setattr(issuing, "_missing", look_then_lose)
    with pytest.raises(JournalDiffers, match="the facts post"):
        issue(finance.ledger, finance.world.program_id, by="cli", wait_s=0)

    assert finance.ledger.history(ids.statements_id(finance.world.program_id)) == []


def test_a_closing_that_counted_no_legs_holds_its_statements_to_its_sums(finance, closed):
    """One of an older release; and `verify` finds nothing wrong with it."""
    with finance.ledger.database.write() as connection:
        Hand(connection, finance.ledger.database).disarm()
        [(place, state)] = connection.execute(
            sa.text("SELECT notification_id, state FROM stored_events WHERE topic = 'PeriodTotalsFrozen@2'")
        ).all()
        told = msgspec.json.decode(bytes(state))
        for total in told["fact"]["totals"]:
            assert total.pop("legs") > 0
        older = sa.text(
            "UPDATE stored_events SET topic = 'PeriodTotalsFrozen@1', state = :state"
            " WHERE notification_id = :at"
        )
        connection.execute(older, {"state": msgspec.json.encode(told), "at": place})
    kept = sa.select(tables.journal).where(closed["an entry"])
    with finance.ledger.database.read() as connection:
        entry = connection.execute(kept).mappings().all()
    deleted(finance, closed["an entry"])
    with pytest.raises(JournalDiffers, match="froze 0, the journal has 2000 in 5 legs"):
        issue(finance.ledger, finance.world.program_id, by="cli", wait_s=0)
    with finance.ledger.database.write() as connection:
        connection.execute(sa.insert(tables.journal), [dict(leg) for leg in entry])
    issue(finance.ledger, finance.world.program_id, by="cli", wait_s=0)
    finance.settle()

    findings = Findings()
    assert check_months(finance.ledger, findings, lambda _at, _of: None) == (1, 2)
    assert findings.firsts == {}
