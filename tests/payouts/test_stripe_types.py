"""Stripe's types as the installed SDK has them, against those that the stand-in was built by."""

import copy

import requests
import stripe

from payouts.simulator.app import open_store
from tests.support.in_process_stripe import InProcessStripe
from tests.support.stripe_drift import differences, installed, operations, recorded
from tests.support.stripe_process import PATIENCE_S, running_stripe
from tests.support.stripe_sdk import an_account, connect
from tests.support.stripe_watch import heard


def test_the_installed_sdk_says_what_the_stand_in_was_built_by():
    """An update of the SDK that changes anything we use fails here, with a line for each change."""
    found = differences(recorded(), installed())

    assert found == [], "\n".join(
        [f"stripe {stripe.VERSION} differs from the types kept in tests/data/stripe:", *found]
    )


def test_all_that_the_stand_in_serves_is_compared():
    assert len(operations()) > 35
    for verb, path in operations():
        assert verb in installed()["paths"].get(path, {}), f"the SDK has no {verb} {path}"


def test_a_change_is_told_by_its_name():
    """New, gone and other: in a parameter, in a resource, in a part of one, and a whole operation."""
    now = copy.deepcopy(installed())
    transfer = now["components"]["schemas"]["transfer"]
    transfer["properties"]["status"] = {"type": "string", "enum": ["paid"]}
    transfer["properties"]["amount"] = {"type": "string"}
    del now["components"]["schemas"]["payout"]["properties"]["trace_id"]
    form = now["paths"]["/v1/transfers"]["post"]["requestBody"]["content"]
    form["application/x-www-form-urlencoded"]["schema"]["required"].append("amount")
    del now["paths"]["/v1/topups"]["post"]

    assert [line for line in differences(recorded(), now) if "/v1/topups" not in line] == [
        "- Payout.trace_id.status: string (always)",
        "- Payout.trace_id.value: string?",
        "- Payout.trace_id: {…}?",
        "+ Transfer.status: string paid",
        "~ POST /v1/transfers takes.amount: integer -> integer (always)",
        "~ Transfer.amount: integer (always) -> string (always)",
    ]
    assert "~ POST /v1/topups: there -> not there" in differences(recorded(), now)


def test_a_call_that_stripe_would_not_know_is_noticed():
    """The watch that every test is under, seen to bark."""
    standin = InProcessStripe()
    account = an_account(standin.sdk())
    with standin.store.write() as tx:
        body = tx.get("account", "platform", account.id)
        assert body is not None
        tx.replace({**body, "colour": "blue"})
    standin.sdk().v1.accounts.retrieve(account.id)

    found = heard()

    assert len(found) == 2  # by the kept types, and by the installed ones
    assert all("colour" in mistake for mistake in found)


def test_a_stand_in_that_is_a_process_is_watched_whoever_asks_it(tmp_path):
    """Also where another process asks it: what it answers is looked at on its own side."""
    with running_stripe(tmp_path) as address:
        account = an_account(connect(address, []))
    store = open_store(tmp_path / "stripe-simulator.db")
    with store.write() as tx:
        body = tx.get("account", "platform", account.id)
        assert body is not None
        tx.replace({**body, "colour": "blue"})
    store.close()
    nothing_yet = heard()

    with running_stripe(tmp_path, watched=True) as address:
        path, key = f"{address}/v1/accounts/{account.id}", {"Authorization": "Bearer sk_test_1"}
        assert requests.get(path, headers=key, timeout=PATIENCE_S).json()["colour"] == "blue"
    found = heard()

    assert nothing_yet == []
    assert len(found) == 2
    assert all("colour" in mistake for mistake in found)
