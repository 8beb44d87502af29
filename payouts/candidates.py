"""Where to look: accounts and payouts that the views name. Whoever asks decides upon the streams."""

from collections.abc import Collection
from datetime import datetime
from functools import cache
from uuid import UUID

import sqlalchemy as sa

from projections.tables import balances, partners, payouts, programs
from projections.tables import payout_holds as holds


def partners_with_available(connection: sa.Connection, program_id: UUID, currency: str) -> list[UUID]:
    """The partners of a program with something available, by id."""
    statement = (
        sa.select(balances.c.partner_id)
        .where(
            balances.c.program_id == program_id,
            balances.c.currency == currency,
            balances.c.available_minor > 0,
        )
        .order_by(balances.c.partner_id)
    )
    return list(connection.execute(statement).scalars())


def programs_with_schedule(connection: sa.Connection) -> list[UUID]:
    """The programs whose payouts are drafted by a calendar."""
    statement = sa.select(programs.c.program_id).where(programs.c.payouts_every.is_not(None))
    return list(connection.execute(statement.order_by(programs.c.program_id)).scalars())


def payouts_of_program(connection: sa.Connection, program_id: UUID, states: Collection[str]) -> list[UUID]:
    """The payouts of a program in any of these states."""
    statement = sa.select(payouts.c.payout_id).where(
        payouts.c.program_id == program_id, payouts.c.state.in_(sorted(states))
    )
    return list(connection.execute(statement).scalars())


def payouts_in(connection: sa.Connection, states: Collection[str], *, limit: int) -> list[UUID]:
    """The payouts of all programs in any of these states, those that changed longest ago first."""
    return list(connection.execute(_payouts_in(tuple(sorted(states)), limit)).scalars())


@cache
def _payouts_in(states: tuple[str, ...], limit: int) -> sa.Select[UUID]:
    """Workers ask for it all the time: built once."""
    return (
        sa.select(payouts.c.payout_id)
        .where(payouts.c.state.in_(states))
        .order_by(payouts.c.position, payouts.c.payout_id)
        .limit(limit)
    )


def partners_paid_to(connection: sa.Connection, destination: str) -> list[UUID]:
    """The partners whose money goes to an account, by id."""
    statement = sa.select(partners.c.partner_id).where(partners.c.destination == destination)
    return list(connection.execute(statement.order_by(partners.c.partner_id)).scalars())


def partners_with_account(connection: sa.Connection, provider: str) -> list[UUID]:
    """The partners whose money goes to an account of a provider, by id."""
    statement = sa.select(partners.c.partner_id).where(partners.c.provider == provider)
    return list(connection.execute(statement.order_by(partners.c.partner_id)).scalars())


def oldest_open_payout(
    connection: sa.Connection, destination: str, *, final_before: datetime
) -> datetime | None:
    """When the oldest payout to an account was drafted that is not at the bank for good yet.

    Its transfer was made after that, perhaps long before it was confirmed.
    """
    c = payouts.c
    statement = (
        sa.select(c.recorded_at)
        .where(c.destination == destination, _not_final(final_before))
        .order_by(c.recorded_at)
        .limit(1)
    )
    found: datetime | None = connection.execute(statement).scalar()
    return found


def _not_final(paid_before: datetime) -> sa.ColumnElement[bool]:
    """Transfers of which the bank may still say something: what was paid may come back for some time."""
    c = payouts.c
    return c.state.in_(("confirmed", "returned")) | ((c.state == "paid") & (c.paid_at >= paid_before))


def accounts_on_hold(
    connection: sa.Connection, causes: Collection[str], provider: str, *, after: str, limit: int
) -> list[str]:
    """The accounts with a provider of partners that are held for these causes: by name, after one of them."""
    held = sa.select(holds.c.partner_id).where(holds.c.cause.in_(sorted(causes)), holds.c.reason.is_not(None))
    statement = (
        sa.select(partners.c.destination)
        .distinct()
        .where(
            partners.c.partner_id.in_(held),
            partners.c.provider == provider,
            partners.c.destination > after,
        )
        .order_by(partners.c.destination)
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


def accounts_with_open_payouts(
    connection: sa.Connection, provider: str, *, final_before: datetime, after: str, limit: int
) -> list[str]:
    """The accounts with transfers that have not reached the bank for good, not at all or not for long: by
    name, after one of them."""
    c = payouts.c
    statement = (
        sa.select(c.destination)
        .distinct()
        .where(_not_final(final_before), c.provider == provider, c.destination > after)
        .order_by(c.destination)
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())
