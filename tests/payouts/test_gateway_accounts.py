"""Connected accounts through the real SDK: v2 first, v1 after a definite no of v2, never after silence."""

import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from payouts.connected import BankPayout, Contents, NewAccount
from payouts.gateway import GatewayError, StripeGateway
from payouts.gateway_accounts import read_v2_account
from payouts.outcomes import Unknown
from tests.support.scripted_server import answer, error, scripted
from tests.support.stripe_drift import RECORDED as SDK_TYPES
from tests.support.stripe_schemas import fixtures, mistakes

KEY = "sk_test_accounts"
NEW = NewAccount("partner-1", "Acme Ltd", "hi@acme.example", "US")
V2: dict[str, Any] = {
    "id": "acct_2",
    "object": "v2.core.account",
    "applied_configurations": ["recipient"],
    "created": "2026-05-28T21:26:40.000Z",
    "livemode": False,
    "closed": False,
    "configuration": {
        "recipient": {
            "applied": True,
            "capabilities": {
                "stripe_balance": {
                    "payouts": {"status": "active", "status_details": []},
                    "stripe_transfers": {"status": "active", "status_details": []},
                }
            },
        }
    },
    "defaults": {
        "currency": "usd",
        "locales": None,
        "profile": None,
        "responsibilities": {
            "fees_collector": "application",
            "losses_collector": "application",
            "requirements_collector": "stripe",
        },
    },
    "identity": {"country": "us"},
    "metadata": {"reference": "partner-1"},
    "requirements": {"entries": []},
}


def body(content: Any) -> bytes:
    """A good answer."""
    return answer(200, json.dumps(content).encode(), Request_Id="req_1")


def v1_account(**changes: Any) -> dict[str, Any]:
    """An account as the provider's own fixture has it."""
    return {**fixtures()["account"], "id": "acct_1", **changes}


BLOCKED = answer(400, error("invalid_request_error", "accounts_v2_access_blocked"))
NO_SUCH_DOOR = answer(404, error("invalid_request_error"))
FORBIDDEN = answer(403, error("invalid_request_error", "more_permissions_required"))
NOT_THERE = answer(404, error("invalid_request_error", "resource_missing"))
SILENCE = b""


def heads(heard: list[bytes]) -> list[tuple[str, str | None]]:
    """The first line's address, and the key, of each request."""
    found = []
    for request in heard:
        lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")
        keys = [
            line.partition(":")[2].strip() for line in lines if line.lower().startswith("idempotency-key")
        ]
        found.append((" ".join(lines[0].split()[:2]).partition("?")[0], keys[0] if keys else None))
    return found


def content_of(request: bytes) -> Any:
    """What was sent: JSON to v2, a form to v1."""
    text = request.partition(b"\r\n\r\n")[2].decode()
    return json.loads(text) if text.startswith("{") else parse_qs(text)


def opened(answers: list[bytes], api: Any = "auto") -> tuple[Any, list[bytes]]:
    """What came of making an account, and what was asked."""
    heard: list[bytes] = []
    with scripted(answers, heard) as address:
        gateway = StripeGateway(KEY, address, accounts_api=api, read_timeout_s=3)
        try:
            return gateway.open_account(NEW), heard
        except GatewayError as refused:
            return refused.outcome, heard


def test_the_answer_played_here_is_one_of_v2():
    """By the SDK's own types."""
    assert mistakes(SDK_TYPES, "v2_v2_core_account", V2, closed=True) == []


def test_an_account_is_made_by_v2_as_a_recipient():
    """Only to receive, with the express dashboard, under a key derived from the partner."""
    account, heard = opened([body(V2)])

    assert (account.account_id, account.transfers_active, account.country) == ("acct_2", True, "US")
    assert heads(heard) == [("POST /v2/core/accounts", "account-v2-partner-1")]
    sent = content_of(heard[0])
    assert sent["configuration"] == {
        "recipient": {"capabilities": {"stripe_balance": {"stripe_transfers": {"requested": True}}}}
    }
    assert (sent["dashboard"], sent["contact_email"], sent["identity"]) == (
        "express",
        "hi@acme.example",
        {"country": "us"},
    )
    assert sent["metadata"] == {"reference": "partner-1"}


