"""Partners off Stripe by command: their accounts, files for our bank, and what its statements say."""

import hashlib
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from api.cli.asking import Key, Url, asked, client_of
from api.cli.keys import partner_id_of
from api.cli.partners import Partner
from api.cli.terminal import EXIT_REJECTED, EXIT_USAGE, fail, out, say
from api.cli.terminal import table as new_table
from ledger.money import Money

_KINDS: Final = {".xml": "application/xml", ".csv": "text/csv"}


class Outcome(StrEnum):
    """What can become of a payout by our bank."""

    paid = "paid"
    returned = "returned"
    rejected = "rejected"


def bank_account(
    partner: Partner,
    iban: Annotated[str, typer.Option(prompt="IBAN", help="Asked for where it is left out.")],
    holder: Annotated[str, typer.Option(help="Whose account it is, as the bank knows its holder.")],
    bic: Annotated[str | None, typer.Option(help="Only where the bank asks for it.")] = None,
    url: Url = None,
    key: Key = "",
) -> None:
    """Pay a partner by our own bank, to this account: docs/bank-payouts.md tells how."""
    path = f"/v1/partners/{partner_id_of(partner)}/bank-account"
    told = {"iban": iban, "holder_name": holder, "bic": bic}
    linked = asked(lambda: client_of(url, key).want("POST", path, told))
    out.print(f"paid to {linked['iban']} of {linked['holder_name']}")


def export(
    batch_id: str,
    to: Annotated[Path, typer.Option("--out", help="Where to write the file.")],
    number: Annotated[int, typer.Option(help="2, 3 …: what the files before it left out.", min=1)] = 1,
    execution_date: Annotated[
        str | None, typer.Option(help="When the bank is asked to pay, as 2026-06-02; default: today.")
    ] = None,
    has_left: Annotated[
        str | None,
        typer.Option(help="After a restore: how you know that the bank has this file. Do not upload it."),
    ] = None,
    url: Url = None,
    key: Key = "",
) -> None:
    """Write a batch's file for our bank (pain.001). A second time it is the very same file."""
    client = client_of(url, key)
    path = f"/v1/payout-batches/{batch_id}/bank-files"
    wanted = {"number": number, "execution_date": execution_date, "has_left": has_left}
    file = asked(lambda: client.want("POST", path, wanted))
    content = str(asked(lambda: client.want("GET", f"{path}/{number}/pain.001"))).encode()
    if hashlib.sha256(content).hexdigest() != file["content_sha256"]:
        fail("the file did not arrive as it was exported: nothing was written")
    _write(to, content)
    total = Money(file["total_minor"], file["currency"])
    out.print(f"{to}: {file['transfers']} transfers, {total}, message {file['message_id']}")
    for each in file["left_out"]:
        what = "canceled" if each["canceled"] else "left out"
        say(f"{what}: payout {each['payout_id']}: {each['reason']}")


def _write(to: Path, content: bytes) -> None:
    """The file, whole or not at all, for its owner alone; what is there and is another is left alone."""
    if to.exists():
        if to.read_bytes() != content:
            fail(f"{to} is there, and is another file", code=EXIT_USAGE)
        return
    beside = to.with_name(f".{to.name}.part")
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as part:
            part.write(content)
            part.flush()
            os.fsync(part.fileno())
        beside.replace(to)
    except OSError as error:
        fail(f"{to} could not be written: {error.strerror}", code=EXIT_USAGE)


def bank_outcome(
    payout_id: str,
    outcome: Annotated[
        Outcome, typer.Option("--as", help="It left our account, it came back, or it never left.")
    ],
    reference: Annotated[str, typer.Option(help="What the bank calls it.")],
    reason: Annotated[str, typer.Option(help="How you know; it is recorded with your key.")],
    code: Annotated[str | None, typer.Option(help="The bank's reason code, as AC04.")] = None,
    url: Url = None,
    key: Key = "",
) -> None:
    """Say what became of a payout by our bank, where no statement says it."""
    word = {"outcome": outcome.value, "reference": reference, "reason": reason, "reason_code": code}
    path = f"/v1/payouts/{payout_id}/bank-outcome"
    payout = asked(lambda: client_of(url, key).want("POST", path, word))
    out.print(f"payout {payout['payout_id']}: {payout['status']}")


def withdraw_rejection(
    payout_id: str,
    reason: Annotated[str, typer.Option(help="How you know; it is recorded with your key.")],
    url: Url = None,
    key: Key = "",
) -> None:
    """Take back that a payout never left our account: its money is in transit again."""
    path = f"/v1/payouts/{payout_id}/bank-outcome/withdraw"
    payout = asked(lambda: client_of(url, key).want("POST", path, {"reason": reason}))
    out.print(f"payout {payout['payout_id']}: {payout['status']}, {payout['reason']}")


def import_statement(
    file: Annotated[Path, typer.Argument(help="camt.053 (.xml) or CSV (.csv).", exists=True, dir_okay=False)],
    url: Url = None,
    key: Key = "",
) -> None:
    """Import a bank statement; again, it changes nothing. Ends with 3 where an entry has to be looked at."""
    kind = _KINDS.get(file.suffix.lower())
    if kind is None:
        fail(f"{file}: must end in {' or '.join(_KINDS)}", code=EXIT_USAGE)
    headers = {"Content-Type": kind}
    report = asked(
        lambda: client_of(url, key).want("POST", "/v1/bank-statements", file.read_bytes(), **headers)
    )
    for statement in report["statements"]:
        _show_statement(statement)
    if report["differences"]:
        raise typer.Exit(EXIT_REJECTED)


def _show_statement(statement: dict[str, Any]) -> None:
    table = new_table("entry", "direction", "amount", "verdict", "payout", "detail")
    for line in statement["lines"]:
        if line["verdict"] == "not_ours":
            continue
        amount = line["amount_minor"]
        table.add_row(
            line["entry_reference"],
            line["direction"],
            "?" if amount is None else str(Money(amount, line["currency"])),
            line["verdict"].replace("_", " "),
            line["payout_id"] or "",
            line["detail"] or "",
        )
    out.print(table)
    counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in statement["counts"].items())
    new, differences = statement["recorded"], statement["differences"]
    out.print(f"statement {statement['statement_id']}: {counts or 'no entries'}")
    out.print(f"{new} new, {differences} to look at (report {statement['bank_statement_id']})")
