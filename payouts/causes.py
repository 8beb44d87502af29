"""What a definite rejection asks for: which codes pass by themselves, and what they hold up until then. Pure.

Source: Stripe's documentation, "Error codes" (docs.stripe.com/error-codes).
"""

from collections.abc import Mapping
from typing import Final

from ledger.events.partner import PayoutHoldCause

BALANCE_INSUFFICIENT: Final = "balance_insufficient"
"""The platform's balance is too low: the batch waits, nothing is wrong with the partner."""

ACCOUNT_CAUSES: Final[Mapping[str, PayoutHoldCause]] = {
    "insufficient_capabilities_for_transfer": "account_restricted",
    "transfers_not_allowed": "account_restricted",
    "payouts_not_allowed": "account_restricted",
    "account_closed": "account_closed",
    "account_invalid": "account_closed",
    # Of a transfer nothing but its destination can be missing.
    "resource_missing": "account_closed",
    "country_unsupported": "account_mismatch",
    "currency_not_supported": "account_mismatch",
    "invalid_currency": "account_mismatch",
    "livemode_mismatch": "account_mismatch",
}
"""Codes that are about the partner's account, and the hold that each asks for."""

PASSING_CODES: Final = frozenset({BALANCE_INSUFFICIENT, *ACCOUNT_CAUSES})
"""Codes of rejections after which the next attempt is opened once the cause has cleared. Others are final."""
