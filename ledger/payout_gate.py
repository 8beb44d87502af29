"""Whether payouts may be sent at all: stopped by hand, or the provider knows more than we do. Pure."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from ledger import checks
from ledger.events.base import Fact
from ledger.events.reconciliation import (
    BankFilesAccountedFor,
    BankFilesDoubted,
    DatabasePutBack,
    DatabaseRestored,
    DatabaseSeenAt,
    PayoutsFrozen,
    PayoutsSetAside,
    PayoutsThawed,
    UnknownTransfersExplained,
    UnknownTransfersFound,
)

NAMED_MAX: Final = 20
"""Transfers that a fact names; the reconciliation has them all."""
LISTS_LAG_MAX: Final = timedelta(hours=1)
"""How long the provider's lists may take to show a transfer: a look before that proves nothing."""


class GateState(msgspec.Struct, frozen=True):
    """`frozen`: the reason of whoever stopped payouts. `suspect_from`: since when transfers are not known.

    `put_back_at`: when it was found that the database was put back, until all is explained. `bank_doubt`: why
    files may be at our bank that the ledger does not know; only finance ends that. `set_aside`: payouts whose
    transfer is there without standing here; they alone are not sent when nothing else is suspect. `place`:
    where the database stood at the last export.
    """

    frozen: str | None = None
    frozen_at: datetime | None = None
    suspect_from: datetime | None = None
    unknown_transfers: tuple[str, ...] = ()
    put_back_at: datetime | None = None
    bank_doubt: str | None = None
    set_aside: frozenset[UUID] = frozenset()
    place: str | None = None

    @property
    def is_suspect(self) -> bool:
        """Whether nothing may be sent because something is not known."""
        if self.unknown_transfers or self.put_back_at is not None:
            return True
        return self.suspect_from is not None and not self.set_aside

    @property
    def settled_from(self) -> datetime | None:
        """When a look that finds nothing unknown is proof, after the database was put back."""
        return None if self.put_back_at is None else self.put_back_at + LISTS_LAG_MAX


OPEN: Final = GateState()


def evolve(state: GateState, fact: Fact) -> GateState:
    """The gate after a fact."""
    match fact:
        case PayoutsFrozen():
            return msgspec.structs.replace(state, frozen=fact.reason, frozen_at=fact.effective_at)
        case PayoutsThawed():
            return msgspec.structs.replace(state, frozen=None, frozen_at=None)
        case UnknownTransfersFound():
            return msgspec.structs.replace(
                state,
                suspect_from=fact.looked_from,
                unknown_transfers=fact.transfer_ids,
                bank_doubt=state.bank_doubt if state.suspect_from else _unknown_to(fact.provider),
            )
        case UnknownTransfersExplained():
            return _explained(state, suspect_from=None, set_aside=frozenset())
        case PayoutsSetAside():
            return _explained(state, suspect_from=fact.looked_from, set_aside=frozenset(fact.payout_ids))
        case DatabasePutBack():
            return _put_back(state, fact, "the database was put back while payouts were running")
        case DatabaseRestored():
            return _put_back(state, fact, fact.reason)
        case DatabaseSeenAt():
            return msgspec.structs.replace(state, place=fact.place)
        case BankFilesDoubted():
            return msgspec.structs.replace(state, bank_doubt=fact.reason)
        case BankFilesAccountedFor():
            return msgspec.structs.replace(state, bank_doubt=None)
        case _:
            return state


def _unknown_to(provider: str) -> str:
    return f"{provider} holds transfers that the ledger did not know"


def _explained(state: GateState, **changes: Any) -> GateState:
    return msgspec.structs.replace(state, unknown_transfers=(), put_back_at=None, **changes)


def _put_back(state: GateState, fact: DatabasePutBack | DatabaseRestored, reason: str) -> GateState:
    return msgspec.structs.replace(
        state, suspect_from=fact.looked_from, put_back_at=fact.effective_at, bank_doubt=reason
    )


def freeze(state: GateState, *, reason: str, now: datetime) -> list[Fact]:
    """Stop all payouts; nothing new while they are stopped for that reason."""
    checks.note(reason, "/reason")
    return [] if state.frozen == reason else [PayoutsFrozen(reason=reason, effective_at=now)]


def thaw(state: GateState, *, reason: str, now: datetime) -> list[Fact]:
    """Let payouts go on; nothing new when nobody stopped them. It explains no unknown transfer."""
    checks.note(reason, "/reason")
    return [] if state.frozen is None else [PayoutsThawed(reason=reason, effective_at=now)]


def looked(
    state: GateState,
    *,
    provider: str,
    looked_from: datetime,
    unknown: Sequence[str],
    set_aside: Collection[UUID] = (),
    now: datetime,
) -> list[Fact]:
    """What a look at the provider's transfers found; nothing new when it is as before.

    After the database was put back a look that finds nothing is believed when the lists had their time.
    """
    if unknown and not state.unknown_transfers:
        return [
            UnknownTransfersFound(
                provider=provider,
                looked_from=looked_from,
                transfer_ids=tuple(unknown[:NAMED_MAX]),
                effective_at=now,
            )
        ]
    is_early = state.settled_from is not None and now < state.settled_from
    if unknown or is_early:
        return []
    if set_aside:
        if not state.is_suspect and state.set_aside == frozenset(set_aside):
            return []
        payouts = tuple(sorted(set_aside))
        return [
            PayoutsSetAside(provider=provider, looked_from=looked_from, payout_ids=payouts, effective_at=now)
        ]
    if state.suspect_from is not None:
        return [
            UnknownTransfersExplained(provider=provider, looked_from=state.suspect_from, effective_at=now)
        ]
    return []


def put_back(provider: str, looked_from: datetime, *, seen_position: int, now: datetime) -> list[Fact]:
    """The log no longer holds what was seen in it. Each process that notices says so, and the wait begins."""
    return [
        DatabasePutBack(
            provider=provider, looked_from=looked_from, seen_position=seen_position, effective_at=now
        )
    ]


def restored(provider: str, looked_from: datetime, *, reason: str, now: datetime) -> list[Fact]:
    """Somebody says that the database was put back: as if a process had noticed."""
    checks.note(reason, "/reason")
    return [DatabaseRestored(provider=provider, looked_from=looked_from, reason=reason, effective_at=now)]


def doubt_bank_files(state: GateState, *, reason: str, now: datetime) -> list[Fact]:
    """A file left that the ledger does not know; nothing new where that is thought already."""
    return [] if state.bank_doubt else [BankFilesDoubted(reason=reason, effective_at=now)]


def seen_at(state: GateState, place: str, now: datetime) -> list[Fact]:
    """A file is about to be exported from a database at a place; elsewhere than before, files may be lost."""
    if state.place == place:
        return []
    seen: list[Fact] = [DatabaseSeenAt(place=place, effective_at=now)]
    if state.place is None:
        return seen
    reason = f"the database is another one than at the last export ({place}, it was {state.place})"
    return seen + doubt_bank_files(state, reason=reason, now=now)


def account_for_bank_files(state: GateState, *, reason: str, person: str | None, now: datetime) -> list[Fact]:
    """Every file that left is in the ledger, says finance; nothing new where nobody doubts it."""
    checks.note(reason, "/reason")
    if state.bank_doubt is None:
        return []
    return [BankFilesAccountedFor(reason=reason, person=person, effective_at=now)]
