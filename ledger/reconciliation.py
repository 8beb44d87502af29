"""Differences between the provider's books and ours, and the reasons that end them. Pure."""

from datetime import datetime
from typing import Final

import msgspec

from ledger import checks
from ledger.events.base import Fact
from ledger.events.reconciliation import DifferenceResolved
from ledger.refusals import ContentConflict


class DifferenceState(msgspec.Struct, frozen=True):
    """A difference between the provider's books and ours: the reason that ended it, if one did."""

    reason: str | None = None


UNRESOLVED: Final = DifferenceState()


def evolve_difference(state: DifferenceState, fact: Fact) -> DifferenceState:
    """The difference after a fact."""
    return DifferenceState(fact.reason) if isinstance(fact, DifferenceResolved) else state


def resolve(
    state: DifferenceState, *, provider: str, reference: str, reason: str, now: datetime
) -> list[Fact]:
    """End a difference with a reason; nothing new when it was ended with the same one.

    Refuses with ContentConflict where it ended with another reason.
    """
    checks.note(reason, "/reason")
    if state.reason is not None and state.reason != reason:
        raise ContentConflict(f"{reference} was resolved before, with another reason")
    if state.reason is not None:
        return []
    return [DifferenceResolved(provider=provider, reference=reference, reason=reason, effective_at=now)]
