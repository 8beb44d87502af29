"""Idempotency-Key: the same request again is answered as the first one was; another request is refused."""

import time
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from api.idempotency import KEPT_S, RUNNING_S_MAX, Answer, IdempotencyKeys, OtherRequest, StillRunning, Taken
from ledger import account, desk, ids
from ledger.commands import ApplyAsPartner
from ledger.intake import ItemResult, Problem
from ledger.refusals import LostRace
from ledger.store.commit import Overloaded
from ledger.store.database import Database, DatabaseUnavailable
from tests.api.house import SOON, pointers, problem, sale

KEY = {"Idempotency-Key": "k-1"}
PARTNER = {"reference": "brightside", "name": "Brightside"}


def test_the_same_request_again_is_answered_as_before(house):
    """Status, body and address are the first answer's, and it says that it is a repetition."""
    first = house.post("/v1/partners", PARTNER, headers=KEY)
    again = house.post("/v1/partners", PARTNER, headers=KEY)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers


def test_another_request_under_the_key_is_refused(house):
    """Other body, other address: 422. Another caller's key is another key."""
    house.post("/v1/partners", PARTNER, headers=KEY)
    other_body = house.post("/v1/partners", {**PARTNER, "name": "B"}, headers=KEY)
    other_door = house.post("/v1/programs", PARTNER, headers=KEY)
    other_caller = house.post("/v1/partners", PARTNER, house.key("admin"), headers=KEY)

    assert problem(other_body) == (422, "idempotency-key-reused")
    assert problem(other_door) == (422, "idempotency-key-reused")
    assert other_caller.status_code == 200


def test_a_refusal_is_an_answer_and_a_fault_of_ours_is_none(house, monkeypatch):
    """4xx is repeated as it was; after a 503 the same key runs again."""
    program_id = house.program()
    wrong = house.post("/v1/conversions", sale(program_id, currency="EUR"), headers=KEY)
    again = house.post("/v1/conversions", sale(program_id, currency="EUR"), headers=KEY)

    assert problem(wrong) == problem(again) == (422, "wrong-currency")
    assert again.headers["idempotency-replayed"] == "true"

    def full(*_args, **_kwargs):
        raise Overloaded("full")

    with monkeypatch.context() as patched:
        patched.setattr(house.ledger, "send_units", full)
        refused = house.post("/v1/conversions", sale(program_id), headers={"Idempotency-Key": "k-2"})
    taken = house.post("/v1/conversions", sale(program_id), headers={"Idempotency-Key": "k-2"})

    assert (refused.status_code, taken.status_code) == (503, 201)


def test_a_secret_is_not_kept(house):
    """The repeated answer to a new key has no token, nor has the table that it came from."""
    wish = {"name": "shop", "scopes": ["conversions:write"]}
    first = house.post("/v1/keys", wish, headers=KEY)
    again = house.post("/v1/keys", wish, headers=KEY)

    assert first.json["token"].startswith("rs_")
    assert again.json == {**first.json, "token": None}
    house.catch_up()
    assert len([k for k in house.get("/v1/keys").json["items"] if k["name"] == "shop"]) == 1


def test_a_lost_race_is_no_last_word(house, monkeypatch):
    """What says `Retry-After` is not kept: the same key runs again, for one thing or many."""
    program_id = house.program()
    wishes = {
        "/v1/partners": PARTNER,
        "/v1/conversions": sale(program_id, "1"),
        "/v1/conversions/batch": [sale(program_id, "2")],
    }

    def raced(*_args, **_kwargs):
        raise LostRace("others were quicker")

    def all_raced(items, **_kwargs):
        lost = Problem("LostRace", "others were quicker", "")
        return [ItemResult("conflict", None, None, lost) for _ in items]

    with monkeypatch.context() as patched:
        patched.setitem(desk.HANDLERS, ApplyAsPartner, raced)
        patched.setattr(house.services.intake, "record", all_raced)
        lost = [house.post(path, wish, headers={"Idempotency-Key": path}) for path, wish in wishes.items()]
    done = [house.post(path, wish, headers={"Idempotency-Key": path}) for path, wish in wishes.items()]

    assert [(r.status_code, r.headers["retry-after"]) for r in lost] == [(409, "1"), (409, "1"), (200, "1")]
    assert [r.status_code for r in done] == [201, 201, 200]
    assert done[2].json["totals"]["new"] == 1
    assert all("idempotency-replayed" not in r.headers for r in done)


def owed(house):
    """A partner that owes 20.00: its reward of this much was paid out, then the sale was refunded."""
    program_id = house.program()
    partner_id = house.partner(program_id)
    house.referred(program_id)
    house.post("/v1/conversions", sale(program_id))
    house.clock.forward(days=1)
    house.catch_up()
    stream = ids.account_id(UUID(program_id), UUID(partner_id), "GBP")
    holder = account.Holder(UUID(program_id), UUID(partner_id), "GBP")
    wish: dict[str, Any] = {"payout_id": uuid4(), "attempt": 1, "net_minor": 2_000, "withheld_minor": 0}
    now = house.clock()
    house.ledger.execute(
        stream,
        desk.ACCOUNT,
        lambda state: account.reserve(state, holder, effective_at=now, **wish),
        by="payouts",
    )
    about = {name: sale(program_id)[name] for name in ("program_id", "source", "external_id", "currency")}
    refund = {**about, "kind": "refund", "refund_id": "r", "amount_minor": 10_000, "effective_at": SOON}
    assert house.post("/v1/conversions", refund).status_code == 201
    house.catch_up()
    return program_id, partner_id, lambda: house.ledger.load(stream, desk.ACCOUNT).state.clawback_minor


