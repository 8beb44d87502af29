"""Payouts over HTTP: one key drafts, another approves what it looked at."""

from uuid import UUID

import pytest

from payouts.outcomes import Unknown
from payouts.schedule import PayoutScheduler
from payouts.simulator.faults import Fault
from payouts.worker import PayoutWorker
from tests.api.house import pointers, problem, sale
from tests.support.finance import Script
from tests.support.transfers import intent


@pytest.fixture
def due(house):
    """A program whose partner is due 20.00."""
    program_id = house.program()
    partner_id = house.partner(program_id)
    house.referred(program_id)
    account = {"return_url": "https://partners.example.com/"}
    assert house.post(f"/v1/partners/{partner_id}/payout-account", account).status_code == 200
    house.post("/v1/conversions", sale(program_id))
    house.clock.forward(days=1)
    house.catch_up()
    assert house.get(f"/v1/partners/{partner_id}/balances").json["items"][0]["available_minor"] == 2_000
    return program_id


def test_a_batch_is_drafted_looked_at_and_approved_by_another(house, due):
    """The maker can't approve, nor anybody what was not looked at; the lines make the amount."""
    maker, checker = house.key("finance:approve"), house.key("finance:approve")
    key = {"Idempotency-Key": "june"}

    made = house.post("/v1/payout-batches", {"program_id": due}, maker, headers=key)
    batch = made.json
    path = made.headers["location"]
    approval = {"content_hash": batch["content_hash"]}
    own = house.post(f"{path}/approve", approval, maker)
    blind = house.post(f"{path}/approve", {"content_hash": "0" * 64}, checker)
    done = house.post(f"{path}/approve", approval, checker)
    again = house.post(f"{path}/approve", approval, checker)

    assert made.status_code == 201
    assert (batch["status"], batch["total_minor"], len(batch["payouts"])) == ("draft", 2_000, 1)
    assert house.post("/v1/payout-batches", {"program_id": due}, maker, headers=key).json == batch
    assert problem(own) == (403, "same-maker-and-checker")
    assert problem(blind) == (409, "content-changed")
    assert (done.json["status"], again.json["status"]) == ("approved", "approved")
    assert house.get(path).json["approved_by"].startswith("key:")
    payout = house.get(f"/v1/payouts/{batch['payouts'][0]['payout_id']}").json
    assert sum(line["amount_minor"] for line in payout["lines"]) == payout["amount_minor"] == 2_000
    house.catch_up()
    listed = house.get("/v1/payouts", params={"batch_id": batch["batch_id"]}).json["items"]
    assert [(p["status"], p["amount_minor"]) for p in listed] == [("approved", 2_000)]
    assert house.get("/v1/payout-batches").json["items"][0]["status"] == "approved"
    PayoutWorker(house.ledger, house.gateway).step()
    assert problem(house.post(f"{path}/cancel", {"reason": "late"})) == (409, "payout-under-way")


def test_a_batch_is_sent_now_by_the_worker_and_the_door_says_where_to_look(house, due):
    """202 and the outlook, the same for a repetition; refused for a draft, and while payouts are frozen."""
    maker, checker = house.key("finance:approve"), house.key("finance:approve")
    batch = house.post("/v1/payout-batches", {"program_id": due}, maker).json
    path = f"/v1/payout-batches/{batch['batch_id']}"
    early = house.post(f"{path}/send", None, maker)
    house.post(f"{path}/approve", {"content_hash": batch["content_hash"]}, checker)
    house.post("/v1/payout-gate/freeze", {"reason": "Odd traffic."}, checker)
    frozen = house.post(f"{path}/send", None, maker)
    house.post("/v1/payout-gate/thaw", {"reason": "All is well."}, checker)

    asked = house.post(f"{path}/send", None, maker)
    again = house.post(f"{path}/send", None, maker)

    assert problem(early) == (409, "illegal-transition")
    assert problem(frozen) == (409, "payouts-frozen")
    assert (asked.status_code, again.status_code) == (202, 202)
    assert asked.headers["location"] == f"{path}/outlook"
    assert asked.json == again.json == house.get(asked.headers["location"]).json
    assert (asked.json["to_send"], asked.json["to_send_minor"]) == (1, 2_000)
    house.catch_up()
    shown = house.get(path).json["send_asked_at"]
    assert house.get("/v1/payout-batches").json["items"][0]["send_asked_at"] == shown is not None
    PayoutWorker(house.ledger, house.gateway).step()
    assert house.get(f"{path}/outlook").json["payouts"][0]["next"] == "done"
    assert problem(house.post("/v1/payout-batches/00000000-0000-0000-0000-000000000001/send")) == (
        404,
        "not-found",
    )


