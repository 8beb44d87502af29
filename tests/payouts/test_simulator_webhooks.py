"""The stand-in's webhooks: signed as Stripe signs; lost, doubled, late, early and forged on demand."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import pytest
import stripe

from payouts.simulator.faults import Fault
from payouts.simulator.settings import Endpoint
from payouts.simulator.webhooks import Delivery
from tests.support.house import wait_for
from tests.support.in_process_stripe import ADDRESS, InProcessStripe
from tests.support.postgres import free_port
from tests.support.stripe_process import play_faults, running_stripe, sim
from tests.support.stripe_sdk import a_transfer, an_account, connect

OLD, NEW = "whsec_old", "whsec_new"
HOOK = "https://us.example/webhooks/stripe"
CREATED = "webhook transfer.created"
HOUR_S, DAY_S = 3600, 24 * 3600


class Inbox:
    """An endpoint in the test: what came, and what it answers."""

    def __init__(self, standin: InProcessStripe, **endpoint: Any) -> None:
        self.status: int | None = 200
        self.came: list[Delivery] = []
        self.standin = standin
        where = Endpoint(HOOK, (OLD, NEW), **{"events": ("transfer.*",), **endpoint})
        standin.listen(self._take, hook=where)

    def _take(self, delivery: Delivery) -> int | None:
        self.came.append(delivery)
        return self.status

    def deliver(self) -> list[str]:
        """Let come what is due: the types of the events."""
        seen = len(self.came)
        self.standin.deliver()
        return [json.loads(delivery.body)["type"] for delivery in self.came[seen:]]


def opened(standin: InProcessStripe, delivery: Delivery, secret: str) -> stripe.Event:
    """The event as the SDK checks and opens it, at the stand-in's time."""
    stripe.WebhookSignature.verify_header(
        delivery.body.decode(), delivery.headers["Stripe-Signature"], secret, tolerance=None
    )
    when = int(delivery.headers["Stripe-Signature"].split(",")[0].removeprefix("t="))
    assert when <= standin.clock(), "signed in the future"
    return stripe.Event.construct_from(json.loads(delivery.body), "k")


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_a_webhook_carries_the_event_signed_with_every_secret(standin, secret):
    inbox = Inbox(standin)
    client = standin.sdk()
    transfer = a_transfer(client, an_account(client).id)
    event = client.v1.events.list({"type": "transfer.created"}).data[0]
    waiting = event.pending_webhooks
    came = inbox.deliver()
    sent = opened(standin, inbox.came[0], secret)

    assert came == ["transfer.created"]
    assert (inbox.came[0].url, inbox.deliver()) == (HOOK, [])
    assert (sent.id, sent.data.object["id"]) == (event.id, transfer.id)
    assert (waiting, client.v1.events.retrieve(event.id).pending_webhooks) == (1, 0)


def test_a_thin_event_names_its_object_and_the_sdk_fetches_it(standin):
    inbox = Inbox(standin, payload="thin", events=("v2.core.account.created",))
    client = standin.sdk()
    account = an_account(client)
    inbox.deliver()
    (delivery,) = inbox.came
    opened(standin, delivery, NEW)
    told = stripe.v2.core.EventNotification.from_json(delivery.body.decode(), client)

    assert told.type == "v2.core.account.created"
    assert "changes" not in json.loads(delivery.body)
    related: Any = told
    assert related.fetch_related_object().id == account.id
    assert told.fetch_event().id == told.id


def test_an_event_of_a_connected_account_names_it(standin):
    inbox = Inbox(standin, events=("payout.created",))
    client = standin.sdk()
    account = an_account(client)
    a_transfer(client, account.id)
    client.v1.payouts.create({"amount": 5, "currency": "gbp"}, {"stripe_account": account.id})
    inbox.deliver()

    assert [json.loads(delivery.body)["account"] for delivery in inbox.came] == [account.id]


def test_what_is_not_taken_comes_again_ever_later_for_three_days(standin):
    inbox = Inbox(standin)
    inbox.status = 500
    client = standin.sdk()
    a_transfer(client, an_account(client).id)
    began, times = standin.clock(), []
    while standin.clock() < began + 5 * DAY_S:
        if inbox.deliver():
            times.append(standin.clock() - began)
            inbox.status = None if len(times) == 2 else 500
        standin.advance(60)
    gaps = [later - earlier for earlier, later in pairwise(times)]

    assert gaps == sorted(gaps)
    assert len(times) > 8
    assert 2 * DAY_S < times[-1] <= 3 * DAY_S
    assert len({delivery.body for delivery in inbox.came}) == 1
    assert len({delivery.headers["Stripe-Signature"] for delivery in inbox.came}) == len(times)


@pytest.mark.parametrize(
    ("kind", "at_once", "an_hour_later"),
    [
        ("webhook_lost", [], []),
        ("webhook_doubled", ["transfer.created", "transfer.created"], []),
        ("webhook_late", [], ["transfer.created"]),
    ],
)
def test_a_webhook_is_lost_doubled_or_late(standin, kind, at_once, an_hour_later):
    inbox = Inbox(standin)
    client = standin.sdk()
    standin.play(Fault(CREATED, kind))
    a_transfer(client, an_account(client).id)
    now = inbox.deliver()
    standin.advance(HOUR_S)

    assert now == at_once
    assert inbox.deliver() == an_hour_later
    assert len(client.v1.events.list({"type": "transfer.created"}).data) == 1


