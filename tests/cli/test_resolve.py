"""`revshare payouts resolve`: what is asked of the API, and what is said."""

import json

import pytest
from typer.testing import CliRunner

from api.cli.app import app
from tests.support.scripted_server import answer, scripted

PAYOUT = "9e0c2b1c-5a1f-5d0e-8b3a-0f6f0f6b2a11"


@pytest.mark.parametrize(
    ("options", "transfer_id", "says"),
    [
        (["--as", "confirmed", "--transfer", "tr_1"], "tr_1", "confirmed, tr_1"),
        (["--as", "absent"], None, "absent, no transfer"),
    ],
)
def test_the_word_goes_to_the_api_with_its_reason(options, transfer_id, says):
    """And the payout's new status comes back."""
    heard: list[bytes] = []
    body = {"payout_id": PAYOUT, "status": options[1], "transfer_id": transfer_id}
    with scripted([answer(200, json.dumps(body).encode())], heard) as address:
        command = ["payouts", "resolve", PAYOUT, *options, "--reason", "Seen.", "--url", address]
        done = CliRunner().invoke(app, command, env={"REVSHARE_API_KEY": "rs_key"})

    assert done.exit_code == 0, done.output
    assert says in " ".join(done.output.split())
    sent = json.loads(heard[0].partition(b"\r\n\r\n")[2])
    assert sent == {"outcome": options[1], "transfer_id": transfer_id, "reason": "Seen."}
    assert heard[0].startswith(f"POST /v1/payouts/{PAYOUT}/resolve ".encode())
