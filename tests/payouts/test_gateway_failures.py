"""What each failure means: odd answers from real sockets, and every error class that the SDK has."""

import json
import socket
import struct
import threading
from collections.abc import Iterator

import msgspec
import pytest
import stripe

from payouts.gateway import (
    OUTCOME_BY_ERROR,
    Confirmed,
    NotSent,
    Rejected,
    RetryLater,
    StripeGateway,
    Unknown,
    outcome_of,
)
from tests.support.scripted_server import answer, error, scripted, whole_request
from tests.support.stripe_schemas import fixtures
from tests.support.transfers import intent

KEY = "sk_test_gateway"


def transfer(**changes) -> bytes:
    """Stripe's published transfer, as the answer to our intent, but for the changes."""
    right = {
        "amount": 1250,
        "currency": "gbp",
        "destination": "acct_1",
        "metadata": {"payout_id": "payout-7"},
        "transfer_group": "batch-1",
    }
    return json.dumps({**fixtures()["transfer"], **right, **changes}).encode()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param(b"", Unknown("connection"), id="reset"),
        pytest.param(answer(502, b"<html>Bad gateway</html>"), Unknown("server_error"), id="HTML 502"),
        pytest.param(answer(404, b"<html>Not here</html>"), Unknown("server_error"), id="HTML 404"),
        pytest.param(answer(200, b"<html>Welcome</html>"), Unknown("server_error"), id="HTML 200"),
        pytest.param(answer(200, b""), Unknown("server_error"), id="empty 200"),
        pytest.param(answer(200, b"[]"), Unknown("unreadable"), id="list"),
        pytest.param(answer(200, b'"paid"'), Unknown("unreadable"), id="text"),
        pytest.param(answer(200, b"null"), Unknown("unreadable"), id="null"),
        pytest.param(answer(200, b"{}"), Unknown("unreadable"), id="empty object"),
        pytest.param(answer(200, transfer(amount=1250.5)), Unknown("unreadable"), id="float"),
        pytest.param(answer(200, transfer(object="payout")), Unknown("unreadable"), id="other object"),
        pytest.param(answer(200, transfer(), Content_Length="9999"), Unknown("connection"), id="truncated"),
        pytest.param(answer(400, b'{"error": []}'), Unknown("unreadable"), id="error is a list"),
        pytest.param(answer(400, b'{"error": "invalid"}'), Unknown("unreadable"), id="error is a text"),
        pytest.param(answer(200, transfer(amount=1251)), Unknown("mismatch"), id="other amount"),
        pytest.param(answer(200, transfer(currency="eur")), Unknown("mismatch"), id="other currency"),
        pytest.param(answer(200, transfer(destination="acct_2")), Unknown("mismatch"), id="other account"),
        pytest.param(answer(200, transfer(transfer_group="b")), Unknown("mismatch"), id="other group"),
        pytest.param(
            answer(200, transfer(metadata={"payout_id": "8"})), Unknown("mismatch"), id="other payout"
        ),
        pytest.param(answer(200, transfer(metadata={})), Unknown("mismatch"), id="no payout"),
        pytest.param(answer(200, transfer(livemode=True)), Unknown("mismatch"), id="live"),
        pytest.param(answer(500, error("api_error")), Unknown("server_error"), id="500"),
        pytest.param(
            answer(409, error("idempotency_error", "idempotency_key_in_use")), Unknown("conflict"), id="409"
        ),
        pytest.param(
            answer(409, error("invalid_request_error", "lock_timeout")), Unknown("conflict"), id="lock"
        ),
        pytest.param(
            answer(400, error("idempotency_error")), Unknown("idempotency_mismatch"), id="key reused"
        ),
        pytest.param(
            answer(400, error("invalid_request_error", "lock_timeout")),
            Unknown("lock_timeout"),
            id="400 lock",
        ),
        pytest.param(answer(429, error("invalid_request_error", "lock_timeout")), RetryLater(1), id="429"),
        pytest.param(answer(429, error("x"), Retry_After="soon"), RetryLater(1), id="429 words"),
        pytest.param(answer(400, error("invalid_request_error", "rate_limit")), RetryLater(1), id="old 429"),
        pytest.param(answer(401, error("invalid_request_error")), NotSent("AuthenticationError"), id="401"),
        pytest.param(answer(403, error("invalid_request_error")), NotSent("PermissionError"), id="403"),
        pytest.param(
            answer(403, error("invalid_request_error", "account_invalid")),
            Rejected("account_invalid", "No.", 403),
            id="closed account",
        ),
        pytest.param(
            answer(404, error("invalid_request_error")), NotSent("unrecognized_url"), id="404 address"
        ),
        pytest.param(
            answer(404, error("invalid_request_error", "resource_missing")),
            Rejected("resource_missing", "No.", 404),
            id="404",
        ),
        pytest.param(
            answer(402, error("card_error", "card_declined")), Rejected("card_declined", "No.", 402), id="402"
        ),
        pytest.param(
            answer(400, error("invalid_request_error", "balance_insufficient")),
            Rejected("balance_insufficient", "No.", 400),
            id="400",
        ),
    ],
)
def test_each_odd_answer_means_one_thing(said, expected):
    with scripted([said]) as address:
        outcome = StripeGateway(KEY, address, read_timeout_s=3).create_transfer(intent("acct_1"))

    assert type(outcome) is type(expected)
    known = {
        name: value
        for name, value in msgspec.structs.asdict(outcome).items()
        if name not in ("detail", "request_id")
    }
    assert known == {name: getattr(expected, name) for name in known}


