"""`revshare payouts`: draft, approve and follow batches with one's own API key; run the worker."""

from enum import StrEnum
from typing import Annotated, Any, Final
from uuid import uuid4

import typer

from api.cli import bank, payout_gate, payout_settings
from api.cli.asking import Key, Url, asked, client_of
from api.cli.client import Client
from api.cli.importer import program_id_of
from api.cli.parts import Live, send_once, work
from api.cli.terminal import EXIT_USAGE, fail, out, say
from api.cli.terminal import table as new_table
from ledger.money import Money

BATCHES: Final = "/v1/payout-batches"
_AMOUNTS: Final = ("amount_minor", "withheld_minor", "net_minor")


class Outcome(StrEnum):
    """What can be said of a payout that nobody knows about."""

    confirmed = "confirmed"
    absent = "absent"


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
    client = client_of(url, key)
    batch = asked(lambda: draft_batch(client, str(program_id_of(program))))
    _show(batch)
    say(f"look at it, then, with another key: revshare payouts approve {batch['batch_id']}")


@payouts.command()
def approve(batch_id: str, url: Url = None, key: Key = "") -> None:
    """Approve a batch as it stands now; the worker sends its payouts."""
    client = client_of(url, key)
    batch = asked(lambda: client.want("GET", f"{BATCHES}/{batch_id}"))
    _show(asked(lambda: approve_batch(client, batch)))


@payouts.command()
def cancel(
    batch_id: Annotated[str | None, typer.Argument(help="The batch, whole.")] = None,
    payout: Annotated[str | None, typer.Option(help="Only this payout, of an approved batch.")] = None,
    reason: Annotated[str, typer.Option(help="Why; it is recorded with your key.")] = "",
    url: Url = None,
    key: Key = "",
) -> None:
    """Give up a batch, or one payout, before it is sent; what it would have paid stays payable."""
    if (batch_id is None) == (payout is None):
        fail("say which: revshare payouts cancel BATCH, or --payout PAYOUT", code=EXIT_USAGE)
    if not reason:
        fail("say why: --reason", code=EXIT_USAGE)
    client, word = client_of(url, key), {"reason": reason}
    if batch_id is not None:
        _show(asked(lambda: client.want("POST", f"{BATCHES}/{batch_id}/cancel", word)))
        return
    done = asked(lambda: client.want("POST", f"/v1/payouts/{payout}/cancel", word))
    out.print(f"payout {done['payout_id']}: {done['status']}, {done['reason']}")


@payouts.command()
def status(batch_id: str, url: Url = None, key: Key = "") -> None:
    """Show a batch and each of its payouts."""
    client = client_of(url, key)
    _show(asked(lambda: client.want("GET", f"{BATCHES}/{batch_id}")))


@payouts.command("list")
def list_batches(
    program: Annotated[str | None, typer.Option(help="Only of this program (id or reference).")] = None,
    url: Url = None,
    key: Key = "",
) -> None:
    """Show the batches, the latest first."""
    client = client_of(url, key)
    program_id = None if program is None else str(program_id_of(program))
    found = asked(lambda: client.want("GET", BATCHES, program_id=program_id, limit=100))
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
    client = client_of(url, key)
    word = {"outcome": outcome.value, "transfer_id": transfer, "reason": reason}
    payout = asked(lambda: client.want("POST", f"/v1/payouts/{payout_id}/resolve", word))
    out.print(f"payout {payout['payout_id']}: {payout['status']}, {payout['transfer_id'] or 'no transfer'}")


@payouts.command()
def send(
    batch_id: Annotated[
        str | None, typer.Argument(help="The batch; without it: all that is approved.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent.")] = False,
    live: Live = False,
    url: Url = None,
    key: Key = "",
) -> None:
    """Send now what was approved. With a batch, the API asks the payout worker to take it up at once;
    without, this machine takes one turn of a worker itself, with its own Stripe key.

    Where `revshare up` or `payouts work` runs, what is approved is sent anyway: this ends the waiting.
    """
    if dry_run:
        if batch_id is None:
            fail("say which batch: revshare payouts send BATCH --dry-run", code=EXIT_USAGE)
        client = client_of(url, key)
        _show_outlook(asked(lambda: client.want("GET", f"{BATCHES}/{batch_id}/outlook")))
        return
    if batch_id is not None:
        client = client_of(url, key)
        _show_outlook(asked(lambda: client.want("POST", f"{BATCHES}/{batch_id}/send")))
        say(f"the payout worker was asked; what came of it: revshare payouts status {batch_id}")
        return
    done = send_once(live=live)
    out.print(f"{done} payouts got on")


payouts.command()(payout_settings.settings)
payouts.command()(payout_settings.withhold)
payouts.command()(payout_settings.remitted)
payouts.command()(work)
payouts.command()(bank.export)
payouts.command("bank-outcome")(bank.bank_outcome)
payouts.command("withdraw-rejection")(bank.withdraw_rejection)
payouts.command("import-statement")(bank.import_statement)
payouts.command()(payout_gate.freeze)
payouts.command()(payout_gate.thaw)
payouts.command()(payout_gate.restored)
payouts.command("bank-files-known")(payout_gate.bank_files_known)
payouts.command("take-in")(payout_gate.take_in)


def _show_outlook(of: dict[str, Any]) -> None:
    table = new_table("payout", "partner", "status", "sent", "next", "waits for")
    for payout in of["payouts"]:
        table.add_row(
            payout["payout_id"],
            payout["partner_id"],
            payout["status"],
            str(Money(payout["net_minor"], payout["currency"])),
            payout["next"].replace("_", " "),
            payout["waits_for"] or "",
        )
    out.print(table)
    out.print(f"{of['to_send']} payouts, {Money(of['to_send_minor'], of['currency'])}, would be sent")


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
    total, withheld = (Money(batch[name], batch["currency"]) for name in ("total_minor", "withheld_minor"))
    out.print(f"batch {batch['batch_id']}: {batch['status']}, {total}, made by {_who(batch, 'made_by')}")
    if withheld.minor:
        out.print(f"of it withheld: {withheld}")
    given, needed = len(batch["approvals"]), batch["approvals_needed"]
    if batch["status"] == "draft" and needed > 1:
        out.print(f"approvals: {given} of {needed}")
    for approval in batch["approvals"]:
        out.print(f"approved by {approval['person'] or approval['by']}")
    if batch.get("paused_reason"):
        out.print(f"paused: {batch['paused_reason']}")
    for left_out in batch.get("skipped", ()):
        out.print(f"left out: partner {left_out['partner_id']}: {left_out['reason']}")


def _who(batch: dict[str, Any], name: str) -> str:
    """A person where the key names one."""
    return str(batch[f"{name}_person"] or batch[name])
