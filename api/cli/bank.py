"""`revshare partners bank-account` and `payouts export`: whom our own bank pays, and by which file."""

import hashlib
import os
from pathlib import Path
from typing import Annotated

import typer

from api.cli.asking import Key, Url, asked, client_of
from api.cli.keys import partner_id_of
from api.cli.partners import Partner
from api.cli.terminal import EXIT_USAGE, fail, out, say
from ledger.money import Money


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
    url: Url = None,
    key: Key = "",
) -> None:
    """Write a batch's file for our bank (pain.001). A second time it is the very same file."""
    client = client_of(url, key)
    path = f"/v1/payout-batches/{batch_id}/bank-files"
    wanted = {"number": number, "execution_date": execution_date}
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
