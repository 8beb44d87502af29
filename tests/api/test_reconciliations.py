"""Reconciliations over HTTP: run, read, as CSV, differences ended by a reason; a provider that is away."""

import csv
import io
from dataclasses import replace

import pytest
from falcon.testing import TestClient

from api.app import create_app
from payouts.gateway import StripeGateway
from tests.api.house import House, problem
from tests.support.transfers import intent

PATH = "/v1/reconciliations"


@pytest.fixture
def stripe(house: House):
    """The gateway to the house's stand-in, two hours after its opening balance was paid in."""
    house.clock.forward(hours=2)
    return house.services.provider


def test_a_run_is_made_listed_and_read_by_pages_and_as_csv(house, stripe):
    """The three top-ups of the stand-in's opening balance are theirs, and no difference."""
    made = house.post(PATH, {})
    path = made.headers["location"]

    assert made.status_code == 201
    assert (made.json["differences"], made.json["items"]) == (0, 3)
    assert made.json["counts"]["theirs_only"] == 3
    assert {total["kind"] for total in made.json["totals"]} == {"topup"}
    assert house.get(path).json == made.json
    assert house.get(PATH).json["items"] == [made.json]
    first = house.get(f"{path}/items", query_string="limit=2").json
    rest = house.get(f"{path}/items", query_string=first["next"].partition("?")[2]).json
    assert [item["number"] for item in first["items"] + rest["items"]] == [1, 2, 3]
    assert house.get(f"{path}/items", query_string="verdict=matched").json["items"] == []
    answer = house.get(f"{path}/items", headers={"Accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.headers["content-type"] == "text/csv"
    assert [row["verdict"] for row in rows] == ["theirs_only"] * 3
    assert {row["theirs_minor"] for row in rows} == {"100000000000"}


def test_a_difference_ends_with_a_reason(house, stripe):
    """It is asked for by its reference; what no run found can't be resolved."""
    account = stripe.create_account("x", "GB", "x@example.com", "k")
    transfer = stripe.create_transfer(intent(account))
    house.clock.forward(hours=2)
    reason = {"reference": transfer.transfer_id, "reason": "Sent by hand."}
    unseen = house.post(f"{PATH}/differences/resolve", reason)
    before = house.post(PATH, {}).json

    done = house.post(f"{PATH}/differences/resolve", reason)
    other = house.post(f"{PATH}/differences/resolve", {**reason, "reason": "Another."})

    assert problem(unseen) == (422, "not-found")
    assert (done.status_code, done.json) == (200, reason)
    assert problem(other) == (409, "content-conflict")
    assert (before["differences"], house.post(PATH, {}).json["differences"]) == (1, 0)


def test_a_provider_that_is_away_and_a_time_that_is_none(house, stripe):
    """503 with nothing stored; 422 at the field; 404 for a run that is not there."""
    backwards = {"period_from": "2026-06-01T00:00:00Z", "period_to": "2026-05-01T00:00:00Z"}
    deaf = StripeGateway("sk_test_x", "http://127.0.0.1:9")
    nobody = "00000000-0000-0000-0000-000000000001"

    assert problem(house.post(PATH, backwards)) == (422, "invalid-field")
    house.client = TestClient(create_app(replace(house.services, provider=deaf)))
    assert problem(house.post(PATH, {})) == (503, "provider-unavailable")
    assert house.get(PATH).json["items"] == []
    assert problem(house.get(f"{PATH}/{nobody}"))[0] == 404
    assert problem(house.get(f"{PATH}/{nobody}/items"))[0] == 404