def test_a_batch_can_be_given_up_and_an_empty_one_is_none(house, due):
    """Canceled before approval; where nobody is due, the refusal says who was left out and why."""
    made = house.post("/v1/payout-batches", {"program_id": due})
    canceled = house.post(f"{made.headers['location']}/cancel", {"reason": "Too early."})
    house.catch_up()
    nothing = house.post("/v1/payout-batches", {"program_id": due, "minimum_minor": 2_001})

    assert canceled.json["status"] == "canceled"
    assert problem(nothing) == (409, "nothing-to-pay")
    assert nothing.json["skipped"][0]["available_minor"] == 2_000


def test_a_bound_key_sees_no_other_partners_payout(house, due):
    """Nor the batch."""
    made = house.post("/v1/payout-batches", {"program_id": due}).json
    other = house.post("/v1/partners", {"reference": "other", "name": "Other"}).json["partner_id"]
    key = house.key("partner:read", partner_id=UUID(other))

    payout = house.get(f"/v1/payouts/{made['payouts'][0]['payout_id']}", key)

    assert problem(payout) == (404, "not-found")
    assert problem(house.get(f"/v1/payout-batches/{made['batch_id']}", key)) == (403, "forbidden")


def test_a_partners_payouts_are_held_and_resumed(house, due):
    """The reason stands on the partner and on its balances; nobody drafts for it until it is lifted."""
    partner_id = house.get("/v1/partners").json["items"][0]["partner_id"]
    path = f"/v1/partners/{partner_id}"
    held = [{"cause": "finance", "reason": "Address under review."}]
    checker = house.key("finance:approve")

    paused = house.post(f"{path}/payout-hold", {"reason": "Address under review."}, checker)
    house.catch_up()
    nothing = house.post("/v1/payout-batches", {"program_id": due})

    assert paused.json["payout_holds"] == house.get(path).json["payout_holds"] == held
    assert house.get("/v1/partners").json["items"][0]["payout_holds"] == held
    assert house.get(f"{path}/balances").json["items"][0]["payout_holds"] == held
    assert nothing.json["skipped"][0]["reason"] == (
        "the partner's payouts are held: Address under review. (finance)"
    )
    resumed = house.post(f"{path}/payout-resume", {"note": "Confirmed."}, checker)
    house.catch_up()
    assert resumed.json["payout_holds"] == []
    assert house.get(f"{path}/balances").json["items"][0]["payout_holds"] == []
    assert house.post("/v1/payout-batches", {"program_id": due}).status_code == 201


def test_a_payout_that_nobody_knows_about_is_resolved_with_a_reason(house, due):
    """By a key that may approve; while a rule still decides, it is refused."""
    maker, checker = house.key("finance:approve"), house.key("finance:approve")
    batch = house.post("/v1/payout-batches", {"program_id": due}, maker).json
    approval = {"content_hash": batch["content_hash"]}
    house.post(f"/v1/payout-batches/{batch['batch_id']}/approve", approval, checker)
    path = f"/v1/payouts/{batch['payouts'][0]['payout_id']}/resolve"
    found = {"outcome": "confirmed", "transfer_id": "tr_1", "reason": "Seen in the dashboard."}

    def transferred(amount):
        destination = batch["payouts"][0]["destination"]
        by_hand = intent(destination, amount=amount, metadata={"payout_id": "by hand"})
        return house.gateway.create_transfer(by_hand).transfer_id

    early = house.post(path, found, checker)
    house.catch_up()
    PayoutWorker(house.ledger, Script(Unknown("connection", "reset"))).step()
    no_reason = house.post(path, {**found, "reason": ""}, checker)
    unheard_of = house.post(path, found, checker)
    other = house.post(path, {**found, "transfer_id": transferred(2_001)}, checker)
    found["transfer_id"] = transferred(2_000)
    house.stripe.play(Fault(on="GET /v1/transfers/{transfer}", do="drop_before"))
    deaf = house.post(path, found, checker)
    done = [house.post(path, found, checker) for _ in range(2)]

    assert (problem(unheard_of), pointers(unheard_of)) == ((422, "unknown-transfer"), ["/transfer_id"])
    assert (problem(other), pointers(other)) == ((409, "transfer-amount-differs"), ["/transfer_id"])
    assert problem(deaf) == (503, "provider-unavailable")
    assert problem(early) == (409, "illegal-transition")
    assert problem(no_reason) == (422, "invalid-field")
    assert [(d.status_code, d.json["status"], d.json["transfer_id"]) for d in done] == [
        (200, "confirmed", found["transfer_id"])
    ] * 2
    assert problem(house.post(path, {**found, "transfer_id": "tr_2"}, checker)) == (409, "content-conflict")


