"""The gateway: what is sent, what comes back, and what each failure of the SDK means, on real sockets."""

import json
import socket
import struct
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
import stripe

from payouts.gateway import (
    API_VERSION,
    OUTCOME_BY_ERROR,
    Confirmed,
    GatewayError,
    LiveKeyRefused,
    NotSent,
    Rejected,
    RetryLater,
    StandInOnly,
    StripeGateway,
    TransferIntent,
    Unknown,
    UnsendableIntent,
    outcome_of,
)
from tests.support.stripe_process import books, held, play_faults, running_stripe
from tests.support.stripe_schemas import fixtures

KEY = "sk_test_gateway"
TRANSFERS = "POST /v1/transfers"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_stripe(tmp_path_factory.mktemp("stripe")) as base_url:
        yield base_url


@pytest.fixture(scope="module")
def gateway(address: str) -> StripeGateway:
    return StripeGateway(KEY, address)


@pytest.fixture
def account_id(gateway: StripeGateway) -> str:
    return gateway.create_account("P-1", "GB", "finance@example.com", str(uuid.uuid4()))


def intent(destination: str, key: str | None = None, **changes) -> TransferIntent:
    """An intent as the worker records it, of 12.50 GBP."""
    body = {
        "amount": 1250,
        "currency": "gbp",
        "destination": destination,
        "metadata": {"attempt": "1", "payout_id": "payout-7"},
        "transfer_group": "batch-1",
        **changes,
    }
    return TransferIntent(key or str(uuid.uuid4()), json.dumps(body))


# What is sent


def test_a_transfer_is_confirmed_with_what_stripe_calls_it(gateway, address, account_id):
    outcome = gateway.create_transfer(intent(account_id, description="January"))

    assert isinstance(outcome, Confirmed)
    assert outcome.transfer_id.startswith("tr_")
    assert str(outcome.balance_transaction).startswith("txn_")
    assert str(outcome.request_id).startswith("req_")
    assert held(address, account_id) == {"gbp": 1250}


def test_the_same_intent_again_is_the_same_transfer(gateway, address, account_id):
    once = intent(account_id)
    first, second = gateway.create_transfer(once), gateway.create_transfer(once)

    assert isinstance(first, Confirmed)
    assert isinstance(second, Confirmed)
    assert (first.transfer_id, first.created) == (second.transfer_id, second.created)
    assert held(address, account_id) == {"gbp": 1250}


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 12.5},
        {"amount": 1250.0},
        {"amount": "1250"},
        {"amount": True},
        {"amount": None},
        {"amount": 0},
        {"amount": -1},
        {"amount": 2**63},
        {"currency": "GBP"},
        {"currency": "pounds"},
        {"destination": ""},
        {"transfer_group": ""},
        {"metadata": {}},
        {"metadata": {"payout_id": 7}},
        {"colour": "blue"},
    ],
)
def test_what_is_no_whole_intent_is_never_sent(changes):
    """Floats above all. The address leads nowhere: an attempt to send would be Unknown, not an exception."""
    nowhere = StripeGateway(KEY, "http://127.0.0.1:9")
    with pytest.raises(UnsendableIntent):
        nowhere.create_transfer(intent(**{"destination": "acct_1", **changes}))


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_without_a_usable_key_nothing_is_sent(key):
    body = intent("acct_1").body
    with pytest.raises(UnsendableIntent):
        StripeGateway(KEY, "http://127.0.0.1:9").create_transfer(TransferIntent(key, body))


