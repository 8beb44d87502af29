"""Leases: which worker works on which payouts, and the token that fences off whoever held them before.

Payouts are dealt out into shards by their id; a worker takes a shard's lease before it looks at them.
Each taking makes the token grow. Every append names the token that it was decided under, and asks in its own
transaction whether that is still the one: so a worker that slept past its lease records nothing.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from ledger.engine.tables import insert_if_absent
from ledger.store.database import Database
from projections.columns import UtcTime

SHARDS: Final = 8
"""Into how many parts the payouts are dealt. Workers that think of another number only lose races more."""
LEASE_FOR: Final = timedelta(seconds=60)
"""How long a lease lasts unless it is renewed: longer than the provider is waited for."""
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)

table: Final = sa.Table(
    "payout_leases",
    sa.MetaData(),
    sa.Column("lease", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text),
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
)


# A worker asks in every step: each statement is built once.
_c: Final = table.c
_NAMED: Final = _c.lease == sa.bindparam("name")
_OURS: Final = sa.and_(_NAMED, _c.token == sa.bindparam("held"))
_NOW: Final = sa.bindparam("now", type_=UtcTime())
_UNTIL: Final = sa.bindparam("until", type_=UtcTime())
_FREE: Final = sa.or_(_c.holder.is_(None), _c.holder == sa.bindparam("who"), _c.expires_at <= _NOW)
_TOKEN: Final = sa.select(_c.token).where(_NAMED)
_TAKE: Final = (
    sa.update(table)
    .where(_OURS, _FREE)
    .values(token=sa.bindparam("next"), holder=sa.bindparam("who"), expires_at=_UNTIL)
)
_RENEW: Final = sa.update(table).where(_OURS, _c.expires_at > _NOW).values(expires_at=_UNTIL)
_RELEASE: Final = sa.update(table).where(_OURS).values(holder=None)
_AT_WORK: Final = sa.select(sa.func.count(_c.holder.distinct())).where(_c.expires_at > _NOW)
_HELD: Final = sa.select(_c.token).where(_OURS, _c.expires_at > _NOW).with_for_update(read=True)


class LeaseLost(Exception):
    """The lease ended, and perhaps somebody else has it: nothing was recorded."""


class Lease(NamedTuple):
    """A shard of the payouts, for a while. The token never comes again."""

    name: str
    token: int
    expires_at: datetime


def shard_of(payout_id: UUID, shards: int = SHARDS) -> str:
    """The name of the lease under which a payout is worked on."""
    return f"payouts {payout_id.int % shards + 1} of {shards}"


class Leases:
    """The leases of one worker, by its own name."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], datetime],
        *,
        holder: str,
        lease_for: timedelta = LEASE_FOR,
    ) -> None:
        self._database, self._clock = database, clock
        self._holder, self._lease_for = holder, lease_for

    def take(self, name: str) -> Lease | None:
        """The lease, under the next token; None while another worker holds it."""
        now = self._clock()
        until = now + self._lease_for
        with self._database.write() as connection:
            token = connection.execute(_TOKEN, {"name": name}).scalar()
            if token is None:
                insert_if_absent(connection, table, {"lease": name, "token": 0, "expires_at": _NEVER})
                token = 0
            mine = {"name": name, "held": token, "next": token + 1, "who": self._holder}
            taken = connection.execute(_TAKE, {**mine, "now": now, "until": until})
        return Lease(name, token + 1, until) if taken.rowcount == 1 else None

    def renewed(self, lease: Lease) -> Lease:
        """The lease for longer, once half of it is over. Raises LeaseLost: one that ended is not revived."""
        now = self._clock()
        if lease.expires_at - now > self._lease_for / 2:
            return lease
        until = now + self._lease_for
        with self._database.write() as connection:
            renewed = connection.execute(_RENEW, {**_of(lease), "now": now, "until": until})
        if renewed.rowcount != 1:
            raise LeaseLost(lease.name)
        return lease._replace(expires_at=until)

    def at_work(self) -> int:
        """How many workers hold leases now."""
        with self._database.read() as connection:
            return int(connection.execute(_AT_WORK, {"now": self._clock()}).scalar_one())

    def release(self, lease: Lease) -> None:
        """Let others have it at once; nothing where they do already."""
        with self._database.write() as connection:
            connection.execute(_RELEASE, _of(lease))

    def fence(self, lease: Lease) -> Callable[[sa.Connection], None]:
        """To be asked in the transaction of an append: raises LeaseLost unless the lease still holds.

        The row is locked until the commit, so that nobody takes the lease between the question and that.
        """

        def check(connection: sa.Connection) -> None:
            if connection.execute(_HELD, {**_of(lease), "now": self._clock()}).scalar() is None:
                raise LeaseLost(lease.name)

        return check


def _of(lease: Lease) -> dict[str, str | int]:
    """What names the lease in a statement."""
    return {"name": lease.name, "held": lease.token}
