"""Onboarding by the API: one account a partner, fresh links, what is due, tax forms, and who is reported."""

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from ledger import account, ids
from ledger.desk import ACCOUNT
from ledger.events.partner import PayoutAccountAsked
from ledger.events.payout import TransferConfirmed
from ledger.store.application import Change
from payouts.simulator.faults import Fault
from tests.api.house import House, pointers, problem
from tests.support.onboarding import RETURN, OnboardingHouse


@pytest.fixture
def place(database_url: str) -> Iterator[OnboardingHouse]:
    """An installation and its provider."""
    made = OnboardingHouse(database_url)
    yield made
    made.close()


@pytest.mark.parametrize("api", ["v1", "v2", "auto"])
def test_an_account_is_made_once_and_its_link_each_time(sqlite_database_url, api):
    """By either API of the provider; the answer says what is due and what is in the way."""
    place = OnboardingHouse(sqlite_database_url, api)
    partner_id = place.partner()
    first, second = place.onboard(partner_id), place.onboard(partner_id)
    shown = place.account(partner_id)

    assert (first.status_code, second.status_code) == (200, 200)
    assert first.headers["cache-control"] == "no-store"
    assert first.json["destination"] == second.json["destination"] == shown["destination"]
    assert first.json["onboarding_link"]["url"] != second.json["onboarding_link"]["url"]
    assert len(place.stripe.objects("account")) == 1
    assert shown["onboarding_link"] is None
    assert (shown["transfers_active"], bool(shown["currently_due"])) == (False, True)
    assert "transfers_inactive" in {one["code"] for one in shown["obstacles"]}
    link = place.house.post(f"/v1/partners/{partner_id}/payout-account/link", {"return_url": RETURN})
    place.follow(link.json["url"])
    place.turn()
    assert place.account(partner_id)["transfers_active"] is True
    assert place.house.get(f"/v1/partners/{partner_id}").json["payout_holds"] == []
    place.close()


@pytest.mark.parametrize("hours", [1, 23, 25, 200])
def test_an_account_whose_answer_was_lost_is_found_again_for_ever(database_url, hours):
    """v1 forgets the key after a day. That it was asked for is recorded, so it is searched from then on."""
    place = OnboardingHouse(database_url, "v1")
    partner_id, other = place.partner(), place.partner("daylight")
    place.stripe.play(Fault("POST /v1/accounts", "drop_after_commit"))
    lost = place.onboard(partner_id)
    place.onboard(other)
    place.later(hours=hours)

    found, again = place.onboard(partner_id), place.onboard(partner_id)

    assert problem(lost) == (503, "provider-unavailable")
    assert found.status_code == 200
    assert found.json["destination"] == again.json["destination"]
    made = {each["metadata"]["reference"]: each["id"] for each in place.stripe.objects("account")}
    assert len(place.stripe.objects("account")) == 2
    assert made[str(partner_id)] == found.json["destination"]
    asked = [r for r in place.house.ledger.history(partner_id) if isinstance(r.fact, PayoutAccountAsked)]
    assert len(asked) == 1
    place.close()


def test_an_account_that_was_never_made_is_made_days_later(database_url):
    """Nothing is found, so it is made as the first time; and once only."""
    place = OnboardingHouse(database_url, "v1")
    partner_id = place.partner()
    place.stripe.play(Fault("POST /v1/accounts", "drop_before"))
    place.onboard(partner_id)
    place.later(hours=60)

    assert place.onboard(partner_id).status_code == 200

    assert len(place.stripe.objects("account")) == 1
    place.close()


def test_a_link_is_told_once(place):
    """Repeated under an Idempotency-Key the answer is without it."""
    partner_id = place.partner()
    key = {"headers": {"Idempotency-Key": "once"}}
    first, again = place.onboard(partner_id, **key), place.onboard(partner_id, **key)

    assert first.json["onboarding_link"]["url"]
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json["onboarding_link"] is None


