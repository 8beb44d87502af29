"""Accounts of the stand-in by both versions of the API: onboarding, capabilities, links, thin events."""

import json
from typing import Any

import pytest
import requests
import stripe

from payouts.simulator.faults import Fault
from tests.support.in_process_stripe import ADDRESS, InProcessStripe
from tests.support.stripe_sdk import a_transfer, an_account, error_of

DAY_S = 24 * 3600
RECIPIENT: Any = {
    "contact_email": "partner@example.com",
    "display_name": "A partner",
    "dashboard": "express",
    "identity": {"country": "gb", "entity_type": "company"},
    "configuration": {
        "recipient": {"capabilities": {"stripe_balance": {"stripe_transfers": {"requested": True}}}}
    },
    "defaults": {
        "currency": "gbp",
        "responsibilities": {"fees_collector": "application", "losses_collector": "application"},
    },
    "metadata": {"reference": "P-1"},
    "include": ["configuration.recipient", "defaults", "identity", "requirements"],
}


@pytest.fixture
def client(in_process_client: stripe.StripeClient) -> stripe.StripeClient:
    return in_process_client


def status_of(account: stripe.v2.core.Account) -> str:
    """Whether a v2 account can receive transfers."""
    shown: dict[str, Any] = account.to_dict()
    balance = shown["configuration"]["recipient"]["capabilities"]["stripe_balance"]
    return str(balance["stripe_transfers"]["status"])


def follow(standin: InProcessStripe, link: str) -> str:
    """Open an address of a link as a browser does: where it leads to."""
    answer = standin.session().request("GET", link)
    assert answer.status_code == 303, answer.content
    return answer.headers["Location"]


def types_of_thin_events(client: stripe.StripeClient, account: str) -> list[str]:
    events = client.v2.core.events.list({"object_id": account, "limit": 100}).data
    return [event.type for event in reversed(events)]


def test_an_account_is_whole_only_after_its_owner_followed_the_link(client, standin):
    standin.set(onboarding="manual")
    account = an_account(client)
    with pytest.raises(stripe.InvalidRequestError) as too_early:
        a_transfer(client, account.id)
    ends: Any = {"refresh_url": "https://us.example/again", "return_url": "https://us.example/done"}
    link = client.v1.account_links.create({"account": account.id, "type": "account_onboarding", **ends})
    leads_to = follow(standin, link.url)
    whole = client.v1.accounts.retrieve(account.id)
    capabilities = client.v1.accounts.capabilities.list(account.id).data

    assert account.to_dict()["capabilities"] == {"transfers": "inactive"}
    assert (account.payouts_enabled, account.details_submitted) == (False, False)
    assert "external_account" in account.to_dict()["requirements"]["currently_due"]
    assert too_early.value.code == "insufficient_capabilities_for_transfer"
    assert leads_to == "https://us.example/done"
    assert whole.capabilities.to_dict() == {"transfers": "active"}
    assert whole.requirements.currently_due == []
    assert [(one.id, one.status, one.requested) for one in capabilities] == [("transfers", "active", True)]
    assert a_transfer(client, account.id).amount == 1250
    told = [event.type for event in client.v1.events.list({"limit": 5}).data]
    assert {"account.updated", "capability.updated"} <= set(told)
    assert follow(standin, link.url) == "https://us.example/again"  # a link works once


def test_a_link_lives_five_minutes_and_is_its_accounts_own(client, standin):
    standin.set(onboarding="manual")
    first, second = an_account(client), an_account(client)
    ends: Any = {"refresh_url": "https://us.example/again", "return_url": "https://us.example/done"}
    link = client.v1.account_links.create({"account": first.id, "type": "account_onboarding", **ends})
    answer = standin.session().request("GET", link.url.replace(first.id, second.id))
    standin.advance(link.expires_at - link.created)

    assert answer.status_code == 404
    assert follow(standin, link.url) == "https://us.example/again"
    assert not client.v1.accounts.retrieve(first.id).details_submitted
    with pytest.raises(stripe.InvalidRequestError, match="Express"):
        client.v1.account_links.create({"account": first.id, "type": "account_update", **ends})


