"""The way to Stripe: the only module that knows its SDK, with the one table of what each failure means."""

from collections.abc import Callable
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
import requests
import stripe

from payouts.connected import AccountsApi
from payouts.currencies import from_stripe_minor, to_stripe_minor
from payouts.gateway_accounts import AccountsKeeper
from payouts.gateway_books import PAGE
from payouts.gateway_deliveries import DeliveriesReader
from payouts.gateway_events import EventsReader
from payouts.outcomes import (
    API_VERSION,
    Account,
    Confirmed,
    GatewayError,
    Health,
    NotSent,
    Outcome,
    Rejected,
    RetryLater,
    Transfer,
    TransferBody,
    TransferIntent,
    Unknown,
    UnsendableIntent,
    Unsettled,
    checked_body,
)

__all__ = [
    "API_VERSION",
    "OUTCOME_BY_ERROR",
    "Account",
    "Confirmed",
    "GatewayError",
    "Health",
    "LiveKeyRefused",
    "NotSent",
    "Outcome",
    "Rejected",
    "RetryLater",
    "StandInOnly",
    "StripeGateway",
    "Transfer",
    "TransferIntent",
    "Unknown",
    "UnsendableIntent",
    "Unsettled",
    "outcome_of",
]

STRIPE_ADDRESS: Final = "https://api.stripe.com"
CONNECT_TIMEOUT_S: Final = 5.0
READ_TIMEOUT_S: Final = 40.0
RETRY_DEFAULT_S: Final = 1
RETRY_MAX_S: Final = 3600

# Whatever is asked with these keys cannot move real money; any other kind of key is treated as live.
_TEST_KEYS: Final = ("sk_test_", "rk_test_")
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")

# 400s that say nothing definite: the first request under the key is at work, or never got its turn.
_IN_DOUBT_CODES: Final = ("idempotency_key_in_use", "lock_timeout", "rate_limit")

Answer = TypeVar("Answer")


class LiveKeyRefused(Exception):
    """A key that can move real money was given without `live=True`, or for an address without TLS."""


class StandInOnly(Exception):
    """Something that makes sense only against the stand-in was asked of Stripe itself."""


