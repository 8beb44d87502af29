"""Reads camt.053 (ISO 20022, bank to customer statement) of the versions .001.02 to .001.08.

Only what says which payout an entry is about is read: references, amounts, accounts, reasons of returns. What
comes from outside may be anything: a document type, entities and references to elsewhere are refused unread.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple
from xml.etree.ElementTree import ParseError

import msgspec
from defusedxml import DefusedXmlException  # type: ignore[import-untyped]
from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped]

from ledger.bank_payout import Direction, Entry
from ledger.refusals import UnreadableStatement
from payouts.bank.statements import Movement, Statement, amount_minor, cut, day_or_time, unique

_ROOT: Final = re.compile(r"\{(urn:iso:std:iso:20022:tech:xsd:camt\.053\.001\.0[2-8])\}Document")
_DIRECTIONS: Final[dict[str | None, Direction]] = {"DBIT": "debit", "CRDT": "credit"}
_BOOKED: Final = "BOOK"


class _Node(NamedTuple):
    """An element, looked at by paths without the namespace; None: there is none."""

    element: Any
    namespace: str

    def all(self, path: str) -> "Iterator[_Node]":
        where = "/".join(f"{{{self.namespace}}}{name}" for name in path.split("/"))
        return (_Node(found, self.namespace) for found in self.element.findall(where))

    def one(self, path: str) -> "_Node | None":
        return next(self.all(path), None)

    def text(self, *paths: str) -> str | None:
        """The words at the first of these paths that has any."""
        for path in paths:
            found = next(self.all(path), None)
            if found is not None and found.element.text and found.element.text.strip():
                return str(found.element.text).strip()
        return None


def parse(content: bytes) -> list[Statement]:
    """The statements of a file. Refuses with UnreadableStatement."""
    try:
        root = fromstring(content, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as wrong:
        raise UnreadableStatement(f"it is no XML that is taken here: {type(wrong).__name__}") from wrong
    known = _ROOT.fullmatch(root.tag)
    if known is None:
        raise UnreadableStatement(f"it is no camt.053.001.02 to .08, but begins with {root.tag[:120]}")
    statements = [_statement(node) for node in _Node(root, known[1]).all("BkToCstmrStmt/Stmt")]
    if not statements:
        raise UnreadableStatement("there is no statement in it")
    return statements


def _statement(node: _Node) -> Statement:
    statement_id = cut(node.text("Id"))
    if statement_id is None:
        raise UnreadableStatement("a statement has no Id")
    account_iban = node.text("Acct/Id/IBAN")
    found = [
        movement
        for number, entry in enumerate(node.all("Ntry"), start=1)
        for movement in _movements(entry, number, statement_id, account_iban)
    ]
    names = unique([movement.entry.entry_reference for movement in found])
    return Statement(
        statement_id, account_iban, tuple(_named(each, name) for each, name in zip(found, names, strict=True))
    )


def _named(movement: Movement, entry_reference: str) -> Movement:
    entry = msgspec.structs.replace(movement.entry, entry_reference=entry_reference)
    return msgspec.structs.replace(movement, entry=entry)


def _movements(node: _Node, number: int, statement_id: str, account_iban: str | None) -> Iterator[Movement]:
    """What an entry moved: each of its transactions, or itself where none are told."""
    currency = _currency(node.one("Amt"))
    direction = _DIRECTIONS.get(node.text("CdtDbtInd"))
    if currency is None or direction is None:
        raise UnreadableStatement(f"entry {number} of statement {statement_id} has no amount or direction")
    bank_reference = cut(node.text("AcctSvcrRef"))
    whole = Entry(
        statement_id=statement_id,
        entry_reference=cut(node.text("NtryRef")) or bank_reference or f"#{number}",
        bank_reference=bank_reference,
        direction=direction,
        amount_minor=amount_minor(node.text("Amt"), currency),
        currency=currency,
        account_iban=account_iban,
        is_booked=node.text("Sts/Cd", "Sts") == _BOOKED,
        booked_at=day_or_time(node.text("BookgDt/DtTm", "BookgDt/Dt")),
    )
    parts = list(node.all("NtryDtls/TxDtls"))
    for place, part in enumerate(parts, start=1):
        yield Movement(_transaction(part, whole, place, alone=len(parts) == 1))
    if not parts:
        batch = node.one("NtryDtls/Btch")
        message_id = batch.text("PmtInfId", "MsgId") if batch is not None else None
        count = batch.text("NbOfTxs") if batch is not None else None
        yield Movement(whole, message_id, int(count) if count and count.isdigit() else None)


def _currency(amount: _Node | None) -> str | None:
    return None if amount is None else amount.element.get("Ccy")


def _transaction(node: _Node, whole: Entry, place: int, *, alone: bool) -> Entry:
    """One transaction of an entry. Where it has no amount of its own, a lone one has that of the entry."""
    amount = node.one("Amt") or node.one("AmtDtls/TxAmt/Amt")
    currency = _currency(amount) or whole.currency
    if amount is not None:
        minor = amount_minor(amount.element.text, currency)
    else:
        minor = whole.amount_minor if alone else None
    reference = cut(node.text("Refs/AcctSvcrRef")) or whole.bank_reference
    parties = (node.text("RltdPties/CdtrAcct/Id/IBAN"), node.text("RltdPties/DbtrAcct/Id/IBAN"))
    return msgspec.structs.replace(
        whole,
        entry_reference=f"{whole.entry_reference}/{place}",
        bank_reference=None if reference is None else f"{reference}/{place}",
        direction=_DIRECTIONS.get(node.text("CdtDbtInd")) or whole.direction,
        amount_minor=minor,
        currency=currency,
        end_to_end_id=cut(node.text("Refs/EndToEndId")),
        parties=tuple(iban for iban in parties if iban is not None),
        reason_code=cut(node.text("RtrInf/Rsn/Cd", "RtrInf/Rsn/Prtry")),
        reason=cut(node.text("RtrInf/AddtlInf")),
    )
