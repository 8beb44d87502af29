"""`revshare payouts` against the real API: settings, a draft, two checkers, an outlook, the sending."""

import re
import threading
from collections.abc import Iterator
from socketserver import ThreadingMixIn
from uuid import UUID, uuid4
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest

from api.cli.payout_settings import percent
from api.cli.terminal import EXIT_REJECTED
from payouts import accounts
from payouts.gateway import StripeGateway
from tests.api.house import House, sale
from tests.support.backup import Backup
from tests.support.commands import invoke
from tests.support.stripe_process import books, running_stripe


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def stripe_address(tmp_path) -> Iterator[str]:
    """A stand-in that holds test money. Its own: transfers of another database look like a restore."""
    with running_stripe(tmp_path / "stripe") as address:
        yield address


class Office:
    """A house whose API listens, and the command line of those who work there."""

    def __init__(self, house: House, environment: dict[str, str]) -> None:
        self.house, self.environment = house, environment
        people = {"maker": "ann", "first": "bob", "second": "carol"}
        self.keys = {name: house.key("finance:approve", person=person) for name, person in people.items()}

    def says(self, name: str, *arguments: str, code: int = 0) -> str:
        """What a command prints for somebody, in one line."""
        done = invoke({**self.environment, "REVSHARE_API_KEY": self.keys[name]}, "payouts", *arguments)
        assert done.exit_code == code, done.output
        return " ".join((done.stdout if code == 0 else done.stderr).split())