def test_what_a_review_takes_away_shows_and_comes_back(client, standin):
    account = an_account(client)
    standin.tweak(
        account.id,
        transfers="inactive",
        disabled_reason="requirements.past_due",
        currently_due=("individual.verification.document",),
    )
    restricted = client.v1.accounts.retrieve(account.id)
    with pytest.raises(stripe.InvalidRequestError):
        a_transfer(client, account.id)
    standin.tweak(account.id, onboarded=True)

    assert restricted.requirements.disabled_reason == "requirements.past_due"
    assert restricted.requirements.past_due == ["individual.verification.document"]
    assert a_transfer(client, account.id).amount == 1250
    given_back = client.v1.accounts.capabilities.update(account.id, "transfers", {"requested": False})
    assert given_back.status == "inactive"


def test_a_closed_account_is_closed_to_us(client, standin):
    account = an_account(client)
    standin.tweak(account.id, closed=True)
    with pytest.raises(stripe.PermissionError) as forbidden:
        client.v1.accounts.retrieve(account.id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        a_transfer(client, account.id)

    assert error_of(forbidden.value).code == "account_invalid"
    assert refused.value.code == "resource_missing"
    assert client.v2.core.accounts.retrieve(account.id).closed


# API v2


def test_an_account_by_v2_is_the_same_account_by_v1(client, standin):
    standin.set(onboarding="manual")
    made = client.v2.core.accounts.create(RECIPIENT)
    by_v1 = client.v1.accounts.retrieve(made.id)
    use: Any = {"refresh_url": "https://us.example/again"}
    link = client.v2.core.account_links.create(
        {"account": made.id, "use_case": {"type": "account_onboarding", "account_onboarding": use}}
    )
    leads_to = follow(standin, link.url)
    ready = client.v2.core.accounts.retrieve(
        made.id, {"include": ["configuration.recipient", "requirements"]}
    )

    assert status_of(made) == "restricted"
    assert made.applied_configurations == ["recipient"]
    assert len(made.to_dict()["requirements"]["entries"]) == 4
    assert (by_v1.email, by_v1.country, by_v1.type) == ("partner@example.com", "GB", "express")
    assert by_v1.to_dict()["metadata"] == {"reference": "P-1"}
    assert leads_to == "https://us.example/again"
    assert status_of(ready) == "active"
    assert ready.to_dict()["requirements"]["entries"] == []
    assert ready.identity is None  # not asked for
    assert a_transfer(client, made.id).destination == made.id
    assert types_of_thin_events(client, made.id) == [
        "v2.core.account.created",
        "v2.core.account.updated",
        "v2.core.account[requirements].updated",
        "v2.core.account[configuration.recipient].capability_status_updated",
    ]


def test_an_account_by_v1_can_be_seen_and_changed_by_v2(client):
    account = an_account(client)
    changed = client.v2.core.accounts.update(
        account.id,
        {
            "contact_email": "new@example.com",
            "display_name": "New",
            "metadata": {"a": "1"},
            "configuration": {
                "recipient": {"capabilities": {"stripe_balance": {"stripe_transfers": {"requested": False}}}}
            },
            "include": ["configuration.recipient"],
        },
    )

    assert (changed.contact_email, changed.display_name) == ("new@example.com", "New")
    assert status_of(changed) == "restricted"
    assert client.v1.accounts.retrieve(account.id).email == "new@example.com"


def test_a_v2_account_is_closed_only_without_money(client):
    account = client.v2.core.accounts.create(RECIPIENT)
    transfer = a_transfer(client, account.id)
    with pytest.raises(stripe.StripeError, match="money"):
        client.v2.core.accounts.close(account.id)
    client.v1.transfers.reversals.create(transfer.id)
    closed = client.v2.core.accounts.close(account.id, {"applied_configurations": ["recipient"]})
    with pytest.raises(stripe.StripeError, match="closed"):
        client.v2.core.accounts.close(account.id)

    assert closed.closed
    assert types_of_thin_events(client, account.id)[-1] == "v2.core.account.closed"
    assert [one.id for one in client.v2.core.accounts.list({"closed": True}).data] == [account.id]
    assert client.v2.core.accounts.list().data == []


def test_v2_lists_lead_from_page_to_page_with_the_same_question(client):
    accounts = [client.v2.core.accounts.create(RECIPIENT).id for _ in range(5)]
    pages = client.v2.core.accounts.list({"limit": 2, "applied_configurations": ["recipient"]})
    kind = "v2.core.account.created"
    events = client.v2.core.events.list({"limit": 2, "types": [kind]})
    about: list[Any] = [event.to_dict() for event in events.auto_paging_iter()]

    assert [one.id for one in pages.auto_paging_iter()] == accounts[::-1]
    assert [event["related_object"]["id"] for event in about] == accounts[::-1]
    assert {event["type"] for event in about} == {kind}
    fetched = client.v2.core.events.retrieve(about[0]["id"])
    assert fetched.to_dict() == about[0]


def test_thin_events_are_kept_for_30_days_and_found_by_time(client, standin):
    account = client.v2.core.accounts.create(RECIPIENT)
    created = client.v2.core.events.list({"object_id": account.id}).data[0].created
    by_time = [
        len(client.v2.core.events.list({"created": bounds}).data)
        for bounds in ({"gte": created}, {"gt": created}, {"lt": created})
    ]
    standin.advance(30 * DAY_S)

    assert by_time[0] > 0
    assert by_time[1:] == [0, 0]
    assert client.v2.core.events.list().data == []


def test_v2_does_failed_work_again_under_the_same_key(client, standin):
    """A 500 is not kept and leaves nothing behind; what went well is given again for 30 days."""
    options: stripe.RequestOptions = {"idempotency_key": "k"}
    for kind in ("stored_500", "stored_500_after_commit"):
        standin.play(Fault("POST /v2/core/accounts", kind))
        with pytest.raises(stripe.APIError):
            client.v2.core.accounts.create(RECIPIENT, options)
    left = len(standin.objects("account"))
    first = client.v2.core.accounts.create(RECIPIENT, options)
    standin.advance(29 * DAY_S)
    again = client.v2.core.accounts.create(RECIPIENT, options)
    with pytest.raises(stripe.IdempotencyError):
        client.v2.core.accounts.create({**RECIPIENT, "display_name": "Another"}, options)
    standin.advance(DAY_S)
    later = client.v2.core.accounts.create(RECIPIENT, options)

    assert left == 0
    assert first.id == again.id != later.id


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"colour": "blue"}, "colour"),
        ({"configuration": {"merchant": {}}}, "merchant"),
        ({"identity": {"individual": {"given_name": "A"}}}, "individual"),
        ({"contact_email": 7}, "contact_email"),
        ({"dashboard": "rainbow"}, "dashboard"),
        ({"include": ["everything"]}, "everything"),
    ],
)
def test_v2_refuses_by_name_what_it_does_not_act_on(standin, body, named):
    answer = post_json(standin, "/v2/core/accounts", body)

    assert answer.status_code == 400
    assert named in answer.json()["error"]["message"]
    assert standin.objects("account") == []


@pytest.mark.parametrize(
    ("version", "status"), [("2026-10-28.endive", 200), ("2024-06-20", 200), ("latest", 400), (None, 400)]
)
def test_v2_demands_a_version_and_v1_refuses_nonsense(standin, version, status):
    answer = post_json(standin, "/v2/core/accounts", RECIPIENT, version)
    v1 = standin.session().request("GET", f"{ADDRESS}/v1/balance", headers(version))

    assert answer.status_code == status
    assert v1.status_code == (200 if version is None else status)


def headers(version: str | None) -> dict[str, str]:
    given = {"Authorization": "Bearer sk_test_x", "Content-Type": "application/json"}
    return given if version is None else {**given, "Stripe-Version": version}


def post_json(
    standin: InProcessStripe, path: str, body: object, version: str | None = "2026-10-28.endive"
) -> requests.Response:
    """A POST of API v2 as the SDK would not send it."""
    heard: list[requests.Response] = []
    content = json.dumps(body)
    standin.session(heard.append).request("POST", ADDRESS + path, headers(version), content)
    return heard[0]