def test_a_webhook_can_be_three_days_late(standin):
    inbox = Inbox(standin)
    client = standin.sdk()
    standin.play(Fault(CREATED, "webhook_late", seconds=3 * DAY_S))
    a_transfer(client, an_account(client).id)
    standin.advance(3 * DAY_S - 1)
    before = inbox.deliver()
    standin.advance(1)

    assert (before, inbox.deliver()) == ([], ["transfer.created"])


def test_later_webhooks_overtake_one(standin):
    inbox = Inbox(standin)
    client = standin.sdk()
    standin.play(Fault(CREATED, "webhook_reordered"))
    transfer = a_transfer(client, an_account(client).id)
    client.v1.transfers.reversals.create(transfer.id)
    standin.advance(10)

    assert inbox.deliver() == ["transfer.reversed", "transfer.created"]


def test_a_webhook_overtakes_the_answer_to_the_call_that_caused_it(standin):
    """When it comes the transfer is there to be retrieved, though its caller does not know of it yet."""
    client, seen = standin.sdk(), []

    def take(delivery: Delivery) -> int:
        transfer = json.loads(delivery.body)["data"]["object"]["id"]
        seen.append(client.v1.transfers.retrieve(transfer).id)
        return 200

    standin.listen(take, hook=Endpoint(HOOK, (NEW,), events=("transfer.created",)))
    account = an_account(client)
    standin.play(Fault(CREATED, "webhook_before_response"), Fault("POST /v1/transfers", "drop_after_commit"))
    with pytest.raises(stripe.APIConnectionError):
        a_transfer(client, account.id)

    assert len(seen) == 1
    assert standin.deliver() == 0


@pytest.mark.parametrize(("kind", "wrong"), [("webhook_forged", "signatures"), ("webhook_future", "future")])
def test_a_forger_tries_once_and_the_right_one_comes_too(standin, kind, wrong):
    inbox = Inbox(standin)
    client = standin.sdk()
    standin.play(Fault(CREATED, kind))
    a_transfer(client, an_account(client).id)
    came = inbox.deliver()
    good, bad = [], []
    for delivery in inbox.came:
        try:
            good.append(opened(standin, delivery, NEW).id)
        except (stripe.SignatureVerificationError, AssertionError) as refused:
            bad.append(str(refused))

    assert came == ["transfer.created"] * 2
    assert (len(good), len(bad)) == (1, 1)
    assert wrong in bad[0]


# Of the process


@contextmanager
def endpoint(port: int = 0) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An HTTP server that takes webhooks: its address, and what it took."""
    took: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            took.append({"body": body, "signature": self.headers["Stripe-Signature"]})
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", took
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_process_delivers_by_itself_and_by_its_clock(tmp_path):
    with endpoint() as (url, took), running_stripe(tmp_path, "--webhook", url, NEW) as address:
        wrong: list[str] = []
        client = connect(address, wrong)
        account = an_account(client)
        wait_for(lambda: len(took) > 0, message="no webhook came")
        play_faults(address, {"on": CREATED, "do": "webhook_late", "seconds": 2 * DAY_S})
        a_transfer(client, account.id)
        seen = {json.loads(one["body"])["type"] for one in took}
        sim(address, "clock", {"advance_s": 2 * DAY_S})
        wait_for(lambda: b"transfer.created" in took[-1]["body"], message="the late one did not come")
        event = stripe.Webhook.construct_event(
            took[-1]["body"].decode(), took[-1]["signature"], NEW, tolerance=3 * DAY_S
        )
        wait_for(
            lambda: {one["status"] for one in sim(address, "webhooks")["deliveries"]} == {"delivered"},
            message="something is still to be delivered",
        )

    assert "transfer.created" not in seen
    assert event.data.object["destination"] == account.id
    assert wrong == []


def test_the_process_keeps_what_it_still_has_to_deliver(tmp_path):
    """The endpoint is away; the stand-in is started again and tries again, by its clock."""
    url = f"http://127.0.0.1:{(port := free_port())}/"
    with running_stripe(tmp_path) as address:
        sim(address, "webhooks", {"hook": {"url": url, "secrets": [NEW]}})
        an_account(connect(address, []))
        wait_for(
            lambda: all(one["attempts"] == 1 for one in sim(address, "webhooks")["deliveries"]),
            message="it was not tried",
        )
        frozen = sim(address, "clock", {"freeze": True})["now"]
    with endpoint(port) as (_url, took), running_stripe(tmp_path) as address:
        sim(address, "clock", {"advance_s": HOUR_S})
        wait_for(lambda: len(took) > 0, message="no webhook came")
        signed = took[0]["signature"]

    assert signed.startswith(f"t={frozen + HOUR_S},v1=")


def test_a_webhook_of_the_process_overtakes_the_answer(tmp_path):
    with endpoint() as (url, took), running_stripe(tmp_path, "--webhook", url, NEW) as address:
        client = connect(address, [])
        account = an_account(client)
        play_faults(address, {"on": CREATED, "do": "webhook_before_response"})
        a_transfer(client, account.id)
        early = [json.loads(one["body"])["type"] for one in took]

    assert "transfer.created" in early


def test_the_address_in_process_is_the_one_that_the_gateway_is_given(standin):
    """A link leads to where the stand-in is."""
    standin.set(onboarding="manual")
    client = standin.sdk()
    ends: Any = {"refresh_url": "https://us.example/again", "return_url": "https://us.example/done"}
    link = client.v1.account_links.create(
        {"account": an_account(client).id, "type": "account_onboarding", **ends}
    )

    assert link.url.startswith(f"{ADDRESS}/_sim/onboarding/acct_")
