"""The door of webhooks: signed with a secret of ours just now, stored once and durably, then answered."""

import threading
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from api.app import create_app
from api.kept import standin_webhook_secret
from api.services import make_services
from api.settings import Settings
from ledger.store.database import Database, DatabaseUnavailable
from payouts.simulator.faults import Fault
from payouts.webhooks.inbox import Inbox
from payouts.webhooks.tables import webhook_events
from tests.api.house import House, problem
from tests.support.webhooks import encoded, sign, snapshot, thin

DOOR = "/webhooks/stripe"
EVENT = snapshot("account.updated", {"id": "acct_1", "object": "account"}, account="acct_1")


def deliver(house, event=EVENT, *, body=None, signature=None, **options):
    """A delivery, signed now unless something else is said."""
    raw = encoded(event) if body is None else body
    headers = {
        "Content-Type": "application/json",
        "Stripe-Signature": sign(raw, house.clock()) if signature is None else signature,
    }
    headers = {name: value for name, value in headers.items() if value}
    return house.client.simulate_post(DOOR, body=raw, headers=headers, **options)


def stored(house):
    """What the inbox holds."""
    with house.ledger.database.read() as connection:
        return [dict(row) for row in connection.execute(sa.select(webhook_events)).mappings()]


def test_an_event_is_stored_as_it_came_and_answered(house: House):
    """Body, signature, time, what it is about; to be worked on later."""
    raw = encoded(EVENT)
    answer = deliver(house)

    assert (answer.status_code, answer.json) == (200, {"event_id": "evt_1", "new": True})
    [row] = stored(house)
    assert (bytes(row["body"]), row["signature"]) == (raw, sign(raw, house.clock()))
    assert (row["kind"], row["style"], row["object_id"], row["account"]) == (
        "account.updated",
        "snapshot",
        "acct_1",
        "acct_1",
    )
    assert (row["status"], row["received_at"], row["attempts"]) == ("waiting", house.clock(), 0)


def test_a_thin_event_names_its_object(house: House):
    """v2 events carry no object: only its id is stored."""
    event = thin("v2.core.account[requirements].updated", "acct_2", context="acct_2")

    assert deliver(house, event).status_code == 200
    [row] = stored(house)
    assert (row["style"], row["object_id"], row["account"]) == ("thin", "acct_2", "acct_2")


def test_the_same_event_again_counts_once(house: House):
    """Also when it is signed anew, as each delivery is."""
    deliver(house)
    house.clock.forward(hours=3)
    again = deliver(house)

    assert (again.status_code, again.json["new"]) == (200, False)
    assert len(stored(house)) == 1


def test_deliveries_at_once_count_once(house: House):
    """However many threads take them: one is new, all are answered."""
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(deliver(house))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [answer.status_code for answer in answers] == [200] * 8
    assert sorted(answer.json["new"] for answer in answers) == [False] * 7 + [True]
    assert len(stored(house)) == 1


def test_an_event_is_answered_before_anything_is_done_about_it(house: House):
    """The answer waits for no question to the provider, and for no fact: those come with the worker."""

    def facts():
        with house.ledger.database.read() as connection:
            return connection.execute(sa.text("SELECT count(*) FROM stored_events")).scalar_one()

    before = facts()
    house.stripe.play(Fault(on="*", do="drop_before", times=None))

    assert deliver(house).status_code == 200
    assert [(row["status"], row["attempts"]) for row in stored(house)] == [("waiting", 0)]
    assert facts() == before


def test_what_could_not_be_stored_is_not_answered_as_if_it_were(house: House, monkeypatch):
    """503: the provider sends it again. An answer of 200 comes after the commit, never before."""

    write = Database.write

    @contextmanager
    def commit_fails(database):
        with write(database) as connection:
            yield connection
            raise DatabaseUnavailable("the connection broke at the commit")

    with monkeypatch.context() as broken:
        broken.setattr(Database, "write", commit_fails)
        refused = deliver(house)
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    assert stored(house) == []
    assert deliver(house).json["new"] is True


def test_an_event_of_three_days_ago_is_taken(house: House):
    """Each try is signed anew: the signature has to be young, not what it tells of."""
    old = {**EVENT, "created": int(house.clock().timestamp()) - 3 * 86_400}

    assert deliver(house, old).json["new"] is True


