"""From which amount on a year's payments are reported to the tax office: dated data, each with its source."""

from typing import Final, Literal

import msgspec


class NoThreshold(ValueError):
    """No threshold is known for a year: it is before our first line, or its amount was not set yet."""


class Threshold(msgspec.Struct, frozen=True):
    """In these years payments of at least `amount_minor` in a calendar year are reported."""

    form: Literal["1099-NEC"]
    from_year: int
    to_year: int
    currency: str
    amount_minor: int
    source: str


THRESHOLDS: Final[tuple[Threshold, ...]] = (
    Threshold(
        "1099-NEC", 2020, 2025, "USD", 600_00, "26 U.S.C. 6041A(a)(2); form of its own since tax year 2020"
    ),
    Threshold(
        "1099-NEC",
        2026,
        2026,
        "USD",
        2_000_00,
        "Public Law 119-21, section 70433: payments after 2025. Indexed from 2027: add each year's line here",
    ),
)


def threshold(year: int, currency: str) -> Threshold | None:
    """What holds in a year for a currency; None for one in which nothing is reported.

    Raises NoThreshold for a year that no line is about: a guess would be an amount too high or too low.
    """
    first, last = THRESHOLDS[0].from_year, THRESHOLDS[-1].to_year
    if not first <= year <= last:
        raise NoThreshold(f"thresholds are known from {first} to {last}")
    lines = (line for line in THRESHOLDS if line.from_year <= year <= line.to_year)
    return next((line for line in lines if line.currency == currency), None)