def test_a_write_off_is_booked_once_under_its_key(house, monkeypatch):
    """Even where its answer was not kept, or has expired; another key is another write-off."""
    program_id, partner_id, clawback = owed(house)
    path = f"/v1/partners/{partner_id}/write-offs"
    body = {"program_id": program_id, "currency": "GBP", "amount_minor": 250, "reason": "small"}
    keys = house.services.idempotency_keys
    before = clawback()

    def away(*_args):
        raise DatabaseUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(keys, "store", away)
        first = house.post(path, body, headers=KEY)
    now = time.time()
    with monkeypatch.context() as patched:
        patched.setattr(keys, "_clock", lambda: now + RUNNING_S_MAX + 2)
        again = house.post(path, body, headers=KEY)
    with monkeypatch.context() as patched:
        patched.setattr(keys, "_clock", lambda: now + 2 * KEPT_S)
        other = house.post(path, {**body, "amount_minor": 251}, headers=KEY)
    assert (before, clawback()) == (2_000, 1_750)
    more = house.post(path, body, headers={"Idempotency-Key": "k-2"})

    assert (first.status_code, again.status_code, more.status_code) == (201, 200, 201)
    assert again.json == first.json == {**body, "write_off_id": first.json["write_off_id"]}
    assert problem(other) == (409, "content-conflict")
    assert clawback() == 1_500


def test_a_write_off_without_a_key_is_refused(house):
    """Nothing else could tell a repetition from another one."""
    program_id, partner_id, clawback = owed(house)
    body = {"program_id": program_id, "currency": "GBP", "amount_minor": 250, "reason": "small"}

    refused = house.post(f"/v1/partners/{partner_id}/write-offs", body)

    assert problem(refused) == (400, "idempotency-key-missing")
    assert clawback() == 2_000
    document = house.get("/openapi.json").json
    promised = document["paths"]["/v1/partners/{partner_id}/write-offs"]["post"]
    [header] = [p for p in promised["parameters"] if p["name"] == "Idempotency-Key"]
    assert header["required"] is True
    assert "idempotency-key-missing" in promised["responses"]["400"]["description"]


@pytest.mark.parametrize("key", [" ", "a b", "é", "x" * 256])
def test_what_is_no_key(sqlite_house, key):
    """400, before anything is done."""
    refused = sqlite_house.post("/v1/partners", PARTNER, headers={"Idempotency-Key": key})

    assert problem(refused) == (400, "invalid-header")
    assert pointers(refused) == ["/Idempotency-Key"]


class Table:
    """The table, and a clock that a test moves."""

    def __init__(self, url: str) -> None:
        self.now = 1_000_000.0
        self.database = Database(url)
        self.keys = IdempotencyKeys(self.database, clock=lambda: self.now)

    def count(self) -> int:
        """How many rows there are."""
        with self.database.read() as connection:
            return int(connection.execute(sa.text("SELECT count(*) FROM idempotency_keys")).scalar_one())


@pytest.fixture
def table(database_url):
    """The table on each database."""
    made = Table(database_url)
    yield made
    made.database.close()


def test_while_the_first_runs_the_second_waits(table):
    """409 until it has ended; a first that died is taken over, and can store nothing any more."""
    first = table.keys.take("me", "k", b"same")
    assert isinstance(first, Taken)
    with pytest.raises(StillRunning):
        table.keys.take("me", "k", b"same")
    with pytest.raises(OtherRequest):
        table.keys.take("me", "k", b"other")

    table.now += RUNNING_S_MAX + 1
    second = table.keys.take("me", "k", b"same")
    table.keys.store(first, Answer(500, {}, b"late"))
    assert isinstance(second, Taken)
    table.keys.store(second, Answer(201, {"location": "/x"}, b"done"))

    assert table.keys.take("me", "k", b"same") == Answer(201, {"location": "/x"}, b"done")


def test_a_key_is_free_after_a_day(table):
    """Then it may stand for another request, and old rows are cleared as new ones come."""
    taken = table.keys.take("me", "k", b"same")
    table.keys.store(taken, Answer(200, {}, b"old"))
    table.keys.store(table.keys.take("me", "k2", b"same"), Answer(200, {}, b"old"))

    table.now += KEPT_S + 1
    again = table.keys.take("me", "k", b"other")

    assert isinstance(again, Taken)
    assert table.count() == 1


def test_a_request_under_a_running_key_is_told_to_come_back(house, monkeypatch):
    """409 with Retry-After."""
    keys = house.services.idempotency_keys
    store, found = keys.store, []

    def ask_before_storing(taken, answer):
        found.append(house.post("/v1/partners", PARTNER, headers=KEY))
        store(taken, answer)

    with monkeypatch.context() as patched:
        patched.setattr(keys, "store", ask_before_storing)
        house.post("/v1/partners", PARTNER, headers=KEY)

    assert problem(found[0]) == (409, "idempotency-key-in-use")
    assert found[0].headers["retry-after"] == "1"
    assert house.post("/v1/partners", PARTNER, headers=KEY).status_code == 201