@pytest.mark.parametrize("no", [BLOCKED, NO_SUCH_DOOR, FORBIDDEN], ids=["blocked", "no door", "forbidden"])
def test_a_definite_no_of_v2_makes_an_express_account(no):
    """Under v1's key."""
    account, heard = opened([no, body(v1_account())])

    assert account.account_id == "acct_1"
    assert heads(heard) == [
        ("POST /v2/core/accounts", "account-v2-partner-1"),
        ("POST /v1/accounts", "account-partner-1"),
    ]
    sent = content_of(heard[1])
    assert (sent["type"], sent["capabilities[transfers][requested]"]) == (["express"], ["true"])


@pytest.mark.parametrize("odd", [SILENCE, answer(500, b"<html>"), answer(409, error("api_error", "x"))])
def test_silence_of_v2_makes_nothing_by_v1(odd):
    """The account may exist: asked again, it is the same one."""
    outcome, heard = opened([odd])

    assert isinstance(outcome, Unknown)
    assert len(heard) == 1


def test_the_setting_decides_before_anything_is_asked():
    """v1 never tries v2; v2 never falls back."""
    _, by_v1 = opened([body(v1_account())], "v1")
    _, by_v2 = opened([BLOCKED], "v2")

    assert heads(by_v1) == [("POST /v1/accounts", "account-partner-1")]
    assert heads(by_v2) == [("POST /v2/core/accounts", "account-v2-partner-1")]


def test_an_account_that_v2_does_not_show_is_looked_at_by_v1():
    """Once v2 was refused as such it is not tried again."""
    heard: list[bytes] = []
    answers = [NOT_THERE, body(v1_account()), body(V2), BLOCKED, body(v1_account()), body(v1_account())]
    with scripted(answers, heard) as address:
        gateway = StripeGateway(KEY, address, accounts_api="auto")
        found = [gateway.account(one).account_id for one in ("acct_1", "acct_2", "acct_1", "acct_1")]

    assert found == ["acct_1", "acct_2", "acct_1", "acct_1"]
    assert [head.split()[1][:4] for head, _ in heads(heard)] == [
        "/v2/",
        "/v1/",
        "/v2/",
        "/v2/",
        "/v1/",
        "/v1/",
    ]


def test_a_link_is_fresh_and_ends():
    """By v2 and by v1."""
    v2_link = {
        "account": "acct_2",
        "created": "2026-05-28T21:26:40.000Z",
        "expires_at": "2026-05-28T21:31:40.000Z",
        "livemode": False,
        "object": "v2.core.account_link",
        "url": "https://connect.example/2",
        "use_case": {
            "type": "account_onboarding",
            "account_onboarding": {"refresh_url": "https://a.example/r"},
        },
    }
    v1_link = {
        "object": "account_link",
        "created": 1,
        "expires_at": 1_780_000_300,
        "url": "https://c.example/1",
    }
    heard: list[bytes] = []
    with scripted([body(v2_link), NOT_THERE, body(v1_link)], heard) as address:
        gateway = StripeGateway(KEY, address, accounts_api="auto")
        links = [
            gateway.account_link(one, return_url="https://a.example/", refresh_url="https://a.example/r")
            for one in ("acct_2", "acct_1")
        ]

    assert [link.url for link in links] == ["https://connect.example/2", "https://c.example/1"]
    assert [int(link.expires_at.timestamp()) for link in links] == [1_780_003_900, 1_780_000_300]
    assert content_of(heard[0])["use_case"] == {
        "type": "account_onboarding",
        "account_onboarding": {"return_url": "https://a.example/", "refresh_url": "https://a.example/r"},
    }


def with_transfers(status: str, code: str | None = None, **more: Any) -> dict[str, Any]:
    """The v2 account with its capability like that."""
    details = [{"code": code, "resolution": "contact_stripe"}] if code else []
    balance = {"stripe_transfers": {"status": status, "status_details": details}, "payouts": None}
    recipient = {"applied": True, "capabilities": {"stripe_balance": balance}}
    return {**V2, "configuration": {"recipient": recipient}, **more}


