"""`expand[]`: an object in the place of its id, along paths like `data.source.source_transfer`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from payouts.simulator import charges, onboarding
from payouts.simulator.problems import StripeProblem
from payouts.simulator.store import Body
from payouts.simulator.work import Work

_DEPTH_MAX = 4
_EXPANDABLE = {
    "balance_transaction": ("source",),
    "capability": ("account",),
    "charge": ("balance_transaction", "source_transfer"),
    "payout": ("balance_transaction", "destination", "failure_balance_transaction"),
    "refund": ("balance_transaction", "charge", "source_transfer_reversal"),
    "topup": ("balance_transaction",),
    "transfer": ("balance_transaction", "destination", "destination_payment"),
    "transfer_reversal": ("balance_transaction", "destination_payment_refund", "transfer"),
}
_KIND_OF_PREFIX = {
    "acct": "account",
    "po": "payout",
    "tr": "transfer",
    "trr": "transfer_reversal",
    "tu": "topup",
    "txn": "balance_transaction",
}


def expand(work: Work, answer: Body, paths: Sequence[str]) -> Body:
    """The answer with objects in the places that the paths name.

    Raises StripeProblem for a place where the kind of object has nothing to expand.
    """
    for path in paths:
        steps = path.split(".")
        if len(steps) > _DEPTH_MAX:
            message = f"You cannot expand more than {_DEPTH_MAX} levels of a property: {path}."
            raise StripeProblem(400, message, param="expand")
        _along(work, answer, steps, path)
    return answer


def _along(work: Work, place: Any, steps: Sequence[str], path: str) -> None:
    if not steps or place is None:
        return
    if isinstance(place, list):
        for each in place:
            _along(work, each, steps, path)
        return
    step = steps[0]
    listing = place.get("object") == "list" and step == "data"
    nested = place.get("object") == "transfer" and step == "reversals"
    if not listing and not nested:
        if step not in _EXPANDABLE.get(str(place.get("object")), ()):
            message = f"This property cannot be expanded ({path})."
            raise StripeProblem(400, message, param="expand")
        if isinstance(place[step], str):
            place[step] = _object(work, place[step])
    _along(work, place[step], steps[1:], path)


def _object(work: Work, identifier: str) -> Any:
    """The object of an id; the id itself where the stand-in has none."""
    prefix = identifier.partition("_")[0]
    if prefix == "py":
        payment = charges.payment(work, identifier)
        return identifier if payment is None else payment[1]
    if prefix == "pyr":
        return charges.refund(work, identifier) or identifier
    if prefix == "ba":
        return onboarding.bank_account(work, identifier) or identifier
    found = work.tx.find(_KIND_OF_PREFIX.get(prefix, ""), identifier)
    return identifier if found is None else found[1]