RAW = encoded(EVENT)


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "t=1,v1=00",
        "v1=00",
        "nonsense",
        "t=soon,v1=00",
        "t=1_0,v1=00",
        "t=" + "9" * 400 + ",v1=00",
        "t=1,v0=00",
        "x" * 3_000,
    ],
)
def test_what_is_not_signed_is_refused_and_not_stored(house: House, signature):
    """400 with a name that callers can rely on."""
    assert problem(deliver(house, signature=signature)) == (400, "invalid-signature")
    assert stored(house) == []


def test_a_forged_one_is_refused(house: House):
    """Another secret; another body under a good signature; a body that is no UTF-8."""
    good = sign(RAW, house.clock())
    forged = sign(RAW, house.clock(), "whsec_guessed")

    for body, signature in ((RAW, forged), (RAW + b" ", good), (b"\xff" + RAW, good)):
        assert problem(deliver(house, body=body, signature=signature)) == (400, "invalid-signature")
    assert stored(house) == []


@pytest.mark.parametrize(
    ("ahead_s", "status"), [(0, 200), (-299, 200), (-301, 400), (59, 200), (61, 400), (31_536_000, 400)]
)
def test_a_signature_counts_for_minutes_in_both_directions(house: House, ahead_s, status):
    """By our clock. The SDK alone would take one of next year."""
    signed_at = house.clock() + timedelta(seconds=ahead_s)

    assert deliver(house, signature=sign(RAW, signed_at)).status_code == status
    assert len(stored(house)) == (status == 200)


def test_the_time_that_is_looked_at_is_the_signed_one(house: House):
    """An old signature does not become young by a second time in the header."""
    old = sign(RAW, house.clock() - timedelta(days=1))
    now = int(house.clock().timestamp())

    for header in (f"t={now},{old}", f"{old},t={now}", f"t={now}," + old.partition(",")[2]):
        assert problem(deliver(house, signature=header)) == (400, "invalid-signature")


def test_several_secrets_hold_while_one_takes_the_place_of_another(house: House):
    """A header may hold signatures with both; after the rotation the old one opens nothing."""
    old, new = sign(RAW, house.clock(), "whsec_old"), sign(RAW, house.clock(), "whsec_new")
    both = f"{old},{new.partition(',')[2]}"

    def asked(secrets, signature):
        settings = Settings(stripe_webhook_secrets=secrets)
        house.client.app = create_app(make_services(house.ledger, settings))
        return deliver(house, signature=signature).status_code

    assert [asked(("whsec_old", "whsec_new"), header) for header in (old, new, both)] == [200] * 3
    assert [asked(("whsec_new",), header) for header in (old, new, both)] == [400, 200, 200]


def test_without_a_secret_the_provider_is_told_to_come_again(house: House):
    """Nothing is taken on trust."""
    settings = Settings(stripe_api_key="sk_test_ours")
    house.client.app = create_app(make_services(house.ledger, settings))
    refused = deliver(house)

    assert problem(refused) == (503, "webhooks-not-configured")
    assert refused.headers["retry-after"] == "300"


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{",
        b'{"object": "charge"}',
        encoded({**EVENT, "id": ""}),
        encoded({**EVENT, "id": "evt 1\n"}),
        encoded({**EVENT, "created": "today"}),
        encoded({**EVENT, "created": 2**62}),
        encoded({**thin("v2.core.account.updated", "acct_1"), "created": "2026-05-28"}),
    ],
)
def test_what_is_signed_and_no_event_is_refused(house: House, body):
    """Nothing is stored that could not be worked on."""
    assert problem(deliver(house, body=body)) == (400, "unreadable-body")
    assert stored(house) == []


def test_a_body_has_a_size(house: House):
    """And a content type."""
    large = deliver(house, body=b" " * 600_000, signature="t=1,v1=00")

    assert problem(large) == (413, "too-large")
    odd = house.client.simulate_post(DOOR, body=RAW, headers={"Content-Type": "text/plain"})
    assert problem(odd) == (415, "unsupported-media-type")


# The human's queue