def test_where_the_partner_comes_back_to_must_be_known(place):
    """An absolute address; a link needs an account."""
    partner_id = place.partner()
    door = f"/v1/partners/{partner_id}/payout-account"

    missing = place.house.post(f"{door}/link", {})
    assert (problem(missing), pointers(missing)) == ((422, "invalid-field"), ["/return_url"])
    odd = place.house.post(f"{door}/link", {"return_url": "javascript:alert(1)"})
    assert problem(odd) == (422, "invalid-field")
    none_yet = place.house.post(f"{door}/link", {"return_url": RETURN})
    assert problem(none_yet) == (409, "payout-destination-missing")


def test_a_provider_that_is_silent_is_asked_again_and_makes_no_second_account(place):
    """The account was made before the connection broke: the same key finds it."""
    partner_id = place.partner()
    place.stripe.play(Fault(on="POST /v2/core/accounts", do="drop_after_commit"))
    silent = place.onboard(partner_id)
    again = place.onboard(partner_id)

    assert problem(silent) == (503, "provider-unavailable")
    assert silent.headers["retry-after"]
    assert again.status_code == 200
    assert len(place.stripe.objects("account")) == 1


def test_what_was_linked_before_the_provider_fell_silent_is_found_by_the_same_again(place):
    """The problem says so: the account stands, the link to onboard by is what was not told."""
    partner_id = place.partner()
    place.stripe.play(Fault(on="POST /v2/core/account_links", do="drop_before"))
    silent = place.onboard(partner_id)
    linked = place.account(partner_id)["destination"]
    again = place.onboard(partner_id)

    assert problem(silent) == (503, "provider-unavailable")
    assert silent.json["title"] == "The payment provider gave no answer"
    assert "Nothing was stored" not in place.house.client.simulate_get("/problems/provider-unavailable").text
    assert linked == again.json["destination"] is not None
    assert len(place.stripe.objects("account")) == 1


def test_an_account_that_is_there_is_linked_and_looked_at(place):
    """One that the provider does not know is refused; a silent provider is asked later."""
    partner_id = place.partner()
    known = place.gateway.create_account("other", "GB", "o@example.com", "k")
    door = f"/v1/partners/{partner_id}/payout-account"

    refused = place.house.post(door, {"destination": "acct_nobody"})
    linked = place.house.post(door, {"destination": known})
    assert problem(refused) == (422, "provider-refused")
    assert linked.json["destination"] == known
    assert linked.json["seen_at"] is not None
    other = place.partner("other")
    place.stripe.play(Fault(on="GET /v2/core/accounts/{account}", do="drop_before"))
    place.house.post(f"/v1/partners/{other}/payout-account", {"destination": known})
    assert [one["code"] for one in place.account(other)["obstacles"]] == ["account_not_seen"]
    place.turn()
    assert place.account(other)["seen_at"] is not None


def test_a_partner_sees_its_own_account_only(place):
    """With its own key."""
    ours, theirs = place.partner("ours"), place.partner("theirs")
    key = place.house.key("partner:read", partner_id=ours)

    assert place.account(ours, key)["partner_id"] == str(ours)
    other = place.house.get(f"/v1/partners/{theirs}/payout-account", key)
    assert problem(other) == (404, "not-found")


def test_a_tax_form_on_file_takes_the_obstacle_away(place):
    """W-9 of a partner of the US."""
    partner_id = place.partner(country="US")
    door = f"/v1/partners/{partner_id}/tax-forms"
    before = [one["code"] for one in place.account(partner_id)["obstacles"]]
    filed = place.house.post(
        door, {"form": "w-9", "reference": "vault/1", "effective_at": "2026-01-15T00:00:00Z"}
    )
    unknown = place.house.post(
        door, {"form": "w-7", "reference": "x", "effective_at": "2026-01-15T00:00:00Z"}
    )

    assert before == ["no_account", "tax_form_missing"]
    assert [one["code"] for one in filed.json["obstacles"]] == ["no_account"]
    assert filed.json["tax_forms"][0]["form"] == "w-9"
    assert problem(unknown) == (422, "invalid-field")