def test_key_version_and_bytes_are_the_recorded_ones():
    """Twice the same intent: twice the same bytes, and the key in the header, not in the form."""
    heard: list[bytes] = []
    once = intent("acct_1", "payout-7-1")
    with scripted([b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n{}"] * 2, heard) as address:
        for _ in range(2):
            StripeGateway(KEY, address).create_transfer(once)
    heads = [request.partition(b"\r\n\r\n")[0].decode().lower() for request in heard]
    bodies = [request.partition(b"\r\n\r\n")[2] for request in heard]

    assert bodies[0] == bodies[1] != b""
    assert b"amount=1250&currency=gbp" in bodies[0]
    assert b"payout-7-1" not in bodies[0]
    for head in heads:
        assert "idempotency-key: payout-7-1" in head
        assert f"stripe-version: {API_VERSION}" in head
        assert "x-stripe-client-telemetry" not in head


def test_the_pinned_version_is_the_one_of_the_sdk():
    """An update of the SDK shows here: then read what changed, and move both."""
    assert API_VERSION == "2026-10-28.endive"
    assert stripe.api_version == API_VERSION


# Live keys


@pytest.mark.parametrize("key", ["sk_live_1", "rk_live_1", "sk_org_live_1", "whatever"])
def test_a_key_that_is_no_test_key_must_be_meant(key):
    with pytest.raises(LiveKeyRefused):
        StripeGateway(key)
    with pytest.raises(LiveKeyRefused, match="unencrypted"):
        StripeGateway(key, "http://127.0.0.1:12111", live=True)

    assert StripeGateway(key, live=True).address == "https://api.stripe.com"


def test_test_money_is_for_the_stand_in(gateway, address):
    before = held(address, "platform")["gbp"]
    topup = gateway.top_up_test_balance("GBP", 500, str(uuid.uuid4()))
    with pytest.raises(StandInOnly):
        StripeGateway(KEY).top_up_test_balance("gbp", 500, "k")

    assert topup.startswith("tu_")
    assert held(address, "platform")["gbp"] == before + 500


# What failures mean: the stand-in's


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"destination": "acct_nobody"}, "resource_missing"),
        ({"amount": 10**15}, "balance_insufficient"),
        ({"currency": "zzz"}, "invalid_request_error"),
    ],
)
def test_a_definite_no_is_rejected(gateway, address, account_id, changes, code):
    movements = books(address)["movements"]
    outcome = gateway.create_transfer(intent(**{"destination": account_id, **changes}))

    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.http_status) == (code, 400)
    assert outcome.message
    assert books(address)["movements"] == movements


@pytest.mark.parametrize(
    ("fault", "reason", "moved"),
    [
        ("drop_before", "connection", False),
        ("drop_after_commit", "connection", True),
        ("truncate_after_commit", "connection", True),
        ("stored_500", "server_error", False),
        ("stored_500_after_commit", "server_error", True),
        ("key_in_use", "conflict", False),
    ],
)
def test_what_is_in_doubt_is_unknown_and_the_same_key_never_pays_twice(
    gateway, address, account_id, fault, reason, moved
):
    play_faults(address, {"on": TRANSFERS, "do": fault})
    once = intent(account_id)
    outcome = gateway.create_transfer(once)
    after_the_fault = held(address, account_id)
    again = gateway.create_transfer(once)

    assert isinstance(outcome, Unknown)
    assert outcome.reason == reason
    assert after_the_fault == ({"gbp": 1250} if moved else {})
    if fault.startswith("stored_500"):
        assert isinstance(again, Unknown)
        assert held(address, account_id) == after_the_fault
    else:
        assert isinstance(again, Confirmed)
        assert held(address, account_id) == {"gbp": 1250}


@pytest.mark.parametrize(("header", "after_s"), [(7, 7), (None, 1), (10**6, 3600)])
def test_too_busy_means_later(gateway, address, account_id, header, after_s):
    play_faults(address, {"on": TRANSFERS, "do": "rate_limit", "retry_after_s": header})
    outcome = gateway.create_transfer(intent(account_id))

    assert isinstance(outcome, RetryLater)
    assert outcome.after_s == after_s
    assert held(address, account_id) == {}


def test_the_same_key_with_another_body_is_in_doubt(gateway, account_id):
    """The first body may have been paid: to call this a rejection would open a second attempt."""
    gateway.create_transfer(intent(account_id, key := str(uuid.uuid4())))
    outcome = gateway.create_transfer(intent(account_id, key, amount=1251))

    assert isinstance(outcome, Unknown)
    assert outcome.reason == "idempotency_mismatch"


def test_a_read_that_takes_too_long_is_in_doubt(address, account_id):
    play_faults(address, {"on": TRANSFERS, "do": "delay", "seconds": 1.5})
    hasty = StripeGateway(KEY, address, read_timeout_s=0.2)
    outcome = hasty.create_transfer(intent(account_id))

    assert isinstance(outcome, Unknown)
    assert outcome.reason == "connection"


def test_nobody_there_is_in_doubt():
    outcome = StripeGateway(KEY, "http://127.0.0.1:9").create_transfer(intent("acct_1"))

    assert isinstance(outcome, Unknown)
    assert outcome.reason == "connection"


