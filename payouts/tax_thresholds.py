"""From which amount on a year's payments are reported to the tax office: dated data, each with its source."""

from typing import Final, Literal

import msgspec


class NoThreshold(ValueError):
    """No threshold is known for a year."""


class Threshold(msgspec.Struct, frozen=True):
    """From `from_year` on payments of at least `amount_minor` in a calendar year are reported."""

    form: Literal["1099-NEC"]
    from_year: int
    currency: str
    amount_minor: int
    source: str


THRESHOLDS: Final[tuple[Threshold, ...]] = (
    Threshold("1099-NEC", 2020, "USD", 600_00, "26 U.S.C. 6041A(a)(2); form of its own since tax year 2020"),
    Threshold(
        "1099-NEC",
        2026,
        "USD",
        2_000_00,
        "Public Law 119-21, section 70433: payments after 2025. Indexed from 2027: add each year's line here",
    ),
)


def threshold(year: int, currency: str) -> Threshold | None:
    """What holds in a year for a currency; None for one in which nothing is reported.

    Raises NoThreshold for a year before the first line.
    """
    if year < THRESHOLDS[0].from_year:
        raise NoThreshold(f"thresholds are known from {THRESHOLDS[0].from_year} on")
    lines = [line for line in THRESHOLDS if line.from_year <= year and line.currency == currency]
    return max(lines, key=lambda line: line.from_year, default=None)


def reportable(year: int, currency: str, paid_minor: int) -> bool:
    """Whether what a payee was paid in a year is reported. Raises NoThreshold."""
    line = threshold(year, currency)
    return line is not None and paid_minor >= line.amount_minor