def test_a_program_with_income_from_the_us_needs_a_w8_of_everybody_else(place):
    """Shown with the program that needs it until a W-8 is on file; other programs need none."""
    house, partner_id = place.house, place.partner(country="DE")
    us, other = (house.program(reference=name) for name in ("us-shop", "eu-shop"))
    for program_id in (us, other):
        agreed = {
            "program_id": program_id,
            "partner_id": str(partner_id),
            "terms_version": 1,
            "accepted_by": "x",
        }
        assert house.post("/v1/agreements", agreed).status_code == 201
    house.catch_up()
    before = place.account(partner_id)["obstacles"]
    settings = {"us_source": True}
    assert house.post(f"/v1/programs/{us}/payout-settings", settings).status_code == 200
    shown = place.account(partner_id)["obstacles"]
    form = {"form": "w-8ben-e", "reference": "vault/2", "effective_at": "2026-01-15T00:00:00Z"}
    filed = house.post(f"/v1/partners/{partner_id}/tax-forms", form).json["obstacles"]

    assert [one["code"] for one in before] == [one["code"] for one in filed] == ["no_account"]
    assert [one for one in shown if one["code"] == "tax_form_missing"] == [
        {
            "code": "tax_form_missing",
            "detail": "there is no W-8 on file, and payouts of us-shop need it",
        }
    ]


def pay(house: House, partner_id: str, amount_minor: int, at: datetime, withheld_minor: int = 0) -> None:
    """Facts of a payment in USD, as the worker leaves them."""
    program_id, payout_id = uuid4(), uuid4()
    partner = UUID(partner_id)
    holder = account.Holder(program_id, partner, "USD")
    stream = ids.account_id(program_id, partner, "USD")
    money = account.EMPTY
    sent = amount_minor - withheld_minor
    matured = account.mature(
        money, holder, reward_id=uuid4(), conversion_id=uuid4(), amount_minor=amount_minor, effective_at=at
    )
    for fact in matured:
        money = account.evolve(money, fact)
    reserved = account.reserve(
        money,
        holder,
        payout_id=payout_id,
        attempt=1,
        net_minor=sent,
        withheld_minor=withheld_minor,
        effective_at=at,
    )
    confirmed = TransferConfirmed(
        attempt=1,
        transfer_id=f"tr_{payout_id.hex}",
        account_id=stream,
        program_id=program_id,
        partner_id=partner,
        net_minor=sent,
        currency="USD",
        effective_at=at,
    )
    assert house.ledger.load(stream, ACCOUNT).version == 0
    changes = [Change(stream, 0, [*matured, *reserved]), Change(payout_id, 0, [confirmed])]
    assert house.ledger.append(changes, by="test")


def test_who_is_over_the_threshold_of_a_year_is_listed(house: House):
    """By calendar year, in USD, what was withheld included; of the US, or of no named country."""
    made = {}
    for name, country in (("acme", "US"), ("bolt", "US"), ("cove", None), ("dune", "GB")):
        told = {"reference": name, "name": name.title(), "country": country}
        made[name] = house.post("/v1/partners", told).json["partner_id"]
    last_second = datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)
    new_year = datetime(2026, 1, 1, tzinfo=UTC)
    pay(house, made["acme"], 600_00, last_second, withheld_minor=144_00)
    pay(house, made["bolt"], 599_99, last_second)
    pay(house, made["bolt"], 1_999_99, new_year)
    pay(house, made["cove"], 2_000_00, new_year)
    pay(house, made["dune"], 9_000_00, new_year)
    house.catch_up()

    def listed(year: int) -> dict[str, int]:
        answer = house.get("/v1/tax-reports/1099-nec", query_string=f"year={year}&limit=1")
        items = answer.json["items"]
        return {one["reference"]: one["paid_minor"] for one in items}

    assert listed(2025) == {"acme": 600_00}
    assert listed(2026) == {"cove": 2_000_00}
    for year in (2019, 2027):
        unknown = house.get("/v1/tax-reports/1099-nec", query_string=f"year={year}")
        assert problem(unknown) == (400, "invalid-query")