class StripeGateway(DeliveriesReader, EventsReader, AccountsKeeper):
    """Stripe, or with `base_address` its stand-in, for one key. Can be shared between threads.

    Raises LiveKeyRefused for a key that is no test key unless `live` is said.
    """

    def __init__(
        self,
        api_key: str,
        base_address: str | None = None,
        *,
        live: bool = False,
        accounts_api: AccountsApi = "v1",
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        read_timeout_s: float = READ_TIMEOUT_S,
        http_client: stripe.HTTPClient | None = None,
        wait_turn: Callable[[], None] | None = None,
    ) -> None:
        """`wait_turn` is called before each request but that for a transfer, which its worker has a rate for:
        it comes back when one more may go out.
        """
        self.accounts_api = accounts_api
        self._live = not api_key.startswith(_TEST_KEYS)
        self.address = (base_address or STRIPE_ADDRESS).rstrip("/")
        if self._live and not live:
            raise LiveKeyRefused("this is no test key: real money is moved only with --live")
        if self._live and urlsplit(self.address).scheme != "https":
            raise LiveKeyRefused(f"a live key is not sent to {self.address}: it would travel unencrypted")
        self._is_stand_in = base_address is not None and self.address != STRIPE_ADDRESS
        # The SDK would tell Stripe about the machine it runs on.
        stripe.enable_telemetry = False
        self._client = stripe.StripeClient(
            api_key,
            base_addresses={"api": self.address},
            stripe_version=API_VERSION,
            # The worker alone decides when a key is sent again: it records that first.
            max_network_retries=0,
            http_client=http_client
            or _http_client(self.address, (connect_timeout_s, read_timeout_s), wait_turn or (lambda: None)),
        )

    @property
    def livemode(self) -> bool:
        """Whether what is asked here is about real money."""
        return self._live

    def create_transfer(self, intent: TransferIntent) -> Outcome:
        """Send the intent once and say what is known then. Raises UnsendableIntent before anything is sent.

        An answer that says yes to something else than what was asked is Unknown, not Confirmed.
        """
        body = checked_body(intent)
        amount_minor = from_stripe_minor(body.amount, body.currency.upper())
        params: stripe.params.TransferCreateParams = {
            "amount": body.amount,
            "currency": body.currency,
            "destination": body.destination,
            "metadata": body.metadata,
            "transfer_group": body.transfer_group,
        }
        if body.description:
            params["description"] = body.description
        try:
            # In `options`: within the parameters the key would be a form field, and the header random.
            answer = self._client.v1.transfers.create(
                params,
                {"idempotency_key": intent.idempotency_key, "stripe_version": intent.api_version},
            )
            transfer = _read_transfer(answer)
        except Exception as error:
            # Every exception, not Stripe's alone: the money may have moved before the SDK stumbled.
            return outcome_of(error)
        request_id = answer.last_response.request_id if answer.last_response else None
        wrong = _differences(body, amount_minor, transfer, self._live)
        if wrong:
            detail = f"{transfer.id} differs from the intent in {', '.join(wrong)}"
            return Unknown(reason="mismatch", detail=detail, request_id=request_id)
        return Confirmed(transfer.id, transfer.balance_transaction, transfer.created, request_id)

    def find_transfers(
        self, transfer_group: str, destination: str, *, created_from: int | None = None
    ) -> list[Transfer]:
        """All transfers of a group to an account, newest first, from a time on (seconds since 1970).

        By metadata Stripe cannot search: that is for the caller to compare. Raises GatewayError.
        """
        params: stripe.params.TransferListParams = {
            "transfer_group": transfer_group,
            "destination": destination,
            "limit": PAGE,
        }
        if created_from is not None:
            params["created"] = {"gte": created_from}
        return self._ask(
            lambda: [
                _read_transfer(found) for found in self._client.v1.transfers.list(params).auto_paging_iter()
            ]
        )

    def platform_balance(self) -> dict[str, int]:
        """What the platform has available: Stripe's minor units by currency in lower case.

        Raises GatewayError.
        """
        return self._ask(lambda: _available(self._client.v1.balance.retrieve()))

    def ping(self) -> Health:
        """Prove address, key and version with one question. Raises GatewayError."""

        def look() -> Health:
            balance = self._client.v1.balance.retrieve()
            return Health(self.address, API_VERSION, balance.livemode, _available(balance))

        return self._ask(look)

    def top_up_test_balance(self, currency: str, amount_minor: int, idempotency_key: str) -> str:
        """Add test money to the stand-in: the top-up's id.

        Raises StandInOnly, UnsendableIntent (no amount that Stripe counts) or GatewayError.
        """
        if not self._is_stand_in or self._live:
            raise StandInOnly("test money is added to the stand-in only")
        amount = to_stripe_minor(amount_minor, currency.upper())
        params: stripe.params.TopupCreateParams = {"amount": amount, "currency": currency.lower()}
        return self._ask(
            lambda: self._client.v1.topups.create(params, {"idempotency_key": idempotency_key}).id
        )

    @property
    def _sdk(self) -> stripe.StripeClient:
        return self._client

    def _read_transfer(self, answer: Any) -> Transfer:
        return _read_transfer(answer)

    def _ask(self, call: Callable[[], Answer]) -> Answer:
        try:
            return call()
        except Exception as error:
            raise GatewayError(outcome_of(error)) from error


class _PacedClient(stripe.RequestsClient):
    """The SDK's client, whose requests wait for their turn, page by page."""

    wait_turn: Callable[[], None]

    def request(self, method: str, url: str, *args: Any, **named: Any) -> Any:
        """A request in its turn."""
        if (method.upper(), urlsplit(url).path) != ("POST", "/v1/transfers"):
            self.wait_turn()
        return super().request(method, url, *args, **named)


def _http_client(
    address: str, timeout_s: tuple[float, float], wait_turn: Callable[[], None]
) -> stripe.RequestsClient:
    """The SDK's client with our patience. A stand-in on this machine is never asked through a proxy."""
    session = None
    if urlsplit(address).hostname in _LOOPBACK:
        session = requests.Session()
        session.trust_env = False
    client = _PacedClient(timeout=timeout_s, session=session)
    client.wait_turn = wait_turn
    return client


def _read_transfer(answer: stripe.Transfer) -> Transfer:
    """A transfer from what the SDK gave, its amounts in our minor units.

    Raises msgspec.ValidationError or AttributeError when it is none, UnsendableIntent for such amounts.
    """
    transfer = msgspec.convert(answer.to_dict(), type=Transfer)
    currency = transfer.currency.upper()
    return msgspec.structs.replace(
        transfer,
        amount=from_stripe_minor(transfer.amount, currency),
        amount_reversed=from_stripe_minor(transfer.amount_reversed, currency),
    )


