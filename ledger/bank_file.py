"""Files for our own bank: by which names it knows them and their transfers, what an intent records. Pure."""

import hashlib
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from ledger import ids
from ledger.events.bank import BankFileExported
from ledger.events.base import Fact
from ledger.refusals import ContentConflict, InvalidField

AHEAD_MAX: Final = timedelta(days=30)
"""How far ahead a file may ask to be executed: banks take no more."""


class Debtor(msgspec.Struct, frozen=True):
    """Our own bank account, from which partners are paid."""

    name: str
    iban: str
    bic: str | None = None


class BankTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """One payout in a file, exactly as it stands there: the body of its intent."""

    message_id: str
    end_to_end_id: str
    amount_minor: int
    currency: str
    creditor_name: str
    creditor_iban: str
    creditor_bic: str | None
    text: str
    debtor_iban: str
    content_sha256: str = ""
    """Of the whole file, once that is made."""


class FileState(msgspec.Struct, frozen=True):
    """One file of a batch: none, until it was exported."""

    exported: BankFileExported | None = None


NO_FILE: Final = FileState()


def evolve(state: FileState, fact: Fact) -> FileState:
    """The file after a fact."""
    return FileState(fact) if isinstance(fact, BankFileExported) else state


def message_id(batch_id: UUID, number: int) -> str:
    """What a file is called at the bank: 32 characters, derived, so that a lost one comes back as itself."""
    return ids.bank_file_id(batch_id, number).hex.upper()


def end_to_end_id(payout_id: UUID) -> str:
    """What a transfer is called from our bank to the partner's: the payout's id, in 32 characters."""
    return payout_id.hex.upper()


def payout_of(reference: str | None) -> UUID | None:
    """The payout that a bank's EndToEndId names; None: it is none of ours."""
    written = "".join((reference or "").split()).replace("-", "")
    try:
        return UUID(written) if len(written) == len(UUID(int=0).hex) else None
    except ValueError:
        return None


def digest(content: str) -> str:
    """The SHA-256 of a file's bytes, in 64 hexadecimal digits."""
    return hashlib.sha256(content.encode()).hexdigest()


def execution_date(asked: date | None, now: datetime, *, has_left: bool = False) -> date:
    """The day on which the bank is asked to pay; of a file that has left it may be over.

    Refuses with InvalidField.
    """
    today = now.date()
    day = today if asked is None else asked
    if has_left and day < today:
        return day
    if not today <= day <= today + AHEAD_MAX:
        raise InvalidField(
            f"must be from {today} on, within {AHEAD_MAX.days} days", pointer="/execution_date"
        )
    return day


def check_same(exported: BankFileExported, asked: date | None) -> None:
    """A file that was exported is not made anew: refuses with ContentConflict for another day."""
    if asked is not None and asked != exported.execution_date:
        raise ContentConflict(
            f"the file was exported for {exported.execution_date}: it is never made anew",
            pointer="/execution_date",
        )
