"""Giving up payouts that hold no money: before they are sent, or after a definite no. Pure."""

from collections.abc import Mapping
from uuid import UUID

from ledger import checks, payout
from ledger.commands import CancelPayout
from ledger.events.base import Fact
from ledger.payout import DELIVERED, UNSETTLED, PayoutState
from ledger.refusals import IllegalTransition, PayoutUnderWay

_TOLD_MAX = 5


def cancel_one(command: CancelPayout, state: PayoutState) -> list[Fact]:
    """Give up one payout of an approved batch; nothing new when it was given up before.

    approved, rejected or absent → canceled. Refuses with NotFound, PayoutUnderWay, InvalidField; with
    IllegalTransition while its batch is a draft, since an approval is of the whole.
    """
    reason = checks.note(command.reason, "/reason")
    payout.drafted(state)
    if state.status == "draft":
        raise IllegalTransition("an approval is of the whole batch: cancel that", state=state.status)
    return cancel_all({command.payout_id: state}, reason=reason)[command.payout_id]


def cancel_all(payouts: Mapping[UUID, PayoutState], *, reason: str) -> dict[UUID, list[Fact]]:
    """Give up all of these payouts, or none: nothing new for those that were given up before.

    Refuses with PayoutUnderWay, which names them, where an intent is recorded whose outcome is open, or the
    money has gone: from the intent on the request may be on its way.
    """
    under_way = {
        payout_id: state.status
        for payout_id, state in payouts.items()
        if state.status in UNSETTLED | DELIVERED
    }
    if under_way:
        told = [f"payout {payout_id} is {status}" for payout_id, status in under_way.items()]
        more = [f"and {len(told) - _TOLD_MAX} more"] if len(told) > _TOLD_MAX else []
        raise PayoutUnderWay("; ".join(["too late to cancel", *told[:_TOLD_MAX], *more]))
    return {payout_id: payout.cancel(state, reason=reason) for payout_id, state in payouts.items()}
