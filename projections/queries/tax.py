"""What partners were paid in a calendar year, for those who report it."""

from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa

from projections.queries.paging import LIMIT, Cursor, Page, page
from projections.tables import journal, partners

SENT: Final = ("stripe_balance", "bank_balance", "withholding_payable")
"""Accounts that a payment moves: what left our balances, and what was kept back of it for the tax office."""


def list_paid_in_year(
    connection: sa.Connection,
    *,
    year: int,
    currency: str,
    least_minor: int,
    after: Cursor | None = None,
    limit: int = LIMIT,
) -> Page:
    """Partners of the US, or of no named country, that were paid at least so much in a year (UTC), by id."""
    begin, end = datetime(year, 1, 1, tzinfo=UTC), datetime(min(year + 1, 9_999), 1, 1, tzinfo=UTC)
    c = journal.c
    paid = sa.cast(-sa.func.sum(c.amount_minor), sa.BigInteger)
    statement = (
        sa.select(
            partners.c.partner_id,
            partners.c.reference,
            partners.c.name,
            partners.c.country,
            paid.label("paid_minor"),
        )
        .join(partners, partners.c.partner_id == c.partner_id)
        .where(
            c.account.in_(SENT),
            c.currency == currency,
            c.effective_at >= begin,
            c.effective_at < end,
            sa.or_(partners.c.country == "US", partners.c.country.is_(None)),
        )
        .group_by(
            partners.c.partner_id,
            partners.c.reference,
            partners.c.name,
            partners.c.country,
        )
        .having(paid >= least_minor)
    )
    return page(connection, statement, [partners.c.partner_id], after=after, limit=limit)
