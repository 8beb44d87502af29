"""What a payout worker can get on with, and what is held up: the views name it, the streams decide.

A worker asks twice a second for ever: each statement is built once.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from ledger.payout import ASKED
from payouts.causes import BALANCE_INSUFFICIENT, PASSING_CODES
from payouts.eligibility import STRIPE
from projections.tables import payout_attempts, payout_batches, payout_holds, payouts

_ASKS: Final = 100
"""The last asks that a worker looks at: one that sleeps through more of them waits as long as before."""


class PausedBatch(NamedTuple):
    """A batch of which no more is sent, and how much of it is left."""

    batch_id: UUID
    currency: str
    left_minor: int


def payouts_to_work_on(connection: sa.Connection, provider: str, *, limit: int, after: int = 0) -> list[UUID]:
    """The payouts of a provider that a worker can get on with: first those of which something went out.

    Those of held partners and paused batches are left out, and rejections whose cause does not pass. `after`
    so many of them the list begins.
    """
    return list(connection.execute(_to_work_on(provider, limit), {"after": after}).scalars())


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
        .offset(sa.bindparam("after", type_=sa.Integer))
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


class Left(NamedTuple):
    """A payout that a worker can still do something for."""

    payout_id: UUID
    partner_id: UUID


def batches_asked_for(connection: sa.Connection) -> dict[UUID, datetime]:
    """The batches that somebody asked to be sent now, the last asks alone, with their times."""
    return dict(connection.execute(_asked_for()).all())


@cache
def _asked_for() -> sa.Select[UUID, datetime]:
    c = payout_batches.c
    asked = sa.select(c.batch_id, c.send_asked_at).where(c.send_asked_at.is_not(None))
    return asked.order_by(c.send_asked_at.desc(), c.batch_id).limit(_ASKS)


def left_of(connection: sa.Connection, batches: Sequence[UUID]) -> list[Left]:
    """The payouts of these batches that have neither a transfer nor an end."""
    return [Left(*row) for row in connection.execute(_left_of(), {"batches": list(batches)})]


@cache
def _left_of() -> sa.Select[UUID, UUID]:
    c = payouts.c
    return sa.select(c.payout_id, c.partner_id).where(
        c.batch_id.in_(sa.bindparam("batches", expanding=True)),
        c.state.in_((*sorted(ASKED), "approved", "absent", "rejected")),
        c.provider == STRIPE,
    )