def test_a_wish_for_nobody(house):
    """Batches and payouts that are not there."""
    nobody = "00000000-0000-0000-0000-000000000001"

    assert problem(house.get(f"/v1/payout-batches/{nobody}"))[0] == 404
    assert problem(house.get(f"/v1/payouts/{nobody}"))[0] == 404
    assert problem(house.post("/v1/payout-batches", {"program_id": nobody})) == (422, "unknown-program")


def test_above_the_limit_it_takes_two_people(house, due):
    """The limit is set by finance; keys of one person are one; each approval is shown."""
    people = {"maker": "ann", "maker's other": "Ann", "first": "bob", "second": "carol"}
    keys = {name: house.key("finance:approve", person=person) for name, person in people.items()}
    settings = f"/v1/programs/{due}/payout-settings"
    changed = house.post(settings, {"second_approval_over_minor": 1_999}, keys["maker"])
    batch = house.post("/v1/payout-batches", {"program_id": due}, keys["maker"]).json
    path, approval = f"/v1/payout-batches/{batch['batch_id']}", {"content_hash": batch["content_hash"]}

    own = house.post(f"{path}/approve", approval, keys["maker's other"])
    first = house.post(f"{path}/approve", approval, keys["first"]).json
    second = house.post(f"{path}/approve", approval, keys["second"]).json

    assert changed.json["second_approval_over_minor"] == 1_999
    assert house.get(settings).json == changed.json
    assert (batch["made_by_person"], batch["approvals_needed"], batch["approvals"]) == ("ann", 2, [])
    assert problem(own) == (403, "same-maker-and-checker")
    assert (first["status"], [a["person"] for a in first["approvals"]]) == ("draft", ["bob"])
    assert (second["status"], [a["person"] for a in second["approvals"]]) == ("approved", ["bob", "carol"])
    house.catch_up()
    [listed] = house.get("/v1/payout-batches").json["items"]
    shown = ("status", "approvals", "approvals_needed", "made_by_person", "total_minor")
    assert {name: listed[name] for name in shown} == {name: second[name] for name in shown}


def test_a_program_s_calendar_tells_its_dates(house, due):
    """The next one, and what became of the last."""
    settings = f"/v1/programs/{due}/payout-settings"
    schedule = {"every": "month", "day": 31, "time_zone": "Europe/London"}

    made = house.post(settings, {"schedule": schedule}).json
    house.clock.forward(days=30)
    waiting = house.get(settings).json
    house.catch_up()
    PayoutScheduler(house.ledger).step()
    drafted = house.get(settings).json

    assert (made["schedule"], made["last_due"]) == ({**schedule, "hour": 6}, None)
    assert made["next_due"] == {"on": "2026-06-30", "at": "2026-06-30T05:00:00Z"}
    assert waiting["last_due"] == {**made["next_due"], "status": "none", "batch_id": None}
    assert drafted["last_due"]["status"] == "draft"
    batch = house.get(f"/v1/payout-batches/{drafted['last_due']['batch_id']}").json
    assert (batch["made_by"], batch["due_on"], batch["total_minor"]) == ("schedule", "2026-06-30", 2_000)
    house.catch_up()
    assert house.get("/v1/payout-batches").json["items"][0]["due_on"] == "2026-06-30"


def test_what_is_withheld_is_shown_everywhere(house, due):
    """On the partner, in batch and payout; the lines still make the whole amount."""
    [partner] = house.get("/v1/partners").json["items"]
    path = f"/v1/partners/{partner['partner_id']}/withholding"

    before = house.get(path).json
    said = house.post(path, {"rate_bps": 1_500, "reason": "No W-8 on file."}).json
    batch = house.post("/v1/payout-batches", {"program_id": due}).json
    payout = house.get(f"/v1/payouts/{batch['payouts'][0]['payout_id']}").json

    assert (before["rate_bps"], before["said"]) == (None, [])
    assert (said["rate_bps"], [each["reason"] for each in said["said"]]) == (1_500, ["No W-8 on file."])
    assert house.get(path).json == said
    assert (batch["total_minor"], batch["withheld_minor"]) == (2_000, 300)
    shown = [payout[name] for name in ("amount_minor", "withheld_minor", "withholding_bps", "net_minor")]
    assert shown == [2_000, 300, 1_500, 1_700]
    assert sum(line["amount_minor"] for line in payout["lines"]) == 2_000
    house.catch_up()
    [listed] = house.get("/v1/payouts").json["items"]
    assert (listed["withheld_minor"], listed["net_minor"], listed["provider"]) == (300, 1_700, "stripe")
    assert problem(house.post(path, {"rate_bps": 10_000, "reason": "all"})) == (422, "invalid-field")


