"""Conversions over HTTP: new, the same again, other content, many at once, with their rewards."""

import json
import threading

from falcon.testing import Result, TestClient

from api.app import create_app
from api.resources import conversions
from api.services import make_services
from api.settings import Settings
from ledger.engine import RewardEngine
from projections.runner import Runner
from tests.api.house import pointers, problem, sale


def test_a_sale_is_recorded_once_and_earns(house):
    """201, then 200 with the first answer; engine and views then show the reward and the balance."""
    program_id = house.program()
    partner_id = house.partner(program_id)
    house.referred(program_id)

    first = house.post("/v1/conversions", sale(program_id), key=house.shop)
    again = house.post("/v1/conversions", sale(program_id), key=house.shop)

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json == again.json
    assert first.json["effective_at"] == "2026-05-30T09:00:00Z"
    early = house.get(first.headers["location"])
    assert problem(early) == (404, "not-found")
    assert early.headers["retry-after"] == "1"
    house.catch_up()
    story = house.get(first.headers["location"]).json
    assert [r["amount_minor"] for r in story["rewards"]] == [2_000]
    assert story["rewards"][0]["partner_id"] == partner_id
    assert story["facts"] == []
    balance = house.get(f"/v1/partners/{partner_id}/balances").json["items"][0]
    assert balance["earned_minor"] == 2_000


def test_other_content_under_the_same_id_changes_nothing(house):
    """409, and the first content stays."""
    program_id = house.program()
    house.post("/v1/conversions", sale(program_id))

    refused = house.post("/v1/conversions", sale(program_id, amount_minor=1))

    assert problem(refused) == (409, "content-conflict")
    assert house.post("/v1/conversions", sale(program_id)).status_code == 200


def test_a_refund_may_come_first(house):
    """It is kept, and applied when its sale arrives."""
    program_id = house.program()
    house.partner(program_id)
    house.referred(program_id)
    refund = {
        "kind": "refund",
        "program_id": program_id,
        "source": "shop",
        "external_id": "INV-1",
        "refund_id": "R-1",
        "amount_minor": 2_500,
        "currency": "GBP",
        "effective_at": "2026-05-31T00:00:00Z",
    }

    assert house.post("/v1/conversions", refund).status_code == 201
    sold = house.post("/v1/conversions", sale(program_id))

    assert sold.status_code == 201
    house.catch_up()
    story = house.get(sold.headers["location"]).json
    rewards = story["rewards"]
    assert [(f["kind"], f["amount_minor"]) for f in story["facts"]] == [("refund", 2_500)]
    assert sum(r["amount_minor"] - r["reversed_minor"] for r in rewards) == 1_500


def test_a_batch_answers_each_item_for_itself_in_order(house):
    """New, duplicate, conflict, invalid; also within the batch. The rest goes on."""
    program_id = house.program()
    items = [
        sale(program_id, "1"),
        sale(program_id, "1"),
        sale(program_id, "1", amount_minor=5),
        sale(program_id, "2", amount_minor=-5),
        sale(program_id, "3", currency="EUR"),
        sale("00000000-0000-0000-0000-000000000000", "4"),
        {"kind": "sale"},
        "no object",
        sale(program_id, "5"),
    ]

    answer = house.post("/v1/conversions/batch", items)

    assert answer.status_code == 200
    assert answer.json["totals"] == {"new": 2, "duplicate": 1, "conflict": 1, "invalid": 5}
    found = answer.json["items"]
    assert [item["index"] for item in found] == list(range(9))
    assert [item["status"] for item in found] == (
        ["new", "duplicate", "conflict"] + ["invalid"] * 5 + ["new"]
    )
    names = [item["problem"]["type"] for item in found if "problem" in item]
    assert names == [
        "/problems/content-conflict",
        "/problems/invalid-field",
        "/problems/wrong-currency",
        "/problems/unknown-program",
        "/problems/invalid-field",
        "/problems/invalid-field",
    ]
    assert found[3]["problem"]["errors"][0]["pointer"] == "/amount_minor"
    assert house.post("/v1/conversions/batch", items).json["totals"]["duplicate"] == 3


