"""How the audit log stands: what is sealed, what is signed, and what each target has of it."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa

from ledger.store.application import Ledger
from projections import checkpoints
from projections.audit_log import tree_size
from projections.deliveries import TargetState, state_of


class Signed(msgspec.Struct, frozen=True):
    """The newest checkpoint, `age_s` seconds after it was made."""

    size: int
    position: int
    cause: str
    made_at: datetime
    age_s: float


class AuditState(msgspec.Struct, frozen=True):
    """The oldest fact that no checkpoint covers was recorded `unsigned_s` seconds ago."""

    leaves: int
    checkpoint: Signed | None
    unsigned: int
    """Leaves that no checkpoint covers. Less than 0: leaves that were signed are gone."""
    unsigned_s: float
    targets: tuple[TargetState, ...]


def audit_state(ledger: Ledger, connection: sa.Connection, targets: Sequence[str]) -> AuditState:
    """How it stands by the ledger's clock; `targets` are the names of those that the settings ask for."""
    now = ledger.clock()
    leaves = tree_size(connection)
    last = checkpoints.latest(connection)
    signed = None
    if last is not None:
        age_s = (now - last.made_at).total_seconds()
        signed = Signed(last.size, last.position, last.cause, last.made_at, max(0.0, age_s))
    waits = checkpoints.unsigned_for(ledger, connection)
    return AuditState(
        leaves=leaves,
        checkpoint=signed,
        unsigned=leaves - (0 if signed is None else signed.size),
        unsigned_s=0.0 if waits is None else max(0.0, waits.total_seconds()),
        targets=tuple(state_of(connection, name, now) for name in targets),
    )
