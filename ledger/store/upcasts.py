"""How facts of older versions become today's: one function per topic that is no longer written."""

from typing import Any, Final

from ledger.store.mapper import Upcast


def _payout_drafted_2(fact: dict[str, Any]) -> dict[str, Any]:
    """Before version 2 everything went through Stripe, nothing was withheld, and the hash knew of neither."""
    return fact | {"provider": "stripe", "withheld_minor": 0, "withholding_bps": 0, "hash_version": 1}


UPCASTS: Final[dict[str, Upcast]] = {
    "PayoutDrafted@1": _payout_drafted_2,
}