def _differences(body: TransferBody, amount_minor: int, transfer: Transfer, live: bool) -> list[str]:
    """The names of what came back other than it was sent."""
    pairs: dict[str, tuple[object, object]] = {
        "amount": (amount_minor, transfer.amount),
        "currency": (body.currency, transfer.currency),
        "destination": (body.destination, transfer.destination),
        "transfer_group": (body.transfer_group, transfer.transfer_group),
        "payout_id": (body.metadata["payout_id"], transfer.metadata.get("payout_id")),
        "livemode": (live, transfer.livemode),
    }
    return [name for name, (sent, got) in pairs.items() if sent != got]


def _available(balance: stripe.Balance) -> dict[str, int]:
    return {part.currency: part.amount for part in balance.available}


# What a failure means


def outcome_of(error: Exception) -> Unsettled:
    """What is known after an exception of the SDK: by the first line of OUTCOME_BY_ERROR that fits."""
    for kind, sort in OUTCOME_BY_ERROR:
        if isinstance(error, kind):
            return sort(error)
    # Not Stripe's: the answer was no JSON object, or not the object asked for.
    return Unknown(reason="unreadable", detail=repr(error)[:500])


def _code(error: stripe.StripeError) -> str | None:
    """The error's code. The SDK leaves `error.code` empty on 403, 409 and 429, and `error.error` on HTML."""
    if error.code:
        return error.code
    return getattr(error.error, "code", None) if error.error is not None else None


def _retry_later(error: stripe.StripeError) -> Unsettled:
    after = (error.headers or {}).get("Retry-After", "")
    seconds = int(after) if after.isascii() and after.isdigit() and len(after) < 9 else RETRY_DEFAULT_S
    return RetryLater(after_s=min(seconds, RETRY_MAX_S), request_id=error.request_id)


def _not_sent(error: stripe.StripeError) -> Unsettled:
    return NotSent(reason=type(error).__name__, detail=str(error)[:500])


def _forbidden(error: stripe.StripeError) -> Unsettled:
    """403: our key may not do this at all, unless it is one account that is closed to us."""
    return _refused(error) if _code(error) == "account_invalid" else _not_sent(error)


def _refused(error: stripe.StripeError) -> Unsettled:
    """A 4xx is definite, but for codes that say "later" and an address that is not Stripe's."""
    status, code = error.http_status, _code(error)
    if status is None:
        return _not_sent(error)  # The SDK itself refused; no socket was opened.
    if code in _IN_DOUBT_CODES:
        return Unknown(reason=str(code), detail=str(error)[:500], request_id=error.request_id)
    if status == 404 and code is None:
        return NotSent(reason="unrecognized_url", detail=str(error)[:500])
    message = (error.user_message or "")[:500]
    return Rejected(code or "invalid_request_error", message, status, error.request_id)


def _in_doubt(reason: str) -> Callable[[stripe.StripeError], Unsettled]:
    def sort(error: stripe.StripeError) -> Unsettled:
        detail = f"{type(error).__name__} {error.http_status or ''}: {error.user_message or error}"[:500]
        return Unknown(reason=reason, detail=detail, request_id=error.request_id)

    return sort


def _api_error(error: stripe.StripeError) -> Unsettled:
    """409 as 5xx: another request with our key may be paying at this moment."""
    return _in_doubt("conflict" if error.http_status == 409 else "server_error")(error)


OUTCOME_BY_ERROR: Final[
    tuple[tuple[type[stripe.StripeError], Callable[[stripe.StripeError], Unsettled]], ...]
] = (
    (stripe.RateLimitError, _retry_later),
    (stripe.AuthenticationError, _not_sent),
    (stripe.PermissionError, _forbidden),
    # The key was used with other parameters: something was asked under it, and it may have been paid.
    (stripe.IdempotencyError, _in_doubt("idempotency_mismatch")),
    (stripe.CardError, _refused),
    (stripe.InvalidRequestError, _refused),
    (stripe.APIConnectionError, _in_doubt("connection")),
    (stripe.APIError, _api_error),
    # Whatever Stripe adds one day: nobody has said that it is definite.
    (stripe.StripeError, _in_doubt("unsorted")),
)
"""The one table: the first line whose class fits says what the failure means."""