@pytest.fixture
def office(database_url: str, stripe_address: str, tmp_path) -> Iterator[Office]:
    """A partner is due 20.00 in a program called acme."""
    house = House(database_url)
    server = make_server("127.0.0.1", 0, house.client.app, server_class=_Server, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    environment = {
        "DATABASE_URL": database_url,
        "REVSHARE_URL": f"http://127.0.0.1:{server.server_port}",
        "STRIPE_API_KEY": "sk_test_standin",
        "STRIPE_API_BASE": stripe_address,
        "VAR_DIR": str(tmp_path / "var"),
    }
    yield Office(house, environment)
    server.shutdown()
    thread.join()
    server.server_close()
    house.close()


def due(office: Office, stripe_address: str) -> str:
    """Let a partner, with an account of the stand-in, earn 20.00; its id."""
    house, gateway = office.house, StripeGateway("sk_test_standin", stripe_address)
    program_id = house.program()
    partner_id = house.partner(program_id)
    account = gateway.create_account("P-1", "GB", "finance@example.com", str(uuid4()))
    # Not by the door: it would ask the stand-in within the house, which knows nothing of this one.
    accounts.link(house.ledger, UUID(partner_id), gateway.account(account), seen_at=house.clock(), by="test")
    house.referred(program_id)
    house.post("/v1/conversions", sale(program_id))
    house.clock.forward(days=1)
    house.catch_up()
    return partner_id


def test_settings_are_shown_and_changed_one_by_one(office):
    """What no option names stays; `none` takes away; what makes no sense is refused with a sentence."""
    office.house.program()

    before = office.says("maker", "settings", "acme")
    monthly = office.says("maker", "settings", "acme", "--monthly", "31", "--time-zone", "Europe/London")
    more = office.says(
        "maker",
        "settings",
        "acme",
        "--hour",
        "9",
        "--minimum-minor",
        "5000",
        "--withhold",
        "DE=1550",
        "--us-source",
    )
    weekly = office.says("maker", "settings", "acme", "--weekly", "Friday", "--minimum-minor", "none")
    last = office.says("maker", "settings", "acme", "--on-demand", "--withhold", "none", "--not-us-source")

    assert "on demand" in before
    assert "day 31 of each month, 06:00 Europe/London" in monthly
    assert "2026-06-30 (2026-06-30T05:00:00Z)" in monthly
    for said in (
        "day 31 of each month, 09:00 Europe/London",
        "5000",
        "DE 15.5%",
        "every partner needs a form",
    ):
        assert said in more
    assert "each friday, 09:00 Europe/London" in weekly
    assert "5000" not in weekly
    assert "DE 15.5%" in weekly
    assert "on demand" in last
    assert "DE" not in last
    for arguments in (
        ("--hour", "9"),
        ("--weekly", "someday"),
        ("--minimum-minor", "1.5"),
        ("--withhold", "DE"),
    ):
        assert office.says("maker", "settings", "acme", *arguments, code=2).startswith("error: ")
    wrong = office.says("maker", "settings", "acme", "--monthly", "1", "--time-zone", "Mars", code=1)
    assert "time zone" in wrong


def test_a_batch_from_draft_to_transfer_by_command(office, stripe_address):
    """Tax withheld, two people, what would be sent said before, one turn of the worker."""
    due(office, stripe_address)
    office.says("maker", "settings", "acme", "--second-approval-over-minor", "1000")
    withheld = office.says("maker", "withhold", "brightside", "--rate-bps", "1500", "--reason", "No treaty.")
    drafted = office.says("maker", "draft", "--program", "acme")
    office.house.catch_up()
    [batch] = office.house.get("/v1/payout-batches").json["items"]
    own = office.says("maker", "approve", batch["batch_id"], code=1)
    waits = office.says("maker", "send", batch["batch_id"], "--dry-run")
    first = office.says("first", "approve", batch["batch_id"])
    still = office.says("second", "send", batch["batch_id"], "--dry-run")
    second = office.says("second", "approve", batch["batch_id"])
    ready = office.says("second", "send", batch["batch_id"], "--dry-run")
    asked = office.says("second", "send", batch["batch_id"])
    office.house.catch_up()
    sent = office.says("second", "send")
    office.house.catch_up()
    status = office.says("second", "status", batch["batch_id"])
    filed = ("--through", "2026-06-01T00:00:00Z", "--reference", "Q2 filing")
    remitted = office.says("maker", "remitted", "acme", *filed)
    balances = invoke(office.environment, "balances", "--program", "acme").stdout
    as_csv = invoke(office.environment, "balances", "--program", "acme", "--format", "csv").stdout

    assert "15% is withheld" in withheld
    assert "of it withheld: 3.00 GBP" in drafted
    assert "made by ann" in drafted
    assert "can't approve" in own
    assert "approval: 0 of 2 given" in waits
    assert ("approvals: 1 of 2" in first, "approved by bob" in first) == (True, True)
    assert "approval: 1 of 2 given" in still
    assert "approved by bob approved by carol" in second
    assert "1 payouts, 17.00 GBP, would be sent" in ready
    assert "1 payouts, 17.00 GBP, would be sent" in asked
    assert sent == "1 payouts got on"
    assert "confirmed" in status
    assert "17.00 GBP" in status
    assert "withheld tax is remitted up to 2026-06-01T00:00:00Z" in remitted
    assert "withheld from brightside as tax: 3.00 GBP" in balances
    assert as_csv.splitlines()[1:] == ["brightside,GBP,2000,0,0,0,1700,0"]


def test_what_was_approved_is_given_up_by_command(office, stripe_address):
    """One payout, then the rest of its batch; both say why, and nothing is left to send."""
    due(office, stripe_address)
    office.says("maker", "draft", "--program", "acme")
    office.house.catch_up()
    [batch] = office.house.get("/v1/payout-batches").json["items"]
    [payout] = office.house.get("/v1/payouts").json["items"]
    office.says("first", "approve", batch["batch_id"])

    one = office.says("maker", "cancel", "--payout", payout["payout_id"], "--reason", "They asked us to.")
    whole = office.says("maker", "cancel", batch["batch_id"], "--reason", "Wrong month.")
    office.house.catch_up()

    assert f"payout {payout['payout_id']}: canceled, They asked us to." in one
    assert "canceled, 20.00 GBP" in whole
    assert office.says("second", "send") == "0 payouts got on"


def test_after_a_restore_nothing_is_sent_until_the_reconciliation_is_clean(office, stripe_address, tmp_path):
    """The copy knows the approval and not the transfer: it is named, taken in, and paid once."""

    def reconcile():
        now = ("--in-time-s", "0", "--to", "2100-01-01T00:00:00Z")
        return invoke(office.environment, "reconcile", *now).exit_code

    due(office, stripe_address)
    office.says("maker", "draft", "--program", "acme")
    office.house.catch_up()
    [batch] = office.house.get("/v1/payout-batches").json["items"]
    office.says("first", "approve", batch["batch_id"])
    office.house.catch_up()
    backup = Backup(office.house.ledger.database, tmp_path)
    office.says("maker", "send")
    before = reconcile()
    backup.put_back()

    refused = office.says("maker", "send", code=1)
    [transfer] = re.findall(r"tr_\w+", refused)
    dirty = reconcile()
    office.says("maker", "take-in", transfer, "--reason", "Restored from the copy.")
    sent = office.says("maker", "send")

    assert "DatabaseOlderThanProvider" in refused
    assert (before, dirty, reconcile()) == (0, EXIT_REJECTED, 0)
    assert sent == "0 payouts got on"
    office.house.catch_up()
    assert "confirmed" in office.says("maker", "status", batch["batch_id"])
    [account] = [row for row in books(stripe_address)["accounts"] if row["account"].startswith("acct_")]
    assert account["amount"] == 20_00


def test_what_makes_no_sense_is_refused(office):
    """With a sentence."""
    for arguments in (
        ("send", "--dry-run"),
        ("withhold", "p", "--reason", "r"),
        ("cancel", "--reason", "r"),
        ("cancel", "x", "--payout", "y", "--reason", "r"),
        ("cancel", "x"),
    ):
        assert office.says("maker", *arguments, code=2).startswith("error: ")
    office.keys["nobody"] = ""
    assert "no API key" in office.says("nobody", "settings", "acme", code=2)


@pytest.mark.parametrize(("rate_bps", "said"), [(0, "0%"), (1_500, "15%"), (1_250, "12.5%"), (1, "0.01%")])
def test_rates_for_people(rate_bps, said):
    """As they are written."""
    assert percent(rate_bps) == said
