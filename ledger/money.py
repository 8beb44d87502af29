"""Exact amounts: a whole count of a currency's smallest unit, and the two ways to divide it."""

from collections.abc import Sequence
from typing import Final

import iso4217
import msgspec

FULL_SHARE_BPS: Final = 10_000
"""One whole in basis points."""

AMOUNT_MINOR_MAX: Final = 10**12
"""The largest single amount taken in: nine million of them still sum to less than 2**63, a column's limit."""

CURRENCY_DIGITS: Final[dict[str, int]] = {
    currency.code: currency.exponent for currency in iso4217.Currency if currency.exponent is not None
}
"""The active currencies of ISO 4217 and how many decimals their smallest unit has."""


class CurrencyMismatch(ValueError):
    """Two amounts of different currencies met in one sum."""


class Money(msgspec.Struct, frozen=True, order=False):
    """An exact amount: `minor` counts the smallest units (pence, cents, yen) of `currency` (ISO 4217)."""

    minor: int
    currency: str

    def __add__(self, other: "Money") -> "Money":
        """The sum. Raises CurrencyMismatch when the currencies differ."""
        return Money(self.minor + self._same(other).minor, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        """The difference. Raises CurrencyMismatch when the currencies differ."""
        return Money(self.minor - self._same(other).minor, self.currency)

    def share(self, rate_bps: int) -> "Money":
        """The part owed at a rate in basis points, rounded half-up to the smallest unit."""
        return Money(share_minor(self.minor, rate_bps), self.currency)

    def split(self, shares_bps: Sequence[int]) -> tuple["Money", ...]:
        """The parts by shares that sum to 10,000; the parts sum to the whole (largest remainder)."""
        return tuple(Money(part, self.currency) for part in split_minor(self.minor, shares_bps))

    def __str__(self) -> str:
        """For people: 139.12 GBP, 500 JPY."""
        return f"{decimal(self.minor, self.currency)} {self.currency}"

    def _same(self, other: "Money") -> "Money":
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} in one sum")
        return other


def decimal(minor: int, currency: str) -> str:
    """An amount with all of its currency's decimals, exactly: `-139.12`, of yen `500`."""
    digits = CURRENCY_DIGITS.get(currency, 0)
    whole, rest = divmod(abs(minor), 10**digits)
    sign = "-" if minor < 0 else ""
    return f"{sign}{whole}.{rest:0{digits}d}" if digits else f"{sign}{whole}"


def share_minor(amount_minor: int, rate_bps: int) -> int:
    """`rate_bps` of an amount that is zero or more, rounded half-up, in the same minor units."""
    return (amount_minor * rate_bps + FULL_SHARE_BPS // 2) // FULL_SHARE_BPS


def split_minor(amount_minor: int, shares_bps: Sequence[int]) -> list[int]:
    """Parts of an amount by shares in basis points, by largest remainder; earlier shares win a tie.

    The shares must sum to 10,000, so that the parts sum to the amount; otherwise ValueError.
    """
    if sum(shares_bps) != FULL_SHARE_BPS or min(shares_bps) < 0:
        raise ValueError(f"shares must sum to {FULL_SHARE_BPS}: {list(shares_bps)}")
    scaled = [amount_minor * share for share in shares_bps]
    parts = [value // FULL_SHARE_BPS for value in scaled]
    by_remainder = sorted(range(len(parts)), key=lambda i: (-(scaled[i] % FULL_SHARE_BPS), i))
    for i in by_remainder[: amount_minor - sum(parts)]:
        parts[i] += 1
    return parts
