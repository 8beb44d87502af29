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
        c, now = table.c, self._clock()
        free = sa.or_(c.holder.is_(None), c.holder == self._holder, c.expires_at <= now)
        until = now + self._lease_for
        with self._database.write() as connection:
            token = connection.execute(sa.select(c.token).where(c.lease == name)).scalar()
            if token is None:
                insert_if_absent(connection, table, {"lease": name, "token": 0, "expires_at": _NEVER})
                token = 0
            taken = connection.execute(
                sa.update(table)
                .where(c.lease == name, c.token == token, free)
                .values(token=token + 1, holder=self._holder, expires_at=until)
            )
        return Lease(name, token + 1, until) if taken.rowcount == 1 else None

    def renewed(self, lease: Lease) -> Lease:
        """The lease for longer, once half of it is over. Raises LeaseLost: one that ended is not revived."""
        c, now = table.c, self._clock()
        if lease.expires_at - now > self._lease_for / 2:
            return lease
        until = now + self._lease_for
        with self._database.write() as connection:
            renewed = connection.execute(
                sa.update(table)
                .where(c.lease == lease.name, c.token == lease.token, c.expires_at > now)
                .values(expires_at=until)
            )
        if renewed.rowcount != 1:
            raise LeaseLost(lease.name)
        return lease._replace(expires_at=until)

    def release(self, lease: Lease) -> None:
        """Let others have it at once; nothing where they do already."""
        c = table.c
        with self._database.write() as connection:
            connection.execute(
                sa.update(table).where(c.lease == lease.name, c.token == lease.token).values(holder=None)
            )

    def fence(self, lease: Lease) -> Callable[[sa.Connection], None]:
        """To be asked in the transaction of an append: raises LeaseLost unless the lease still holds.

        The row is locked until the commit, so that nobody takes the lease between the question and that.
        """

        def check(connection: sa.Connection) -> None:
            c = table.c
            held = (
                sa.select(c.token)
                .where(c.lease == lease.name, c.token == lease.token, c.expires_at > self._clock())
                .with_for_update(read=True)
            )
            if connection.execute(held).scalar() is None:
                raise LeaseLost(lease.name)

        return check