@pytest.mark.parametrize(
    ("content", "active", "reason"),
    [
        (with_transfers("active"), True, None),
        (with_transfers("pending"), False, None),
        (with_transfers("restricted", "requirements_past_due"), False, "restricted.requirements_past_due"),
        (with_transfers("rejected", "rejected_other"), False, "rejected.rejected_other"),
        (with_transfers("unsupported"), False, "unsupported.other"),
        (with_transfers("active", closed=True), False, "closed"),
        ({**V2, "configuration": None}, False, None),
    ],
)
def test_a_v2_account_is_told_in_the_words_of_v1(content, active, reason):
    account = read_v2_account(content)

    assert (account.transfers_active, account.disabled_reason) == (active, reason)


def test_what_v2_wants_from_the_owner_is_what_is_due():
    """Not what Stripe itself has to do, nor what is due one day."""

    def entry(description: str, deadline: str, who: str = "user") -> dict[str, Any]:
        return {
            "description": description,
            "awaiting_action_from": who,
            "minimum_deadline": {"status": deadline},
        }

    entries = [
        entry("identity.individual.email", "currently_due"),
        entry("identity.individual.dob", "past_due"),
        entry("identity.attestations", "eventually_due"),
        entry("review", "currently_due", "stripe"),
    ]
    account = read_v2_account({**V2, "requirements": {"entries": entries}})

    assert account.currently_due == ("identity.individual.email", "identity.individual.dob")


# What follows a transfer


def listed(*items: dict[str, Any], more: bool = False) -> bytes:
    """A page of a list."""
    return body({"object": "list", "data": list(items), "has_more": more, "url": "/v1/x"})


def test_payouts_of_a_connected_account_are_read_in_its_name():
    """With `Stripe-Account`, through all pages, oldest first, in our minor units."""
    base = {**fixtures()["payout"], "currency": "ugx", "automatic": True, "status": "paid"}
    new = {**base, "id": "po_2", "created": 20, "amount": 500}
    old = {
        **base,
        "id": "po_1",
        "created": 10,
        "amount": 200,
        "status": "failed",
        "failure_code": "no_account",
    }
    heard: list[bytes] = []
    with scripted([listed(new, more=True), listed(old)], heard) as address:
        found = StripeGateway(KEY, address).bank_payouts("acct_1", 5)

    assert found == [
        BankPayout("po_1", "failed", 2, "UGX", True, 10, "no_account"),
        BankPayout("po_2", "paid", 5, "UGX", True, 20, None),
    ]
    for request in heard:
        assert b"stripe-account: acct_1" in request.lower()
        assert b"created[gte]=5" in request or b"created%5Bgte%5D=5" in request


def test_what_is_in_a_payout_is_told_by_its_entries():
    """Payments by their ids, and earlier payouts that had failed; not itself, nor fees."""
    base = fixtures()["balance_transaction"]
    entries = [
        {**base, "id": "txn_1", "type": "payment", "source": "py_1"},
        {**base, "id": "txn_2", "type": "payout_failure", "source": "po_1"},
        {**base, "id": "txn_3", "type": "payout", "source": "po_2"},
        {**base, "id": "txn_4", "type": "stripe_fee", "source": None},
        {**base, "id": "txn_5", "type": "payment", "source": {"id": "py_2", "object": "charge"}},
    ]
    with scripted([listed(*entries)]) as address:
        found = StripeGateway(KEY, address).bank_payout_contents("acct_1", "po_2")

    assert found == Contents(payments={"py_1", "py_2"}, failed_payouts={"po_1"})


def test_transfers_and_what_came_back_of_them():
    """By destination, and each reversal."""
    transfer = {
        **fixtures()["transfer"],
        "id": "tr_1",
        "amount": 1_000,
        "amount_reversed": 300,
        "currency": "gbp",
        "destination": "acct_1",
        "destination_payment": "py_1",
        "metadata": {"payout_id": "p-1"},
    }
    reversal = {**fixtures()["transfer_reversal"], "id": "trr_1", "amount": 300, "currency": "gbp"}
    with scripted([listed(transfer), body(transfer), NOT_THERE, listed(reversal)]) as address:
        gateway = StripeGateway(KEY, address)
        [sent] = gateway.transfers_to("acct_1", 0)
        same, nothing = gateway.sent_transfer("tr_1"), gateway.sent_transfer("tr_9")
        [back] = gateway.reversals("tr_1")

    assert (sent.payment_id, sent.payout_id, sent.left_minor) == ("py_1", "p-1", 700)
    assert (same, nothing) == (sent, None)
    assert (back.reversal_id, back.amount_minor, back.currency) == ("trr_1", 300, "GBP")
