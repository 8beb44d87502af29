"""What a statement of our account is, whichever form it came in."""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import msgspec

from ledger.bank_payout import Entry
from ledger.money import AMOUNT_MINOR_MAX, CURRENCY_DIGITS

REFERENCE_LENGTH_MAX: Final = 140
_AMOUNT: Final = re.compile(r"[0-9]{1,18}(\.[0-9]{1,5})?", re.ASCII)


class Movement(msgspec.Struct, frozen=True):
    """An entry, and the file of ours that the bank booked as one sum, where it did: instead of its parts."""

    entry: Entry
    message_id: str | None = None
    transfers: int | None = None


class Statement(msgspec.Struct, frozen=True):
    """A statement, with its movements in its own order."""

    statement_id: str
    account_iban: str | None
    movements: tuple[Movement, ...]


def amount_minor(written: str | None, currency: str) -> int | None:
    """An amount as a statement writes it, in minor units; None where that is not exact."""
    digits = CURRENCY_DIGITS.get(currency)
    if digits is None or written is None or not _AMOUNT.fullmatch(written.strip()):
        return None
    minor = Decimal(written.strip()).scaleb(digits)
    return int(minor) if minor == int(minor) and minor <= AMOUNT_MINOR_MAX else None


def day_or_time(written: str | None) -> datetime | None:
    """A date (its first moment in UTC) or a time (UTC, where no zone is said); None where it is neither."""
    try:
        found = datetime.fromisoformat(written.strip()) if written else None
    except ValueError:
        return None
    if found is None:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def cut(written: str | None) -> str | None:
    """A text of the bank's, on one line and not too long; None where there is none."""
    return " ".join((written or "").split())[:REFERENCE_LENGTH_MAX] or None


def unique(references: Sequence[str]) -> list[str]:
    """The references of a statement's entries; one that stands there again gets its count.

    Two movements of one name are two, or a double booking would look like one that is known.
    """
    seen: Counter[str] = Counter()
    found = []
    for reference in references:
        seen[reference] += 1
        found.append(reference if seen[reference] == 1 else f"{reference}~{seen[reference]}")
    return found
