"""Closed months for tests: a program that lived through two of them, and its statements."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from ledger.commands import LinkPayoutAccount, SeePayoutAccount
from ledger.events.payout import PayoutPaid
from ledger.period import ClosePeriod
from ledger.store.application import Change, Ledger
from projections import tables
from projections.statement import Statement
from projections.statements.closing import close_period
from projections.statements.issuing import issue, restate
from tests.support.finance import Finance, day

JANUARY, FEBRUARY, MARCH = "2024-01", "2024-02", "2024-03"


def close(finance: Finance, *months: str, reason: str | None = None) -> None:
    """Close months and issue their statements."""
    for month in months:
        wish = ClosePeriod(program_id=finance.world.program_id, period=month, reason=reason)
        close_period(finance.ledger, wish, by="key:finance", wait_s=0)
        issue(finance.ledger, finance.world.program_id, by="key:finance", pause=lambda _s: finance.settle())
    finance.settle()


def rows(finance: Finance) -> list[Any]:
    """The issued statements, by number."""
    return rows_of(finance.ledger)


def rows_of(ledger: Ledger) -> list[Any]:
    """The issued statements of a ledger, by number."""
    with ledger.database.read() as connection:
        return list(connection.execute(sa.select(tables.statements).order_by(tables.statements.c.count)))


def stated(finance: Finance) -> list[Statement]:
    """Each statement as it is derived now."""
    with finance.ledger.database.read() as connection:
        return [restate(finance.ledger, connection, row) for row in rows(finance)]


def lived(finance: Finance) -> tuple[UUID, UUID]:
    """Acme earns and is paid in January; a refund of that comes late; bolt earns in February."""
    finance.world.now = day(10)
    acme, bolt = finance.partner("acme", linked=False), finance.partner("bolt", linked=False)
    link(finance, acme)
    sale = finance.earn(acme, 20_00)
    finance.approved()
    finance.pay()
    finance.world.now = day(40)
    finance.earn(bolt, 30_00)
    close(finance, JANUARY)
    finance.world.now = day(41)
    finance.world.send(finance.world.refund(sale, "late", 100_00, day(12)))
    finance.settle()
    finance.world.now = day(70)
    close(finance, FEBRUARY)
    return acme, bolt


def link(finance: Finance, partner_id: UUID) -> None:
    """A payout account that is in order."""
    seen = SeePayoutAccount(
        partner_id=partner_id,
        provider="stripe",
        destination="acct_1",
        transfers_active=True,
        payouts_enabled=True,
        disabled_reason=None,
        currently_due=(),
        country="GB",
        default_currency="gbp",
        effective_at=finance.world.now,
    )
    for wish in (LinkPayoutAccount(partner_id=partner_id, destination="acct_1"), seen):
        finance.world.desk.execute(wish, by="test")


def paid(finance: Finance) -> None:
    """The bank of acme has the payout of January."""
    (payout,) = stated(finance)[0].payouts
    fact = PayoutPaid(effective_at=day(12), reference="po_1")
    version = len(finance.ledger.history(payout.payout_id))
    assert finance.ledger.append([Change(payout.payout_id, version, [fact])], by="payouts")
