"""`revshare payouts`: draft, approve and follow batches with one's own API key; run the worker."""

from enum import StrEnum
from typing import Annotated, Any, Final
from uuid import uuid4

import typer

from api.cli.client import Client, Refused, Unreachable
from api.cli.importer import program_id_of
from api.cli.parts import settings, work
from api.cli.terminal import EXIT_USAGE, fail, out, say
from api.cli.terminal import table as new_table
from ledger.money import Money

BATCHES: Final = "/v1/payout-batches"
_PATIENCE_S: Final = 30
_AMOUNTS: Final = ("amount_minor", "withheld_minor", "net_minor")


class Outcome(StrEnum):
    """What can be said of a payout that nobody knows about."""

    confirmed = "confirmed"
    absent = "absent"


Url = Annotated[str | None, typer.Option(envvar="REVSHARE_URL", help="Default: the local server.")]
Key = Annotated[
    str, typer.Option(envvar="REVSHARE_API_KEY", help="Your API key: it says who drafts and who approves.")
]

payouts = typer.Typer(help="Payouts: draft, approve, look, send.", no_args_is_help=True)


def draft_batch(client: Client, program_id: str, *, key: str | None = None) -> dict[str, Any]:
    """Draft a batch of all that is payable. Raises Refused (409 nothing-to-pay among others)."""
    headers = {"Idempotency-Key": key or str(uuid4())}
    batch: dict[str, Any] = client.want("POST", BATCHES, {"program_id": program_id}, **headers)
    return batch


def approve_batch(client: Client, batch: dict[str, Any]) -> dict[str, Any]:
    """Approve a batch as it was looked at, so that its payouts are sent. Raises Refused."""
    path = f"{BATCHES}/{batch['batch_id']}/approve"
    approved: dict[str, Any] = client.want("POST", path, {"content_hash": batch["content_hash"]})
    return approved


@payouts.command()
def draft(
    program: Annotated[str, typer.Option(help="The program's id, or its reference.")],
    url: Url = None,
    key: Key = "",
) -> None:
    """Draft a batch of everything that is payable. Somebody else approves it."""
    client = _client(url, key)
    batch = _asked(lambda: draft_batch(client, str(program_id_of(program))))
    _show(batch)
    say(f"look at it, then, with another key: revshare payouts approve {batch['batch_id']}")


@payouts.command()
def approve(batch_id: str, url: Url = None, key: Key = "") -> None:
    """Approve a batch as it stands now; the worker sends its payouts."""
    client = _client(url, key)
    batch = _asked(lambda: client.want("GET", f"{BATCHES}/{batch_id}"))
    _show(_asked(lambda: approve_batch(client, batch)))


@payouts.command()
def status(batch_id: str, url: Url = None, key: Key = "") -> None:
    """Show a batch and each of its payouts."""
    client = _client(url, key)
    _show(_asked(lambda: client.want("GET", f"{BATCHES}/{batch_id}")))


@payouts.command("list")
def list_batches(
    program: Annotated[str | None, typer.Option(help="Only of this program (id or reference).")] = None,
    url: Url = None,
    key: Key = "",
) -> None:
    """Show the batches, the latest first."""
    client = _client(url, key)
    program_id = None if program is None else str(program_id_of(program))
    found = _asked(lambda: client.want("GET", BATCHES, program_id=program_id, limit=100))
    table = new_table("batch", "status", "total", "made by", "approved by")
    for batch in found["items"]:
        total = str(Money(batch["total_minor"], batch["currency"]))
        table.add_row(batch["batch_id"], batch["status"], total, batch["made_by"], batch["approved_by"] or "")
    out.print(table)


@payouts.command()
def resolve(
    payout_id: str,
    outcome: Annotated[Outcome, typer.Option("--as", help="How it stands: you have looked at Stripe's.")],
    reason: Annotated[str, typer.Option(help="How you know; it is recorded with your key.")],
    transfer: Annotated[str | None, typer.Option(help="The transfer (tr_…), if there is one.")] = None,
    url: Url = None,
    key: Key = "",
) -> None:
    """Say how a payout stands that is unknown or held: docs/payout-states.md tells when and how."""
    client = _client(url, key)
    word = {"outcome": outcome.value, "transfer_id": transfer, "reason": reason}
    payout = _asked(lambda: client.want("POST", f"/v1/payouts/{payout_id}/resolve", word))
    out.print(f"payout {payout['payout_id']}: {payout['status']}, {payout['transfer_id'] or 'no transfer'}")


payouts.command()(work)


def _client(url: str | None, key: str) -> Client:
    if not key:
        fail("no API key", code=EXIT_USAGE, hint="set REVSHARE_API_KEY, or make one: revshare keys issue")
    return Client(url or settings().base_url, key, patience_s=_PATIENCE_S)


def _asked(ask: Any) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = ask()
    except (Refused, Unreachable) as error:
        fail(str(error))
    return answer


def _show(batch: dict[str, Any]) -> None:
    table = new_table("payout", "partner", "status", "amount", "withheld", "sent", "attempt", "transfer")
    for payout in batch.get("payouts", ()):
        table.add_row(
            payout["payout_id"],
            payout["partner_id"],
            payout["status"],
            *[str(Money(payout[name], payout["currency"])) for name in _AMOUNTS],
            str(payout["attempt"]),
            payout["transfer_id"] or "",
        )
    out.print(table)
    total = Money(batch["total_minor"], batch["currency"])
    out.print(f"batch {batch['batch_id']}: {batch['status']}, {total}, made by {batch['made_by']}")
    for left_out in batch.get("skipped", ()):
        out.print(f"left out: partner {left_out['partner_id']}: {left_out['reason']}")
