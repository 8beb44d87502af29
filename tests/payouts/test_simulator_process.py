"""What only the process of the stand-in has: control addresses, a clock that stays moved, files of before."""

import sqlite3
from typing import Any

import pytest
import requests
import stripe

from payouts.simulator.books import SCHEMA as BOOKS
from payouts.simulator.store import Store
from tests.support.stripe_process import books, held, running_stripe, sim
from tests.support.stripe_sdk import a_transfer, an_account, connect

DAY_S = 24 * 3600


def test_the_clock_moves_everything(client, address):
    """What is created, what a key is worth, and what arrives."""
    account = an_account(client)
    first = a_transfer(client, account.id, "k")
    payout = client.v1.payouts.create({"amount": 1000, "currency": "gbp"}, {"stripe_account": account.id})
    moved = sim(address, "clock", {"advance_s": 2 * DAY_S})["now"]
    arrived = client.v1.payouts.retrieve(payout.id, options={"stripe_account": account.id})
    again = a_transfer(client, account.id, "k")

    assert moved >= first.created + 2 * DAY_S
    assert arrived.status == "paid"
    assert again.id != first.id
    assert moved <= again.created <= sim(address, "clock")["now"]
    assert books(address)["balanced"] is True


def test_clock_and_settings_outlive_the_process(tmp_path):
    with running_stripe(tmp_path) as address:
        frozen = sim(address, "clock", {"set": 2_000_000_000, "freeze": True})
        sim(address, "settings", {"onboarding": "manual"})
    with running_stripe(tmp_path) as address:
        still = sim(address, "clock")
        account = an_account(connect(address, []))

    assert frozen == still == {"now": 2_000_000_000}
    assert (account.created, account.payouts_enabled) == (2_000_000_000, False)


def test_what_owners_and_reviews_do_is_played(client, address):
    account = an_account(client)
    sim(address, f"accounts/{account.id}", {"transfers": "inactive"})
    with pytest.raises(stripe.InvalidRequestError):
        a_transfer(client, account.id)
    sim(address, f"accounts/{account.id}", {"onboarded": True})
    a_transfer(client, account.id)
    (payout,) = sim(address, f"accounts/{account.id}/pay_out", {})["data"]
    before = held(address, "platform")["usd"]
    sim(address, "drain", {"currency": "usd"})

    assert (payout["automatic"], payout["amount"]) == (True, 1250)
    assert (before > 0, held(address, "platform")["usd"]) == (True, 0)
    assert held(address, account.id) == {"gbp": 0}


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("clock", {"backwards": True}),
        ("settings", {"colour": "blue"}),
        ("settings", {"onboarding": "never"}),
        ("webhooks", {"hook": {"url": "http://127.0.0.1:9/"}}),
        ("accounts/acct_nobody", {"onboarded": True}),
        ("accounts/acct_nobody/pay_out", {}),
        ("drain", {}),
    ],
)
def test_nonsense_at_a_control_address_is_refused(address, path, content):
    answer = requests.post(f"{address}/_sim/{path}", json=content, timeout=10)

    assert answer.status_code in (400, 403)
    assert answer.json()["error"]["message"]


def test_a_file_of_before_payouts_is_still_read(tmp_path):
    """The first layout had no `listed`, and one id was one object."""
    path = tmp_path / "stripe-simulator.db"
    with sqlite3.connect(path) as before:
        before.executescript(FIRST_LAYOUT + BOOKS)
        before.execute(
            "INSERT INTO object (id, kind, owner, created, body) VALUES"
            " ('acct_1', 'account', 'platform', 5, '{\"id\":\"acct_1\",\"object\":\"account\"}')"
        )
        before.execute(
            "INSERT INTO book (movement, account, currency, amount, created) VALUES"
            " ('tu_1', 'world', 'gbp', -5, 5), ('tu_1', 'platform', 'gbp', 5, 5)"
        )
    for _ in range(2):
        store = Store(path)
        with store.read() as tx:
            account: Any = tx.select("account", "platform", {"listed <= ?": 5}, oldest_first=True, limit=9)
        store.close()
    with running_stripe(tmp_path, platform_balance=["gbp=7", "usd=7"]) as address:
        kept = held(address, "platform")

    assert account == [{"id": "acct_1", "object": "account"}]
    assert kept == {"gbp": 5, "usd": 7}


FIRST_LAYOUT = """
CREATE TABLE object (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    owner TEXT NOT NULL,
    created INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX object_in_list ON object (kind, owner, seq);
CREATE INDEX object_in_group ON object (kind, owner, json_extract(body, '$.transfer_group'), seq);
CREATE TABLE idempotency (
    owner TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL,
    request_id TEXT NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (owner, key)
) WITHOUT ROWID;
"""
