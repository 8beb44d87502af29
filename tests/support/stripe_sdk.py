"""The unmodified SDK before the stand-in, with every call held against Stripe's own types."""

import uuid
from typing import Any

import requests
import stripe

from tests.support.stripe_schemas import call_mistakes

KEY = "sk_test_stand_in"


def connect(address: str, wrong: list[str], key: str = KEY) -> stripe.StripeClient:
    """The unmodified SDK; what is wrong with any call by Stripe's own types is collected in `wrong`."""

    def check(response: requests.Response, **_: object) -> None:
        wrong.extend(call_mistakes(response))

    session = requests.Session()
    session.trust_env = False
    session.hooks["response"].append(check)
    return stripe.StripeClient(
        key, base_addresses={"api": address}, http_client=stripe.RequestsClient(session=session)
    )


def an_account(client: stripe.StripeClient, **params) -> stripe.Account:
    given: Any = {"type": "express", "country": "GB", "email": "finance@example.com", **params}
    return client.v1.accounts.create(given)


def a_transfer(client: stripe.StripeClient, destination: str, key: str | None = None, **params):
    given: Any = {"amount": 1250, "currency": "gbp", "destination": destination, "transfer_group": "batch-1"}
    given.update(params)
    return client.v1.transfers.create(given, {"idempotency_key": key or str(uuid.uuid4())})


def error_of(error: stripe.StripeError) -> stripe.ErrorObject:
    """The error as Stripe sent it: the SDK leaves `code` out of some of its exceptions."""
    assert error.error is not None
    return error.error


def replayed(error: stripe.StripeError) -> str | None:
    """The text "true" when the answer had been given before."""
    return (error.headers or {}).get("Idempotent-Replayed")