def test_a_held_event_is_put_back_or_dismissed_by_a_human(house: House):
    """Listed with its reason; what is not held is not decided upon."""
    deliver(house)
    inbox = Inbox(house.ledger.database, house.clock)
    [taken] = inbox.take(10, timedelta(minutes=1))
    inbox.finish(taken, "held", "no step leads on")
    held = house.get("/v1/webhook-events", query_string="status=held").json["items"]
    back = house.post("/v1/webhook-events/evt_1/retry", {})

    assert [(one["event_id"], one["reason"]) for one in held] == [("evt_1", "no step leads on")]
    assert (back.status_code, back.json["status"], back.json["attempts"]) == (200, "waiting", 0)
    again = house.post("/v1/webhook-events/evt_1/dismiss", {"reason": "known"})
    assert problem(again) == (409, "illegal-transition")
    assert problem(house.post("/v1/webhook-events/evt_2/retry", {})) == (404, "not-found")
    [taken] = inbox.take(10, timedelta(minutes=1))
    inbox.finish(taken, "held", "again")
    gone = house.post("/v1/webhook-events/evt_1/dismiss", {"reason": "known"})
    assert gone.json["status"] == "dismissed"
    assert gone.json["reason"].startswith("known (key:")
    assert house.get("/v1/webhook-events/evt_1").json == gone.json


# The inbox


def test_an_event_is_worked_on_by_one_at_a_time(house: House):
    """Until its lease ends; whoever comes back after that can't finish it any more."""
    deliver(house)
    inbox = Inbox(house.ledger.database, house.clock)
    [slow] = inbox.take(10, timedelta(minutes=1))

    assert inbox.take(10, timedelta(minutes=1)) == []
    house.clock.forward(minutes=2)
    [quick] = inbox.take(10, timedelta(minutes=1))
    inbox.finish(slow, "done")
    assert [row["status"] for row in stored(house)] == ["waiting"]
    inbox.finish(quick, "noted", "nothing of ours")
    assert [(row["status"], row["reason"]) for row in stored(house)] == [("noted", "nothing of ours")]


def test_one_put_off_since_is_not_finished_by_whom_its_lease_left(house: House):
    """Though as many attempts count as when the slow one took it; nor twice by the one that put it off."""
    deliver(house)
    inbox = Inbox(house.ledger.database, house.clock)
    [slow] = inbox.take(10, timedelta(minutes=1))
    house.clock.forward(minutes=2)
    [quick] = inbox.take(10, timedelta(minutes=1))
    inbox.try_again(quick, timedelta(0), "later", postponed=True)

    for late in (slow, quick):
        inbox.finish(late, "done")
        inbox.try_again(late, timedelta(days=9), "never", postponed=False)
    [row] = stored(house)
    assert (row["status"], row["reason"], row["attempts"]) == ("waiting", "later", 1)
    [third] = inbox.take(10, timedelta(minutes=1))
    inbox.finish(slow, "held", "too late")
    inbox.finish(third, "done")
    assert [row["status"] for row in stored(house)] == ["done"]


def test_what_is_put_off_costs_no_attempt(house: House):
    """What went wrong does."""
    deliver(house)
    inbox = Inbox(house.ledger.database, house.clock)
    for postponed in (True, False, True):
        [taken] = inbox.take(10, timedelta(minutes=1))
        inbox.try_again(taken, timedelta(minutes=5), "later", postponed=postponed)
        assert inbox.take(10, timedelta(minutes=1)) == []
        house.clock.forward(minutes=6)

    [row] = stored(house)
    assert (row["attempts"], row["postponed"], row["status"]) == (1, 2, "waiting")


def test_finished_events_are_forgotten_after_thirty_days(house: House):
    """What waits or is held stays."""
    inbox = Inbox(house.ledger.database, house.clock)
    ends: list[Any] = ["done", "noted", "held", None]
    for number, status in enumerate(ends):
        deliver(house, {**EVENT, "id": f"evt_{number}"})
        [taken] = inbox.take(10, timedelta(days=90))
        if status:
            inbox.finish(taken, status)
    house.clock.forward(days=31)

    assert inbox.clear() == 2
    assert sorted(row["event_id"] for row in stored(house)) == ["evt_2", "evt_3"]


def test_the_stand_in_has_a_secret_that_an_installation_keeps(tmp_path):
    """Made when it is first asked for; with Stripe itself there is none before one is given."""
    of = Settings(var=tmp_path)

    assert of.webhook_secrets == of.webhook_secrets == (standin_webhook_secret(tmp_path),)
    assert Settings(var=tmp_path / "other").webhook_secrets != of.webhook_secrets
    assert Settings(stripe_api_key="sk_test_1", var=tmp_path).webhook_secrets == ()
