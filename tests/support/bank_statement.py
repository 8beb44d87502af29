"""Writes bank statements as a bank does: camt.053 of two versions, and CSV."""

import csv
import io
from typing import Any
from uuid import UUID
from xml.sax.saxutils import escape

from ledger.bank_file import end_to_end_id

OURS = "LU280019400644750000"
COLUMNS = (
    *("statement_id", "entry_reference", "direction", "amount", "currency", "end_to_end_id"),
    *("booked_on", "account_iban", "counterparty_iban", "reason_code", "reason", "bank_reference"),
)


def movement(payout_id: UUID | None, cents: int, *, back: bool = False, **more: Any) -> dict[str, Any]:
    """One entry: money that left for a payout (or came back), as the bank tells it."""
    told: dict[str, Any] = {
        "end_to_end_id": "NOTPROVIDED" if payout_id is None else end_to_end_id(payout_id),
        "amount": f"{cents // 100}.{cents % 100:02}",
        "currency": "EUR",
        "direction": "credit" if back else "debit",
        "booked_on": "2024-01-02",
        "counterparty_iban": "",
        "reason_code": "AC04" if back else "",
        "reason": "Closed account" if back else "",
        "bank_reference": "",
        "status": "BOOK",
    }
    return told | more


def camt053(
    *movements: dict[str, Any], statement_id: str = "S-1", version: str = "08", account: str = OURS
) -> bytes:
    """A camt.053, each movement an entry of its own; `entry_reference` is counted where none is given."""
    entries = [_entry(number, each, version) for number, each in enumerate(movements, start=1)]
    return _document(entries, statement_id, version, account)


def camt053_of_one_sum(
    cents: int, message_id: str, *, transfers: int | None, version: str = "08", statement_id: str = "S-1"
) -> bytes:
    """A camt.053 whose one entry is a whole file, without its transfers."""
    count = "" if transfers is None else f"<NbOfTxs>{transfers}</NbOfTxs>"
    details = f"<NtryDtls><Btch><PmtInfId>{message_id}</PmtInfId>{count}</Btch></NtryDtls>"
    whole = movement(None, cents)
    return _document([_frame("1", whole, details, version)], statement_id, version, OURS)


def _document(entries: list[str], statement_id: str, version: str, account: str) -> bytes:
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}">
 <BkToCstmrStmt>
  <GrpHdr><MsgId>M</MsgId><CreDtTm>2024-01-02T18:00:00</CreDtTm></GrpHdr>
  <Stmt>
   <Id>{statement_id}</Id>
   <CreDtTm>2024-01-02T18:00:00</CreDtTm>
   <Acct><Id><IBAN>{account}</IBAN></Id></Acct>
   {"".join(entries)}
  </Stmt>
 </BkToCstmrStmt>
</Document>
""".encode()


def _frame(reference: str, told: dict[str, Any], details: str, version: str) -> str:
    status = told["status"] if version < "08" else f"<Cd>{told['status']}</Cd>"
    indicator = "DBIT" if told["direction"] == "debit" else "CRDT"
    bank = f"<AcctSvcrRef>{told['bank_reference']}</AcctSvcrRef>" if told["bank_reference"] else ""
    return f"""
   <Ntry>
    <NtryRef>{reference}</NtryRef>
    <Amt Ccy="{told["currency"]}">{told["amount"]}</Amt>
    <CdtDbtInd>{indicator}</CdtDbtInd>
    <Sts>{status}</Sts>
    <BookgDt><Dt>{told["booked_on"]}</Dt></BookgDt>
    {bank}
    <BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>ICDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd>
    {details}
   </Ntry>"""


def _entry(number: int, told: dict[str, Any], version: str) -> str:
    amount = f'<Amt Ccy="{told["currency"]}">{told["amount"]}</Amt>'
    inner = f"<AmtDtls><TxAmt>{amount}</TxAmt></AmtDtls>" if version < "08" else amount
    iban = told["counterparty_iban"]
    parties = f"<RltdPties><CdtrAcct><Id><IBAN>{iban}</IBAN></Id></CdtrAcct></RltdPties>" if iban else ""
    reason = (
        f"<RtrInf><Rsn><Cd>{told['reason_code']}</Cd></Rsn>"
        f"<AddtlInf>{escape(told['reason'])}</AddtlInf></RtrInf>"
        if told["reason_code"]
        else ""
    )
    details = (
        "<NtryDtls><TxDtls>"
        f"<Refs><EndToEndId>{told['end_to_end_id']}</EndToEndId></Refs>{inner}{parties}{reason}"
        "</TxDtls></NtryDtls>"
    )
    return _frame(told.get("entry_reference", str(number)), told, details, version)


def statement_csv(*movements: dict[str, Any], statement_id: str = "S-1", delimiter: str = ",") -> bytes:
    """The same as CSV."""
    text = io.StringIO()
    rows = csv.DictWriter(text, COLUMNS, delimiter=delimiter, extrasaction="ignore")
    rows.writeheader()
    for number, told in enumerate(movements, start=1):
        row = {"entry_reference": str(number), "statement_id": statement_id, "account_iban": OURS, **told}
        rows.writerow(row)
    return text.getvalue().encode()
