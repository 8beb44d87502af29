"""Signatures of webhooks: who sends one must know a secret, and must have signed it a moment ago."""

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import stripe

from payouts.webhooks.events import THIN, NoEvent, ProviderEvent, read

PAST_MAX: Final = timedelta(minutes=5)
"""How old a signature may be. A delivery that is tried again is signed anew."""
FUTURE_MAX: Final = timedelta(minutes=1)
"""How far ahead of our clock it may be. The SDK itself would take one of next year, to be used until then."""
HEADER_LENGTH_MAX: Final = 2_000
_NO_AGE_CHECK: Final = 0
"""The SDK measures age by the machine's clock and in one direction only: we measure it, by our own clock."""


class SignatureRefused(Exception):
    """A webhook that nobody who knows a secret signed just now; `reason` is safe to be answered."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class EventsReader:
    """The part of the gateway that reads webhooks. Nothing here asks the provider anything."""

    @property
    @abstractmethod
    def _sdk(self) -> stripe.StripeClient:
        """The provider's client."""

    def read_event(
        self, raw: bytes, signature: str | None, secrets: Sequence[str], now: datetime
    ) -> ProviderEvent:
        """The event of a webhook's body, signed with any one of the secrets.

        Raises SignatureRefused, and NoEvent for a body that is signed and no event.
        """
        _check_header(signature, now)
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError:
            raise SignatureRefused("the body is no UTF-8") from None
        for secret in secrets:
            try:
                return self._read(raw, signature, secret)
            except stripe.SignatureVerificationError:
                continue
        raise SignatureRefused("the signature fits none of the secrets")

    def _read(self, raw: bytes, signature: str | None, secret: str) -> ProviderEvent:
        """By the SDK: v1 events are built whole, v2 events are notifications of something to be asked for."""
        stripe.WebhookSignature.verify_header(raw, signature, secret)
        try:
            content: Any = msgspec.json.decode(raw)
        except msgspec.DecodeError as error:
            raise NoEvent(f"the body is no JSON: {error}") from error
        if not isinstance(content, dict):
            raise NoEvent("the body is no JSON object")
        try:
            if content.get("object") == THIN:
                self._sdk.parse_event_notification(raw, signature, secret, _NO_AGE_CHECK)
            else:
                self._sdk.construct_event(raw, signature, secret, _NO_AGE_CHECK)
        except stripe.SignatureVerificationError:
            raise
        except Exception as error:
            raise NoEvent(f"the SDK reads no event in it: {error!r}"[:300]) from error
        return read(content)


def _check_header(signature: str | None, now: datetime) -> None:
    if not signature:
        raise SignatureRefused("there is no Stripe-Signature")
    if len(signature) > HEADER_LENGTH_MAX:
        raise SignatureRefused("the Stripe-Signature is too long")
    # As the SDK reads it: the first `t` counts, so that what is signed and what is looked at are the same.
    times = [
        value for name, _, value in (part.partition("=") for part in signature.split(",")) if name == "t"
    ]
    if not times or not times[0].isascii() or not times[0].isdigit() or len(times[0]) > 12:
        raise SignatureRefused("the Stripe-Signature names no time")
    ahead = timedelta(seconds=int(times[0]) - int(now.timestamp()))
    if ahead < -PAST_MAX:
        raise SignatureRefused("it was signed too long ago")
    if ahead > FUTURE_MAX:
        raise SignatureRefused("it was signed in the future")