def test_lines_are_items_too(house):
    """NDJSON: a line that is no JSON is its own problem, an empty one is none."""
    program_id = house.program()
    lines = [json.dumps(sale(program_id, "1")), "", "{nonsense", json.dumps(sale(program_id, "2"))]

    answer = house.post(
        "/v1/conversions/batch",
        body="\n".join(lines),
        headers={"Content-Type": "application/x-ndjson; charset=utf-8"},
    )

    assert [item["status"] for item in answer.json["items"]] == ["new", "invalid", "new"]
    assert answer.json["items"][1]["problem"]["type"] == "/problems/unreadable-body"


def test_ten_thousand_items_fit_and_one_more_does_not(sqlite_house):
    """10,001 items are refused as a whole, and nothing of them is stored."""
    program_id = sqlite_house.program()
    items = [sale(program_id, str(number)) for number in range(10_001)]

    refused = sqlite_house.post("/v1/conversions/batch", items)
    taken = sqlite_house.post("/v1/conversions/batch", items[:10_000])

    assert problem(refused) == (413, "too-many-items")
    assert taken.json["totals"]["new"] == 10_000


def test_prefer_wait_answers_with_the_rewards(house):
    """The answer waits for the engine and the view; without them it comes when the time is over."""
    program_id = house.program()
    house.partner(program_id)
    house.referred(program_id)
    stop = threading.Event()
    threads = [
        threading.Thread(target=RewardEngine(house.ledger).run, args=(stop,)),
        threading.Thread(target=Runner(house.ledger).run, args=(stop,)),
    ]

    late = house.post("/v1/conversions", sale(program_id, "0"), headers={"Prefer": "wait=0"})
    for thread in threads:
        thread.start()
    try:
        wait = {"Prefer": "respond-async, wait=20"}
        answer = house.post("/v1/conversions", sale(program_id), headers=wait)
        known = house.post("/v1/conversions", sale(program_id), headers=wait)
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert "rewards" not in late.json
    assert answer.headers["preference-applied"] == "wait=20"
    assert [r["amount_minor"] for r in answer.json["rewards"]] == [2_000]
    assert known.status_code == 200
    told = [[r["reward_id"] for r in found.json["rewards"]] for found in (answer, known)]
    assert told[0] == told[1]


def test_a_wait_ends_when_its_time_is_over(sqlite_house):
    """Nobody rewards: the conversion is recorded all the same, and the answer says so in time."""
    program_id = sqlite_house.program()

    answer = sqlite_house.post("/v1/conversions", sale(program_id), headers={"Prefer": "wait=1"})

    assert answer.status_code == 201
    assert "rewards" not in answer.json
    assert "preference-applied" not in answer.headers


def test_half_of_the_threads_never_wait(sqlite_house, monkeypatch):
    """Of four threads two wait for rewards at most; who comes then is answered at once."""
    program_id = sqlite_house.program()
    few = make_services(sqlite_house.ledger, Settings(threads=4), sqlite_house.gateway)
    sqlite_house.client = TestClient(create_app(few))
    waiting: list[int] = []
    answers: list[Result] = []

    def ask():
        told = sale(program_id, f"INV-{len(waiting)}")
        answers.append(sqlite_house.post("/v1/conversions", told, headers={"Prefer": "wait=20"}))

    def another_asks_meanwhile(_ledger, _position, seconds):
        waiting.append(seconds)
        if len(waiting) < 6:
            ask()
        return True

    monkeypatch.setattr(conversions, "until_rewarded", another_asks_meanwhile)
    ask()

    assert waiting == [20, 20]
    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert [answer.headers.get("preference-applied") for answer in answers] == [None, "wait=20", "wait=20"]
    assert ["rewards" in answer.json for answer in answers] == [False, True, True]
    ask()
    assert len(waiting) == 4  # the places were given back


def test_what_a_conversion_lacks_is_named(house):
    """The pointer leads to the field, also where it is not there."""
    program_id = house.program()
    lacking = sale(program_id)
    del lacking["customer"]

    refused = house.post("/v1/conversions", lacking)

    assert problem(refused) == (422, "invalid-field")
    assert pointers(refused) == ["/customer"]
