"""`revshare reconcile`: exit codes for cron, formats for files, reasons for differences."""

import csv
import io
import json
from uuid import uuid4

import pytest

from api.cli.stripe_words import EXIT_AWAY, why
from payouts.gateway import Confirmed, StripeGateway
from payouts.outcomes import GatewayError, NotSent, Rejected, RetryLater, Unknown
from tests.support.commands import invoke
from tests.support.stripe_process import running_stripe
from tests.support.transfers import intent

KEY = "sk_test_standin"


@pytest.fixture
def address(tmp_path):
    """A stand-in as a process, which holds nothing yet."""
    with running_stripe(tmp_path) as address:
        yield address


def test_it_ends_with_0_3_or_4(database_url, address):
    """Clean; with differences, until a reason ends them; and when nobody answers."""
    env = {"DATABASE_URL": database_url, "STRIPE_API_KEY": KEY, "STRIPE_API_BASE": address}
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
    said = " ".join(deaf.stderr.split())

    assert (clean.exit_code, young.exit_code, found.exit_code) == (0, 0, 3)
    assert "clean" in clean.stdout
    document = json.loads(found.stdout)
    assert (document["differences"], document["counts"]["theirs_only"]) == (1, 4)
    assert (unknown.exit_code, done.exit_code, after.exit_code, deaf.exit_code) == (1, 0, 0, EXIT_AWAY)
    assert "Stripe could not be asked: no connection to it, or none that lasted; nothing was stored" in said
    rows = list(csv.DictReader(io.StringIO(after.stdout)))
    assert [r["resolution"] for r in rows if r["kind"] == "transfer"] == ["Sent by hand."]
    assert invoke(env, "reconcile", "--from", "yesterday").exit_code == 2


def test_the_brake_and_what_doctor_says_of_it(sqlite_database_url, address):
    """Freeze and thaw need no API; a transfer that the ledger does not know is named, and what to do."""
    env = {"DATABASE_URL": sqlite_database_url, "STRIPE_API_KEY": KEY, "STRIPE_API_BASE": address}
    gateway = StripeGateway(KEY, address)

    frozen = invoke(env, "payouts", "freeze", "--reason", "Odd traffic.")
    said = invoke(env, "doctor").stdout
    thawed = invoke(env, "payouts", "thaw", "--reason", "All is well.")
    account = gateway.create_account("y", "GB", "y@example.com", "k-2")
    made = gateway.create_transfer(intent(account, metadata={"payout_id": str(uuid4()), "attempt": "1"}))
    assert isinstance(made, Confirmed)
    lost = invoke(env, "doctor").stdout
    refused = invoke(env, "payouts", "take-in", made.transfer_id, "--reason", "Restored.")

    assert (frozen.exit_code, thawed.exit_code) == (0, 0)
    assert "frozen: Odd traffic." in said
    assert made.transfer_id in lost
    assert "restored" in lost
    assert refused.exit_code == 1
    assert "draft its batch again" in " ".join(refused.stderr.split())


def test_a_restore_is_told_and_ends_with_finances_word(sqlite_database_url, address):
    """Without the API: doctor says what is not exported meanwhile."""
    env = {"DATABASE_URL": sqlite_database_url, "STRIPE_API_KEY": KEY, "STRIPE_API_BASE": address}
    at_bank = env | {"PAYOUT_BANK_NAME": "Us GmbH", "PAYOUT_BANK_IBAN": "LU280019400644750000"}

    restored = invoke(env, "payouts", "restored", "--reason", "Put back to Sunday.")
    said, silent = (" ".join(invoke(each, "doctor").stdout.split()) for each in (at_bank, env))
    known = invoke(env, "payouts", "bank-files-known", "--reason", "No file left since.")
    after = " ".join(invoke(at_bank, "doctor").stdout.split())
    wrong = [invoke(env, "payouts", name, "--reason", " ") for name in ("restored", "bank-files-known")]

    assert (restored.exit_code, known.exit_code) == (0, 0)
    assert "none is exported: Put back to Sunday." in said
    assert "bank files" not in silent
    assert "Put back to Sunday." not in after
    assert [each.exit_code for each in wrong] == [1, 1]


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (RetryLater(7), "it was too busy"),
        (
            NotSent("AuthenticationError", "No such key"),
            "it does not take our key or our request (AuthenticationError)",
        ),
        (Rejected("parameter_invalid", "No."), "it refused the question (parameter_invalid): No."),
        (Rejected("parameter_invalid", ""), "it refused the question (parameter_invalid)"),
        (Unknown("server_error", "500"), "it answered with an error of its own"),
        (Unknown("unreadable", "<html>"), "its answer could not be used (unreadable)"),
    ],
)
def test_why_there_was_no_answer_is_said_in_words(outcome, said):
    """For each sort of silence, with advice."""
    words, advice = why(GatewayError(outcome))

    assert words == said
    assert advice