def test_payout_settings_with_mistakes_are_refused(house, due):
    """Each mistake has its pointer; a program that is not there is none of the body's fault."""
    settings = f"/v1/programs/{due}/payout-settings"
    schedule = {"every": "month", "day": 31, "time_zone": "Europe/Atlantis"}

    refused = house.post(settings, {"schedule": schedule})

    assert (problem(refused), pointers(refused)) == ((422, "invalid-field"), ["/schedule/time_zone"])
    nobody = "/v1/programs/00000000-0000-0000-0000-000000000001/payout-settings"
    assert problem(house.get(nobody)) == problem(house.post(nobody, {})) == (404, "unknown-program")


def test_what_would_be_sent_is_told_with_what_waits(house, due):
    """Nothing before the approvals; then all of it, unless the partner is held or the money is out."""
    batch = house.post("/v1/payout-batches", {"program_id": due}).json
    path = f"/v1/payout-batches/{batch['batch_id']}"
    [payout] = batch["payouts"]
    partner = f"/v1/partners/{payout['partner_id']}"

    def outlook():
        said = house.get(f"{path}/outlook").json
        return said["to_send_minor"], said["payouts"][0]["next"], said["payouts"][0]["waits_for"]

    draft = outlook()
    house.post(f"{path}/approve", {"content_hash": batch["content_hash"]}, house.key("finance:approve"))
    approved = outlook()
    house.post(f"{partner}/payout-hold", {"reason": "address under review"})
    held = outlook()
    house.post(f"{partner}/payout-resume", {})
    settings = f"/v1/programs/{due}/payout-settings"
    house.post(settings, {"us_source": True})
    without_form = outlook()
    house.post(settings, {"us_source": False})
    house.catch_up()
    PayoutWorker(house.ledger, Script(Unknown("cut off"))).step()
    unknown = outlook()

    assert draft == (0, "wait", "approval: 0 of 1 given")
    assert approved == (2_000, "send", None)
    assert held == (0, "wait", "address under review (finance)")
    assert without_form == (0, "wait", "there is no W-8 on file")
    assert unknown == (0, "ask_again", "the outcome of what may have been sent")
    nobody = "00000000-0000-0000-0000-000000000001"
    assert problem(house.get(f"/v1/payout-batches/{nobody}/outlook")) == (404, "not-found")


def test_why_a_payout_leads_from_its_lines_down_to_the_sale(house, due):
    """Who approved it, which reward each line is about, and what was sent; for finance's eyes."""
    batch = house.post("/v1/payout-batches", {"program_id": due}, house.key("finance:approve")).json
    approval = {"content_hash": batch["content_hash"]}
    house.post(f"/v1/payout-batches/{batch['batch_id']}/approve", approval, house.key("finance:approve"))
    payout = f"/v1/payouts/{batch['payouts'][0]['payout_id']}/why"

    found = house.get(payout).json

    assert (found["role"], found["fact"]) == ("payout", "PayoutDrafted")
    roles = [(each["role"], each["fact"]) for each in found["because"]]
    assert roles == [
        ("batch", "PayoutBatchDrafted"),
        ("batch", "PayoutBatchApproved"),
        ("destination", "PayoutAccountLinked"),
        ("line", "RewardMatured"),
        ("life", "PayoutApproved"),
    ]
    [line] = [each for each in found["because"] if each["role"] == "line"]
    [reward] = line["because"]
    assert reward["words"]["amount_minor"] == line["words"]["amount_minor"] == found["words"]["amount_minor"]
    assert reward["because"][0]["fact"] == "ConversionRecorded"
    assert house.get(f"/v1/rewards/{reward['words']['reward_id']}/why").json == reward
    sale = house.get(f"/v1/conversions/{reward['words']['conversion_id']}/why").json
    assert sale["because"] == [reward]
    assert house.get(payout, house.key("conversions:write")).status_code == 403
    assert problem(house.get("/v1/payouts/00000000-0000-0000-0000-000000000001/why")) == (404, "not-found")
