"""Reads a statement as CSV: for banks that give no camt.053, out of whatever they give.

UTF-8, comma or semicolon, a header with these names. `amount` has a point before its decimals and no sign,
`direction` says debit (money left our account) or credit.
"""

import csv
import io
from typing import Final

import msgspec

from ledger.bank_payout import Direction, Entry
from ledger.refusals import UnreadableStatement
from payouts.bank.statements import Movement, Statement, amount_minor, cut, day_or_time, unique

NEEDED: Final = ("statement_id", "entry_reference", "direction", "amount", "currency", "end_to_end_id")
OPTIONAL: Final = (
    "booked_on",
    "account_iban",
    "counterparty_iban",
    "reason_code",
    "reason",
    "bank_reference",
)
_DIRECTIONS: Final[dict[str, Direction]] = {"debit": "debit", "credit": "credit"}


def parse(content: bytes) -> list[Statement]:
    """The statements of a file, by their ids. Refuses with UnreadableStatement, which names the line."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        raise UnreadableStatement(f"it is no UTF-8 (byte {wrong.start})") from wrong
    header = text.partition("\n")[0]
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=";" if ";" in header else ",", strict=True)
    found: dict[str, list[Entry]] = {}
    try:
        names = [(name or "").strip() for name in rows.fieldnames or ()]
        rows.fieldnames = names
        missing = [name for name in NEEDED if name not in names]
        strange = [name for name in names if name not in (*NEEDED, *OPTIONAL)]
        if missing or strange or len(set(names)) != len(names):
            raise UnreadableStatement(
                f"its columns must be {', '.join(NEEDED)}; and may be {', '.join(OPTIONAL)}"
            )
        for row in rows:
            entry = _entry(row, rows.line_num)
            found.setdefault(entry.statement_id, []).append(entry)
    except csv.Error as wrong:
        raise UnreadableStatement(f"line {rows.line_num}: {wrong}") from wrong
    if not found:
        raise UnreadableStatement("there is no entry in it")
    return [_statement(statement_id, entries) for statement_id, entries in found.items()]


def _statement(statement_id: str, entries: list[Entry]) -> Statement:
    names = unique([entry.entry_reference for entry in entries])
    accounts = {entry.account_iban for entry in entries}
    if len(accounts) > 1:
        raise UnreadableStatement(f"statement {statement_id} is about several accounts")
    renamed = (
        msgspec.structs.replace(entry, entry_reference=name)
        for entry, name in zip(entries, names, strict=True)
    )
    return Statement(statement_id, accounts.pop(), tuple(Movement(entry) for entry in renamed))


def _entry(row: dict[str, str | None], line: int) -> Entry:
    if None in row or None in row.values():
        raise UnreadableStatement(f"line {line}: it has more or fewer fields than the header")
    said = {name: cut(value) for name, value in row.items()}
    statement_id, reference = said["statement_id"], said["entry_reference"]
    direction = _DIRECTIONS.get((said["direction"] or "").lower())
    if statement_id is None or reference is None or direction is None:
        raise UnreadableStatement(f"line {line}: statement_id, entry_reference and direction must be there")
    currency = said["currency"] or ""
    iban = _compact(said.get("counterparty_iban"))
    return Entry(
        statement_id=statement_id,
        entry_reference=reference,
        bank_reference=said.get("bank_reference"),
        direction=direction,
        amount_minor=amount_minor(said["amount"], currency),
        currency=currency,
        end_to_end_id=said["end_to_end_id"],
        account_iban=_compact(said.get("account_iban")),
        parties=() if iban is None else (iban,),
        booked_at=day_or_time(said.get("booked_on")),
        reason_code=said.get("reason_code"),
        reason=said.get("reason"),
    )


def _compact(iban: str | None) -> str | None:
    return iban.replace(" ", "").upper() if iban else None