def test_a_reset_on_a_kept_alive_connection_is_in_doubt_and_not_sent_again():
    """The HTTP client must not quietly send a POST a second time."""
    heard: list[bytes] = []
    keep = answer(200, transfer(), Connection="keep-alive")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            heard.append(whole_request(connection))
            connection.sendall(keep)
            heard.append(whole_request(connection))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
            listener.settimeout(0.5)
            try:
                listener.accept()
                heard.append(b"a third request")
            except TimeoutError:
                pass

        server = threading.Thread(target=serve)
        server.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        gateway = StripeGateway(KEY, address, read_timeout_s=3)
        outcomes = [gateway.create_transfer(intent("acct_1")) for _ in range(2)]
        server.join()

    assert isinstance(outcomes[0], Confirmed)
    assert isinstance(outcomes[1], Unknown)
    assert outcomes[1].reason == "connection"
    assert len(heard) == 2


def sdk_errors(kind: type[stripe.StripeError] = stripe.StripeError) -> Iterator[type[stripe.StripeError]]:
    """Every error class that the SDK has."""
    for below in kind.__subclasses__():
        yield below
        yield from sdk_errors(below)


@pytest.mark.parametrize("kind", list(dict.fromkeys(sdk_errors())))
def test_each_error_of_the_sdk_has_its_line_and_none_is_definite_by_accident(kind):
    """Only these are anything else than in doubt, whatever the SDK has or will have."""
    definite: dict[type[Exception], type] = {
        stripe.InvalidRequestError: Rejected,
        stripe.CardError: Rejected,
        stripe.AuthenticationError: NotSent,
        stripe.PermissionError: NotSent,
        stripe.RateLimitError: RetryLater,
    }
    raised = kind.__new__(kind)
    stripe.StripeError.__init__(
        raised, "No.", None, 400, {"error": {"code": "some_code", "message": "No."}}, {}, "some_code"
    )

    assert type(outcome_of(raised)) is definite.get(kind, Unknown)


def test_the_table_ends_in_doubt():
    assert OUTCOME_BY_ERROR[-1][0] is stripe.StripeError
    assert isinstance(outcome_of(RuntimeError("anything")), Unknown)
    assert isinstance(outcome_of(stripe.InvalidRequestError("refused by the SDK", "amount")), NotSent)
