"""The text of a pain.001: the library's document, with our own ids and times in place of its random ones.

Only the library's public functions are called. Its cleaning of texts is off (ours is ledger.sepa_text): so it
never imports text-unidecode, which it names as a requirement.
"""

from collections.abc import Sequence
from datetime import date, datetime
from functools import lru_cache
from importlib import resources
from typing import Any, Final
from xml.etree import ElementTree

from sepaxml import SepaTransfer  # type: ignore[import-untyped]

from ledger.bank_account import CURRENCY
from ledger.bank_file import BankTransfer, Debtor

SCHEMA: Final = "pain.001.001.09"
_NAMESPACE: Final = f"urn:iso:std:iso:20022:tech:xsd:{SCHEMA}"
_NOT_PROVIDED: Final = "NOTPROVIDED"
"""What the EPC's guidelines want where no BIC is named."""


def text_of(
    message_id: str,
    debtor: Debtor,
    transfers: Sequence[BankTransfer],
    *,
    created_at: datetime,
    execution_date: date,
) -> str:
    """One payment order of all these transfers, each to be booked by itself.

    What does not fit the official schema is raised, not answered. `created_at` stands in it as UTC, without a
    zone, since banks differ in what they make of one.
    """
    config = {"name": debtor.name, "IBAN": debtor.iban, "currency": CURRENCY, "batch": True}
    if debtor.bic is not None:
        config["BIC"] = debtor.bic
    order = SepaTransfer(config, schema=SCHEMA, clean=False)
    for transfer in transfers:
        order.add_payment(_payment(transfer, execution_date))
    root = ElementTree.fromstring(order.export(validate=False))
    _set(root, "CstmrCdtTrfInitn/GrpHdr/MsgId", message_id)
    _set(root, "CstmrCdtTrfInitn/GrpHdr/CreDtTm", f"{created_at:%Y-%m-%dT%H:%M:%S}")
    _set(root, "CstmrCdtTrfInitn/PmtInf/PmtInfId", message_id)
    _set(root, "CstmrCdtTrfInitn/PmtInf/BtchBookg", "false")
    if debtor.bic is None:
        bank = _one(root, "CstmrCdtTrfInitn/PmtInf/DbtrAgt/FinInstnId")
        other = ElementTree.SubElement(bank, f"{{{_NAMESPACE}}}Othr")
        ElementTree.SubElement(other, f"{{{_NAMESPACE}}}Id").text = _NOT_PROVIDED
    ElementTree.indent(root, " ")
    written = ElementTree.tostring(root, encoding="unicode")
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n{written}\n'
    _official().validate(text)
    return text


@lru_cache(maxsize=1)
def _official() -> Any:
    """The official schema, as the library ships it; read once, and only where a file is made."""
    from xmlschema import XMLSchema

    return XMLSchema(str(resources.files("sepaxml") / "schemas" / f"{SCHEMA}.xsd"))


def _payment(transfer: BankTransfer, execution_date: date) -> dict[str, object]:
    payment: dict[str, object] = {
        "name": transfer.creditor_name,
        "IBAN": transfer.creditor_iban,
        "amount": transfer.amount_minor,
        "execution_date": execution_date,
        "description": transfer.text,
        "endtoend_id": transfer.end_to_end_id,
    }
    return payment if transfer.creditor_bic is None else {**payment, "BIC": transfer.creditor_bic}


def _one(root: ElementTree.Element, path: str) -> ElementTree.Element:
    """The one element of a path: a library that puts it elsewhere must be noticed, not worked around."""
    [found] = root.findall("/".join(f"{{{_NAMESPACE}}}{name}" for name in path.split("/")))
    return found


def _set(root: ElementTree.Element, path: str, text: str) -> None:
    _one(root, path).text = text
