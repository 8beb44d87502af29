"""Where to look: accounts and payouts that the views name. Whoever asks decides upon the streams."""

from collections.abc import Collection
from uuid import UUID

import sqlalchemy as sa

from projections.tables import balances, payouts, programs


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
    statement = (
        sa.select(payouts.c.payout_id)
        .where(payouts.c.state.in_(sorted(states)))
        .order_by(payouts.c.position, payouts.c.payout_id)
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())
