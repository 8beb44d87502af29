"""How facts of older versions become today's: one function per topic that is no longer written."""

from typing import Any, Final

from ledger.store.mapper import Upcast


def _payout_drafted_2(fact: dict[str, Any]) -> dict[str, Any]:
    """Before version 2 everything went through Stripe, nothing was withheld, and the hash knew of neither."""
    return fact | {"provider": "stripe", "withheld_minor": 0, "withholding_bps": 0, "hash_version": 1}


def _api_key_issued_2(fact: dict[str, Any]) -> dict[str, Any]:
    """Before version 2 no key named a person."""
    return fact | {"person": None}


def _payout_batch_drafted_2(fact: dict[str, Any]) -> dict[str, Any]:
    """Before version 2 keys were told apart, not persons; one checker was enough; nothing was scheduled."""
    return fact | {"made_by_person": None, "second_approval_over_minor": None, "due_on": None}


def _payout_batch_approved_2(fact: dict[str, Any]) -> dict[str, Any]:
    """Before version 2 keys were told apart, not persons."""
    return fact | {"approved_by_person": None}


def _transfer_reversal_credited_2(fact: dict[str, Any]) -> dict[str, Any]:
    """Before version 2 what was withheld stayed so, whatever came back."""
    return fact | {"withheld_minor": 0}


def _payout_reversed_2(fact: dict[str, Any]) -> dict[str, Any]:
    """Before version 2 whatever came back ended the payout; how much was left stood in no fact."""
    return fact | {"left_minor": None}


def _period_totals_frozen_2(fact: dict[str, Any]) -> dict[str, Any]:
    """Before version 2 nobody counted the legs of a month."""
    return fact | {"totals": [{**total, "legs": None} for total in fact["totals"]]}


def _by_stripe(fact: dict[str, Any]) -> dict[str, Any]:
    """Before this all money left over Stripe, and came back there."""
    return fact | {"provider": "stripe"}


UPCASTS: Final[dict[str, Upcast]] = {
    "ApiKeyIssued@1": _api_key_issued_2,
    "PayoutBatchApproved@1": _payout_batch_approved_2,
    "PayoutBatchDrafted@1": _payout_batch_drafted_2,
    "PayoutDrafted@1": _payout_drafted_2,
    "PayoutReversed@1": _payout_reversed_2,
    "PeriodTotalsFrozen@1": _period_totals_frozen_2,
    "TransferConfirmed@1": _by_stripe,
    "TransferReversalCredited@1": _transfer_reversal_credited_2,
    "TransferReversalCredited@2": _by_stripe,
}
