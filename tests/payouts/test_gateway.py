"""The gateway: what is sent, what comes back, and what each failure of the SDK means, on real sockets."""

import uuid

import pytest
import stripe

from payouts.gateway import (
    API_VERSION,
    Confirmed,
    GatewayError,
    LiveKeyRefused,
    Rejected,
    RetryLater,
    StandInOnly,
    StripeGateway,
    TransferIntent,
    Unknown,
    UnsendableIntent,
)
from tests.support.house import wait_for
from tests.support.scripted_server import scripted
from tests.support.stripe_process import books, held, play_faults
from tests.support.transfers import intent

KEY = "sk_test_gateway"
TRANSFERS = "POST /v1/transfers"


@pytest.fixture(scope="module")
def gateway(address: str) -> StripeGateway:
    return StripeGateway(KEY, address)


@pytest.fixture
def account_id(gateway: StripeGateway) -> str:
    return gateway.create_account("P-1", "GB", "finance@example.com", str(uuid.uuid4()))


# What is sent


def test_a_transfer_is_confirmed_with_what_stripe_calls_it(gateway, address, account_id):
    outcome = gateway.create_transfer(intent(account_id, description="January"))

    assert isinstance(outcome, Confirmed)
    assert outcome.transfer_id.startswith("tr_")
    assert str(outcome.balance_transaction).startswith("txn_")
    assert str(outcome.request_id).startswith("req_")
    assert held(address, account_id) == {"gbp": 1250}


def test_every_request_but_a_transfer_waits_for_its_turn(address, account_id):
    """Each page, too. A transfer has its worker's rate, which does not sleep before the socket."""
    turns = []
    paced = StripeGateway(KEY, address, wait_turn=lambda: turns.append(1))
    made = paced.create_transfer(intent(account_id))
    assert turns == []

    assert isinstance(made, Confirmed)
    assert paced.transfer(made.transfer_id)
    assert paced.account(account_id).account_id == account_id
    assert paced.find_transfers("batch-1", account_id)
    assert len(turns) == 3


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
        {"currency": "zzz"},
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
        gateway = StripeGateway(KEY, address, read_timeout_s=3)
        for _ in range(2):
            gateway.create_transfer(once)
    heads = [request.partition(b"\r\n\r\n")[0].decode().lower() for request in heard]
    bodies = [request.partition(b"\r\n\r\n")[2] for request in heard]

    assert bodies[0] == bodies[1] != b""
    assert b"amount=1250&currency=gbp" in bodies[0]
    assert b"payout-7-1" not in bodies[0]
    for head in heads:
        assert "idempotency-key: payout-7-1" in head
        assert f"stripe-version: {API_VERSION}" in head
        # Nothing of the machine: the SDK's telemetry would add its platform.
        assert "platform" not in head
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
        ({"currency": "usn"}, "invalid_request_error"),
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
    """With reason: the money moves after that."""
    play_faults(address, {"on": TRANSFERS, "do": "delay", "seconds": 1.5})
    hasty = StripeGateway(KEY, address, read_timeout_s=0.2)
    outcome = hasty.create_transfer(intent(account_id))

    assert isinstance(outcome, Unknown)
    assert outcome.reason == "connection"
    wait_for(lambda: held(address, account_id) == {"gbp": 1250})


def test_nobody_there_is_in_doubt():
    outcome = StripeGateway(KEY, "http://127.0.0.1:9").create_transfer(intent("acct_1"))

    assert isinstance(outcome, Unknown)
    assert outcome.reason == "connection"


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
