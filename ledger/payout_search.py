"""What follows an outcome that nobody learned: the search, its proof of absence, a human's word. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from ledger import checks
from ledger.commands import ResolvePayout
from ledger.events.base import Fact
from ledger.events.payout import (
    PayoutDrafted,
    PayoutLeftToHuman,
    PayoutResolved,
    TransferFoundAbsent,
    TransferSearchBegan,
)
from ledger.payout import ASKED, DELIVERED, PayoutState, confirm, drafted, expect, expect_attempt
from ledger.refusals import ContentConflict, IllegalTransition, InvalidField

KEY_TRUSTED_FOR: Final = timedelta(hours=20)
"""How long after its intent an attempt's key is sent: the provider may forget it after 24 hours.

Counted from the intent, not from the first sending that is recorded: one before it may have been lost with
the process that made it.
"""


def transfer_group(draft: PayoutDrafted) -> str:
    """The name under which the provider lists the transfers of a batch."""
    return f"batch-{draft.batch_id}"


def key_is_trusted(state: PayoutState, now: datetime) -> bool:
    """Whether the last attempt may still be sent: it is young enough, and no search for it has begun."""
    if state.intent is None or state.search is not None:
        return False
    return now - state.intent.effective_at < KEY_TRUSTED_FOR


def key_given_up_at(state: PayoutState) -> datetime | None:
    """From when on nobody begins to send the last attempt: its search began, or its key is too old by then.

    None: nothing was ever sent of the payout.
    """
    if state.search is not None:
        return state.search.effective_at
    return None if state.intent is None else state.intent.effective_at + KEY_TRUSTED_FOR


def begin_search(state: PayoutState, *, attempt: int, now: datetime) -> list[Fact]:
    """intent, sent or unknown → unknown, for good: from here on nobody sends the attempt again.

    Refuses with IllegalTransition while the key is trusted: asking by it is better than any list.
    """
    if state.search is not None and attempt == state.attempt:
        return []
    draft = drafted(state)
    expect_attempt(state, attempt, ASKED, "a search can begin")
    if key_is_trusted(state, now):
        raise IllegalTransition("the attempt's key is still trusted: ask by it", state=state.status)
    return [
        TransferSearchBegan(
            attempt=attempt,
            transfer_group=transfer_group(draft),
            destination=draft.destination,
            effective_at=now,
        )
    ]


def find_absent(
    state: PayoutState, *, attempt: int, looked_at: datetime, margin: timedelta, listed: int, now: datetime
) -> list[Fact]:
    """unknown → absent: a listing to the end, begun at `looked_at`, held nothing of ours.

    Refuses with IllegalTransition unless a search has begun, at least `margin` before: lists may lag.
    """
    if state.status == "absent" and attempt == state.attempt:
        return []
    expect_attempt(state, attempt, {"unknown"}, "a transfer can be found absent")
    if state.search is None or looked_at - state.search.effective_at < margin:
        raise IllegalTransition("a list may lag: absence is proven by a later look", state=state.status)
    return [
        TransferFoundAbsent(
            attempt=attempt,
            transfer_group=state.search.transfer_group,
            destination=state.search.destination,
            searched_from=state.search.effective_at,
            searched_to=looked_at,
            transfers_listed=listed,
            effective_at=now,
        )
    ]


def leave_to_human(
    state: PayoutState, *, attempt: int, reason: str, transfer_ids: Sequence[str] = (), now: datetime
) -> list[Fact]:
    """An open or absent attempt → held: nothing more is sent until somebody says how it stands."""
    if state.status == "held" and attempt == state.attempt:
        return []
    expect_attempt(state, attempt, ASKED | {"absent"}, "a payout can be left to a human")
    left = PayoutLeftToHuman(
        attempt=attempt, reason=reason, transfer_ids=tuple(transfer_ids), effective_at=now
    )
    return [left]


def resolve(command: ResolvePayout, state: PayoutState, *, by: str, now: datetime) -> list[Fact]:
    """unknown or held → confirmed or absent, by somebody's word with its reason.

    Nothing new when the same was said. Refuses with IllegalTransition what a rule still decides: that a
    transfer is absent can be said only once nobody sends the attempt any more.
    """
    reason = checks.note(command.reason, "/reason")
    transfer_id = checks.transfer_id(command.transfer_id, "/transfer_id")
    if (command.outcome == "confirmed") != (transfer_id is not None):
        raise InvalidField("goes with the outcome confirmed, and with no other", pointer="/transfer_id")
    drafted(state)
    said = (command.outcome, transfer_id, reason)
    if state.status not in {"unknown", "held"} and state.resolved is not None:
        if said == (state.resolved.outcome, state.resolved.transfer_id, state.resolved.reason):
            return []
        if state.status in DELIVERED:
            raise ContentConflict("the payout was resolved otherwise before")
    expect(state.status, {"unknown", "held"}, "a payout can be resolved")
    if command.outcome == "absent" and state.status == "unknown" and state.search is None:
        raise IllegalTransition(
            "it is still asked for by its key: nobody can say yet that there is none", state=state.status
        )
    resolved = PayoutResolved(
        attempt=state.attempt,
        outcome=command.outcome,
        reason=reason,
        resolved_by=by,
        transfer_id=transfer_id,
        effective_at=now,
    )
    if transfer_id is None:
        return [resolved]
    confirmed = confirm(state, attempt=state.attempt, transfer_id=transfer_id, sent_at=now, now=now)
    return [resolved, *confirmed]