# What failures mean: odd bodies, from a socket that says what we want


@contextmanager
def scripted(answers: list[bytes], heard: list[bytes] | None = None) -> Iterator[str]:
    """A server that gives one answer after the other, each on its connection; an empty one resets it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                request = _request(connection)
                if heard is not None:
                    heard.append(request)
                if answer:
                    connection.sendall(answer)
                else:
                    # Linger 0: the connection ends with a reset instead of an orderly end.
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.join(timeout=5)
        assert not server.is_alive(), "not every answer was fetched"
    finally:
        listener.close()


def _request(connection: socket.socket) -> bytes:
    """One whole request."""
    read = b""
    while b"\r\n\r\n" not in read:
        read += connection.recv(65536)
    head, _, body = read.partition(b"\r\n\r\n")
    length = next(
        (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        ),
        0,
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(status: int, body: bytes, **headers: str) -> bytes:
    """An HTTP answer; a longer length than the body's makes it a truncated one."""
    fields = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **headers,
    }
    lines = [
        f"HTTP/1.1 {status} X",
        *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def error(kind: str, code: str | None = None) -> bytes:
    """A body in Stripe's error shape."""
    return json.dumps(
        {"error": {"type": kind, "message": "No.", **({"code": code} if code else {})}}
    ).encode()


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
        outcome = StripeGateway(KEY, address).create_transfer(intent("acct_1"))

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
            heard.append(_request(connection))
            connection.sendall(keep)
            heard.append(_request(connection))
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
        gateway = StripeGateway(KEY, f"http://127.0.0.1:{listener.getsockname()[1]}")
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


# Questions


def test_transfers_are_found_by_group_and_account_through_all_pages(gateway, account_id):
    group = str(uuid.uuid4())
    made = []
    for number in range(103):
        metadata = {"payout_id": str(number)}
        outcome = gateway.create_transfer(
            intent(account_id, transfer_group=group, amount=1 + number, metadata=metadata)
        )
        assert isinstance(outcome, Confirmed)
        made.append((outcome.transfer_id, 1 + number, str(number)))
    gateway.create_transfer(intent(account_id))
    found = gateway.find_transfers(group, account_id)

    assert [(one.id, one.amount, one.metadata["payout_id"]) for one in found] == made[::-1]
    assert gateway.find_transfers(group, "acct_another") == []
    assert gateway.find_transfers(group, account_id, created_from=found[0].created + 10) == []


def test_an_account_is_made_once_a_key_and_says_how_it_stands(gateway):
    key = str(uuid.uuid4())
    first = gateway.create_account("P-9", "DE", "finance@example.com", key)
    account = gateway.account(first)

    assert gateway.create_account("P-9", "DE", "finance@example.com", key) == first
    assert (account.account_id, account.country, account.default_currency) == (first, "DE", "eur")
    assert (account.transfers_active, account.payouts_enabled) == (True, True)
    assert (account.disabled_reason, account.currently_due) == (None, ())


def test_balance_and_health_show_what_the_books_hold(gateway, address):
    balance = gateway.platform_balance()
    health = gateway.ping()

    assert balance == held(address, "platform")
    assert (health.address, health.api_version, health.livemode) == (address, API_VERSION, False)
    assert health.balance_minor == balance


def test_a_question_without_answer_says_why(gateway, address):
    with pytest.raises(GatewayError) as closed:
        gateway.account("acct_nobody")
    play_faults(address, {"on": "GET /v1/balance", "do": "drop_before"})
    with pytest.raises(GatewayError) as dropped:
        gateway.platform_balance()
    play_faults(address, {"on": "GET /v1/transfers", "do": "stored_500"})
    with pytest.raises(GatewayError) as failed:
        gateway.find_transfers("g", "acct_1")
    with pytest.raises(GatewayError) as refused:
        gateway.create_account("P-1", "Germany", "finance@example.com", str(uuid.uuid4()))

    assert isinstance(closed.value.outcome, Rejected)
    assert isinstance(dropped.value.outcome, Unknown)
    assert isinstance(failed.value.outcome, Unknown)
    assert isinstance(refused.value.outcome, Rejected)


def test_after_all_of_this_the_books_balance(address):
    assert books(address)["balanced"] is True
