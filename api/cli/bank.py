"""`revshare partners bank-account`: whom our own bank pays."""

from typing import Annotated

import typer

from api.cli.asking import Key, Url, asked, client_of
from api.cli.partners import Partner, partner_id_of
from api.cli.terminal import out


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
