"""Whose a transfer is that somebody named: the first payout's that claims it. Pure."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from ledger.events.base import Fact
from ledger.events.payout import PayoutProvider, TransferClaimed
from ledger.refusals import TransferTaken


class ClaimState(msgspec.Struct, frozen=True):
    """A transfer of the provider's: the payout that claimed it, if one did."""

    payout_id: UUID | None = None


UNCLAIMED: Final = ClaimState()


def evolve(state: ClaimState, fact: Fact) -> ClaimState:
    """The claim after a fact."""
    return ClaimState(fact.payout_id) if isinstance(fact, TransferClaimed) else state


def claim(
    state: ClaimState, *, provider: PayoutProvider, transfer_id: str, payout_id: UUID, now: datetime
) -> list[Fact]:
    """Claim a transfer for a payout; nothing new when it is that payout's. Refuses with TransferTaken."""
    if state.payout_id is not None and state.payout_id != payout_id:
        raise TransferTaken(f"that is the transfer of payout {state.payout_id}", pointer="/transfer_id")
    if state.payout_id is not None:
        return []
    return [
        TransferClaimed(provider=provider, transfer_id=transfer_id, payout_id=payout_id, effective_at=now)
    ]
