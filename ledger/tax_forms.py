"""Which tax form a payee has to have on file, and how long one counts: data, each line with its source."""

from datetime import UTC, datetime
from typing import Final

import msgspec

from ledger.events.partner import TaxForm

US: Final = "US"


class TaxFormRule(msgspec.Struct, frozen=True):
    """A kind of form: `valid_years` are the whole calendar years after the one in which it was signed."""

    form: TaxForm
    for_us_persons: bool
    valid_years: int | None
    source: str


_THIRD_YEAR: Final = "Treas. Reg. 1.1441-1(e)(4)(ii)(A): until the last day of the third calendar year after"
_UNTIL_CHANGED: Final = "Treas. Reg. 1.1441-1(e)(4)(ii)(B): until what it says changes"
RULES: Final[dict[TaxForm, TaxFormRule]] = {
    rule.form: rule
    for rule in (
        TaxFormRule("w-9", True, None, "Instructions for the Requester of Form W-9: until it is revoked"),
        TaxFormRule("w-8ben", False, 3, _THIRD_YEAR),
        TaxFormRule("w-8ben-e", False, 3, _THIRD_YEAR),
        TaxFormRule("w-8eci", False, 3, _THIRD_YEAR),
        TaxFormRule("w-8exp", False, None, _UNTIL_CHANGED),
        TaxFormRule("w-8imy", False, None, _UNTIL_CHANGED),
    )
}


def expires_at(form: TaxForm, signed_at: datetime) -> datetime | None:
    """From when on a form that was signed then does not count any more; None: it goes on counting."""
    years = RULES[form].valid_years
    return None if years is None else datetime(signed_at.astimezone(UTC).year + years + 1, 1, 1, tzinfo=UTC)
