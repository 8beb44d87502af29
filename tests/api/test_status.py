"""How the service stands: the readers' lag, what is sealed and signed, what each target has; and the same for
Prometheus."""

from datetime import timedelta
from pathlib import Path

import pytest

from ledger.commands import IssueApiKey
from projections.audit_log import Sequencer
from projections.checkpoints import CheckpointMaker
from projections.deliveries import Deliverer
from projections.targets import parse_target
from tests.api.house import House
from tests.support.receiver import receiving

TARGET = "POST {}/hook"


@pytest.fixture
def receiver():
    with receiving() as made:
        yield made


@pytest.fixture
def house(database_url, receiver):
    made = House(database_url, audit_targets=(receiver.url + "/hook?secret=1",))
    made.program()
    yield made
    made.close()


def seal(house):
    Sequencer(house.ledger).catch_up()
    CheckpointMaker(house.ledger, house.signer).step(now_wanted=True)


def deliver(house, receiver, status):
    receiver.status = status
    Deliverer(house.ledger, [parse_target(receiver.url + "/hook?secret=1")]).step()


def gauges(house):
    """Of each gauge of ours its values, by its label's value."""
    found: dict[str, dict[str, float]] = {}
    for line in house.get("/metrics").text.splitlines():
        if line.startswith(("revshare_audit", "revshare_lag")):
            name, _, value = line.rpartition(" ")
            gauge, _, label = name.partition("{")
            found.setdefault(gauge, {})[label.partition('"')[2].rpartition('"')[0]] = float(value)
    return found


def test_before_anything_is_sealed_all_waits(house, receiver):
    answer = house.get("/v1/status").json

    readers = {reader["name"]: reader for reader in answer["readers"]}
    assert readers["audit"]["lag_events"] == readers["audit"]["head"] > 0
    assert answer["audit"]["checkpoint"] is None
    [target] = answer["audit"]["targets"]
    assert (target["name"], target["last_size"], target["waiting"]) == (TARGET.format(receiver.url), None, 0)
    assert "revshare_audit_checkpoint_age_seconds" not in gauges(house)


def test_status_tells_what_is_signed_and_what_waits(house, receiver):
    seal(house)
    size = house.get("/v1/audit/checkpoints").json["items"][0]["size"]
    deliver(house, receiver, 204)
    house.clock.forward(seconds=90)
    house.services.desk.execute(IssueApiKey(name="later", scopes=("admin",)), by="cli")
    house.clock.forward(seconds=30)

    answer = house.get("/v1/status").json

    [audit] = [reader for reader in answer["readers"] if reader["name"] == "audit"]
    assert (audit["lag_events"], audit["lag_ms"]) == (1, 30_000)
    state = answer["audit"]
    assert (state["leaves"], state["unsigned_events"], state["unsigned_ms"]) == (size, 0, 30_000)
    assert (state["checkpoint"]["size"], state["checkpoint"]["age_ms"]) == (size, 120_000)
    [target] = state["targets"]
    assert (target["last_size"], target["waiting"], target["last_error"]) == (size, 0, None)
    seal(house)
    assert house.get("/v1/status").json["audit"]["unsigned_ms"] == 0


def test_status_tells_what_a_target_lacks_and_why(house, receiver):
    seal(house)
    deliver(house, receiver, 503)
    house.clock.forward(seconds=10)

    [target] = house.get("/v1/status").json["audit"]["targets"]

    assert (target["last_size"], target["waiting"], target["failures"]) == (None, 1, 1)
    assert target["last_error"] == "status 503"
    assert target["waiting_since"] == target["tried_at"] == "2026-06-01T12:00:00Z"
    assert target["next_try_at"] == "2026-06-01T12:00:30Z"


def test_prometheus_reads_the_same(house, receiver):
    seal(house)
    size = house.get("/v1/status").json["audit"]["leaves"]
    deliver(house, receiver, 409)
    house.services.desk.execute(IssueApiKey(name="later", scopes=("admin",)), by="cli")
    house.clock.forward(seconds=5)
    seal(house)
    deliver(house, receiver, 500)
    house.clock.forward(seconds=7)

    found = gauges(house)

    name = TARGET.format(receiver.url)
    assert found["revshare_lag_events"]["audit"] == 0
    assert found["revshare_lag_seconds"]["audit"] == 0
    assert found["revshare_audit_checkpoint_age_seconds"] == {"": 7}
    assert found["revshare_audit_unsigned_seconds"] == {"": 0}
    assert found["revshare_audit_target_size"] == {name: 0}
    assert found["revshare_audit_target_refused"] == {name: 1}
    assert found["revshare_audit_target_waiting"] == {name: 1}
    assert found["revshare_audit_target_waiting_seconds"] == {name: 7}
    assert found["revshare_audit_target_failures"] == {name: 1}
    deliver(house, receiver, 200)
    house.clock.now += timedelta(minutes=1)
    deliver(house, receiver, 200)
    assert gauges(house)["revshare_audit_target_size"] == {name: size + 1}
    assert gauges(house)["revshare_audit_target_failures"] == {name: 0}


def test_each_gauge_is_told_of_where_operators_look(house):
    """By its name, with when to wake somebody."""
    seal(house)
    page = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")

    assert [name for name in gauges(house) if f"`{name}`" not in page] == []
    assert len(gauges(house)) == 9
