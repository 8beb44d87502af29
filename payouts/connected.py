"""What the provider shows of connected accounts: links to onboard by, payouts to banks, what is in them."""

from collections.abc import Collection
from datetime import datetime
from typing import Final, Literal

import msgspec

AccountsApi = Literal["auto", "v1", "v2"]
BankPayoutStatus = Literal["paid", "pending", "in_transit", "canceled", "failed"]


class NewAccount(msgspec.Struct, frozen=True):
    """A connected account to be made for a partner. Its key is derived from `reference`, our partner's id."""

    reference: str
    name: str
    email: str | None
    country: str | None


class AccountLink(msgspec.Struct, frozen=True):
    """Where a partner tells the provider who it is: for one visit, and for some minutes only."""

    url: str
    expires_at: datetime


class BankPayout(msgspec.Struct, frozen=True):
    """Money on its way from a connected account to its bank, in our minor units."""

    payout_id: str
    status: BankPayoutStatus
    amount_minor: int
    currency: str
    automatic: bool
    created: int
    failure: str | None = None


class Contents(msgspec.Struct, frozen=True):
    """What is in a payout to a bank: payments by their ids, and failed payouts whose money went out again."""

    payments: Collection[str] = ()
    failed_payouts: Collection[str] = ()


class Reversal(msgspec.Struct, frozen=True):
    """A part or all of a transfer that came back, in our minor units."""

    reversal_id: str
    amount_minor: int
    currency: str
    created: int


class SentTransfer(msgspec.Struct, frozen=True):
    """A transfer to a connected account. `payment_id` is what the account sees of it, `payout_id` is ours."""

    transfer_id: str
    payment_id: str | None
    destination: str
    payout_id: str | None
    amount_minor: int
    reversed_minor: int
    currency: str
    created: int

    @property
    def left_minor(self) -> int:
        """What was not reversed."""
        return self.amount_minor - self.reversed_minor


CLOSED_TO_US: Final = ("account_invalid", "resource_missing")
"""Codes of a definite no to any question about an account: it is gone, or was taken from our hands."""
