"""What a payout worker can get on with, and what is held up: the views name it, the streams decide.

A worker asks twice a second for ever: each statement is built once.
"""

from collections.abc import Collection
from functools import cache
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa

from ledger.payout import ASKED
from payouts.causes import BALANCE_INSUFFICIENT, PASSING_CODES
from payouts.eligibility import STRIPE
from projections.tables import payout_attempts, payout_batches, payout_holds, payouts


class PausedBatch(NamedTuple):
    """A batch of which no more is sent, and how much of it is left."""

    batch_id: UUID
    currency: str
    left_minor: int


def payouts_to_work_on(connection: sa.Connection, provider: str, *, limit: int) -> list[UUID]:
    """The payouts of a provider that a worker can get on with: first those of which something went out.

    Those of held partners and paused batches are left out, and rejections whose cause does not pass.
    """
    return list(connection.execute(_to_work_on(provider, limit)).scalars())


@cache
def _to_work_on(provider: str, limit: int) -> sa.Select[UUID]:
    c = payouts.c
    held = sa.exists().where(payout_holds.c.partner_id == c.partner_id, payout_holds.c.reason.is_not(None))
    paused = sa.exists().where(
        payout_batches.c.batch_id == c.batch_id, payout_batches.c.paused_reason.is_not(None)
    )
    openable = sa.or_(
        c.state.in_(("approved", "absent")), sa.and_(c.state == "rejected", _rejected(PASSING_CODES))
    )
    asked = c.state.in_(sorted(ASKED))
    return (
        sa.select(c.payout_id)
        # Said once more alone, so that the index over the states serves all of it.
        .where(c.state.in_((*sorted(ASKED), "approved", "absent", "rejected")), c.provider == provider)
        .where(sa.or_(asked, sa.and_(openable, ~held, ~paused)))
        .order_by(sa.case((asked, 0), else_=1), c.position, c.payout_id)
        .limit(limit)
    )


def _rejected(codes: Collection[str]) -> sa.Exists:
    of = payout_attempts.c
    return sa.exists().where(
        of.payout_id == payouts.c.payout_id,
        of.attempt == payouts.c.attempt,
        of.code.in_(sorted(codes)),
    )


def paused_batches(connection: sa.Connection) -> list[PausedBatch]:
    """The paused batches, those that changed longest ago first, with what is left to send of each."""
    return [
        PausedBatch(batch, currency, int(sum_))
        for batch, currency, sum_ in connection.execute(_paused_batches())
    ]


@cache
def _paused_batches() -> sa.Select[UUID, str, int]:
    c, b = payouts.c, payout_batches.c
    left = sa.or_(
        c.state.in_(("approved", "absent")),
        sa.and_(c.state == "rejected", _rejected((BALANCE_INSUFFICIENT,))),
    )
    return (
        sa.select(b.batch_id, b.currency, sa.func.coalesce(sa.func.sum(c.net_minor), 0))
        .select_from(payout_batches)
        .outerjoin(payouts, sa.and_(c.batch_id == b.batch_id, c.provider == STRIPE, left))
        .where(b.paused_reason.is_not(None))
        .group_by(b.batch_id, b.currency, b.position)
        .order_by(b.position)
    )


def held_partners(connection: sa.Connection, causes: Collection[str], *, limit: int) -> list[UUID]:
    """The partners whose payouts are held for one of these causes, those held longest first."""
    return list(connection.execute(_held_partners(tuple(sorted(causes)), limit)).scalars())


@cache
def _held_partners(causes: tuple[str, ...], limit: int) -> sa.Select[UUID]:
    c = payout_holds.c
    return (
        sa.select(c.partner_id)
        .where(c.reason.is_not(None), c.cause.in_(causes))
        .group_by(c.partner_id)
        .order_by(sa.func.min(c.position))
        .limit(limit)
    )
