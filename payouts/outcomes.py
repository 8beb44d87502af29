"""What is asked of the payment provider, and what can come of it: intents, outcomes, and what it shows us."""

from typing import Final, Literal

import msgspec

API_VERSION: Final = "2026-10-28.endive"
"""The version of Stripe's API that we speak; pinned, so that a newer SDK does not change our bytes."""
KEY_LENGTH_MAX: Final = 255
AMOUNT_MAX_MINOR: Final = 2**63 - 1


class UnsendableIntent(ValueError):
    """An intent that must never be sent: no amount that Stripe takes, a key too long, no payout_id."""


class TransferIntent(msgspec.Struct, frozen=True):
    """A transfer as recorded before the socket opened: its key, its exact body (JSON), the API version.

    The body is an object with `amount` (Stripe's minor units, a positive integer), `currency` (lower case),
    `destination`, `transfer_group`, `metadata` (with `payout_id`) and perhaps `description`. Sent again, it
    makes the same bytes.
    """

    idempotency_key: str
    body: str
    api_version: str = API_VERSION


class Confirmed(msgspec.Struct, frozen=True):
    """The transfer exists, and is the one that was meant. `created` is in seconds since 1970."""

    transfer_id: str
    balance_transaction: str | None = None
    created: int | None = None
    request_id: str | None = None


class Rejected(msgspec.Struct, frozen=True):
    """A definite no: nothing moved and nothing will under this key. Only this opens a new attempt."""

    code: str
    message: str
    http_status: int = 400
    request_id: str | None = None


class Unknown(msgspec.Struct, frozen=True):
    """The transfer may exist or not: ask again with the same key and the same bytes."""

    reason: str
    detail: str = ""
    request_id: str | None = None


class RetryLater(msgspec.Struct, frozen=True):
    """Stripe was too busy to look at it: the same key again, in so many seconds."""

    after_s: int
    request_id: str | None = None


class NotSent(msgspec.Struct, frozen=True):
    """Nothing was executed, and nothing will be until the configuration is mended."""

    reason: str
    detail: str = ""


Unsettled = Rejected | Unknown | RetryLater | NotSent
Outcome = Confirmed | Unsettled


class GatewayError(Exception):
    """A question to Stripe that got no answer; `outcome` says why, in the same words as for a transfer."""

    def __init__(self, outcome: Unsettled) -> None:
        super().__init__(repr(outcome))
        self.outcome = outcome


class Transfer(msgspec.Struct, frozen=True):
    """A transfer as Stripe shows it: what we compare. Amounts in our minor units, time in seconds.

    `destination` is None where Stripe names none any more.
    """

    id: str
    object: Literal["transfer"]
    amount: int
    amount_reversed: int
    currency: str
    destination: str | None
    livemode: bool
    created: int
    metadata: dict[str, str]
    transfer_group: str | None = None
    balance_transaction: str | None = None


class Account(msgspec.Struct, frozen=True):
    """A connected account: whether it can be paid, and what Stripe still wants from its owner.

    `reference` is what we wrote into its metadata when we made it.
    """

    account_id: str
    country: str | None
    default_currency: str | None
    transfers_active: bool
    payouts_enabled: bool
    disabled_reason: str | None
    currently_due: tuple[str, ...]
    reference: str | None = None


class Health(msgspec.Struct, frozen=True):
    """What a first word with Stripe shows: where, in which mode, which balances (Stripe's minor units)."""

    address: str
    api_version: str
    livemode: bool
    balance_minor: dict[str, int]


class TransferBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of an intent, typed: msgspec refuses floats, and texts, where a whole number is due."""

    amount: int
    currency: str
    destination: str
    transfer_group: str
    metadata: dict[str, str]
    description: str = ""


def checked_body(intent: TransferIntent) -> TransferBody:
    """The intent's body, typed. Raises UnsendableIntent."""
    try:
        body = msgspec.json.decode(intent.body, type=TransferBody)
    except msgspec.DecodeError as wrong:
        raise UnsendableIntent(f"the body is not that of a transfer: {wrong}") from wrong
    if not 1 <= body.amount <= AMOUNT_MAX_MINOR:
        raise UnsendableIntent(f"an amount of {body.amount} cannot be sent")
    if not (len(body.currency) == 3 and body.currency.isascii() and body.currency.islower()):
        raise UnsendableIntent(f"{body.currency!r} is no currency code in lower case")
    if not body.destination or not body.transfer_group or not body.metadata.get("payout_id"):
        raise UnsendableIntent("destination, transfer_group and the metadata's payout_id must be there")
    if not 1 <= len(intent.idempotency_key) <= KEY_LENGTH_MAX or not intent.api_version:
        # Without a key the SDK makes up a random one, and without a version it takes its own.
        raise UnsendableIntent("an idempotency key of 1 to 255 characters and an API version must be there")
    return body
