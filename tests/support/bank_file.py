"""Reads a file for a bank as a bank would: without the library that wrote it."""

from typing import Any, NamedTuple
from xml.etree import ElementTree

from ledger.iban import has_check_digits

NAMESPACE = "{urn:iso:std:iso:20022:tech:xsd:pain.001.001.09}"


class Order(NamedTuple):
    """One transfer as the bank reads it."""

    end_to_end_id: str
    cents: int
    currency: str
    name: str
    iban: str
    bic: str | None
    text: str


class Read(NamedTuple):
    """A file as the bank reads it."""

    message_id: str
    created_at: str
    payment_id: str
    booked_as_one: str
    execution_date: str
    debtor_name: str
    debtor_iban: str
    orders: list[Order]


def read(content: str) -> Read:
    """A file's words; its sums and counts are checked, and every IBAN in it."""
    root = ElementTree.fromstring(content)

    def at(where: Any, path: str) -> Any:
        return where.find("/".join(NAMESPACE + name for name in path.split("/")))

    def text(where: Any, path: str) -> str:
        return str(at(where, path).text)

    header, payment = at(root, "CstmrCdtTrfInitn/GrpHdr"), at(root, "CstmrCdtTrfInitn/PmtInf")
    orders = []
    for order in payment.findall(f"{NAMESPACE}CdtTrfTxInf"):
        bic = at(order, "CdtrAgt/FinInstnId/BICFI")
        amount = at(order, "Amt/InstdAmt")
        orders.append(
            Order(
                text(order, "PmtId/EndToEndId"),
                cents(amount.text),
                amount.get("Ccy"),
                text(order, "Cdtr/Nm"),
                text(order, "CdtrAcct/Id/IBAN"),
                None if bic is None else bic.text,
                text(order, "RmtInf/Ustrd"),
            )
        )
    for part in (header, payment):
        assert int(text(part, "NbOfTxs")) == len(orders)
        assert cents(text(part, "CtrlSum")) == sum(order.cents for order in orders)
    debtor_iban = text(payment, "DbtrAcct/Id/IBAN")
    assert all(has_check_digits(iban) for iban in (debtor_iban, *(order.iban for order in orders)))
    assert (text(payment, "PmtMtd"), text(payment, "PmtTpInf/SvcLvl/Cd")) == ("TRF", "SEPA")
    assert text(payment, "ChrgBr") == "SLEV"
    return Read(
        text(header, "MsgId"),
        text(header, "CreDtTm"),
        text(payment, "PmtInfId"),
        text(payment, "BtchBookg"),
        text(payment, "ReqdExctnDt/Dt"),
        text(payment, "Dbtr/Nm"),
        debtor_iban,
        orders,
    )


def cents(written: str) -> int:
    """Cents of an amount as a file writes it, always with two decimals."""
    whole, _, parts = written.partition(".")
    assert len(parts) == 2
    return int(whole) * 100 + int(parts)
