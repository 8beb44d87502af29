"""`revshare reconcile`: exit codes for cron, formats for files, reasons for differences."""

import csv
import io
import json

import pytest

from payouts.gateway import Confirmed, StripeGateway
from tests.support.commands import invoke
from tests.support.stripe_process import running_stripe
from tests.support.transfers import intent

KEY = "sk_test_standin"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A stand-in as a process."""
    with running_stripe(tmp_path_factory.mktemp("stripe")) as address:
        yield address


def test_it_ends_with_0_3_or_1(sqlite_database_url, address):
    """Clean; with differences, until a reason ends them; and when nobody answers."""
    env = {"DATABASE_URL": sqlite_database_url, "STRIPE_API_KEY": KEY, "STRIPE_API_BASE": address}
    gateway = StripeGateway(KEY, address)

    clean = invoke(env, "reconcile")
    account = gateway.create_account("x", "GB", "x@example.com", "k")
    transfer = gateway.create_transfer(intent(account))
    assert isinstance(transfer, Confirmed)
    late = ("--in-time-s", "0", "--to", "2100-01-01T00:00:00Z", "--from", "2020-01-01T00:00:00Z")
    young = invoke(env, "reconcile", *late[2:])
    found = invoke(env, "reconcile", "--format", "json", *late)
    unknown = invoke(env, "reconcile", "resolve", "tr_none", "--reason", "Why not.")
    done = invoke(env, "reconcile", "resolve", transfer.transfer_id, "--reason", "Sent by hand.")
    after = invoke(env, "reconcile", "--format", "csv", *late)
    deaf = invoke({**env, "STRIPE_API_BASE": "http://127.0.0.1:9"}, "reconcile")

    assert (clean.exit_code, young.exit_code, found.exit_code) == (0, 0, 3)
    assert "clean" in clean.stdout
    document = json.loads(found.stdout)
    assert (document["differences"], document["counts"]["theirs_only"]) == (1, 4)
    assert (unknown.exit_code, done.exit_code, after.exit_code, deaf.exit_code) == (1, 0, 0, 1)
    rows = list(csv.DictReader(io.StringIO(after.stdout)))
    assert [r["resolution"] for r in rows if r["kind"] == "transfer"] == ["Sent by hand."]
    assert invoke(env, "reconcile", "--from", "yesterday").exit_code == 2
