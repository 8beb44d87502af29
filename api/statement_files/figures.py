"""Amounts, dates and counts as a language writes them. Amounts never pass through a float."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_skeleton
from babel.numbers import (
    NumberPattern,
    format_decimal,
    get_decimal_symbol,
    get_group_symbol,
    parse_pattern,
)

from ledger.money import CURRENCY_DIGITS

_FRACTION: Final = re.compile(r"0(?:\.[0#]+)?")


def decimal_of(amount_minor: int, currency: str) -> Decimal:
    """An amount in whole units of its currency, exact: 12345 of JPY is 12345, of KWD 12.345."""
    return Decimal(amount_minor).scaleb(-CURRENCY_DIGITS.get(currency, 0))


class Figures:
    """How a statement writes numbers: the locale's signs, the currency's decimals, the program's clock."""

    def __init__(self, locale: Locale, currency: str, time_zone: str) -> None:
        self.locale = locale
        self.zone = ZoneInfo(time_zone)
        self._currency = currency
        self._pattern = _pattern(locale, CURRENCY_DIGITS.get(currency, 0))

    def amount(self, amount_minor: int) -> str:
        """`1.234,50` for 123450 in German and euros; the currency stands elsewhere."""
        return self._number(decimal_of(amount_minor, self._currency), self._pattern)

    def moved(self, amount_minor: int) -> str:
        """The same for a column of movements, where nothing is written for nothing."""
        return self.amount(amount_minor) if amount_minor else ""

    def count(self, number: int) -> str:
        """A whole number."""
        return self._number(Decimal(number), _pattern(self.locale, 0))

    def _number(self, value: Decimal, pattern: NumberPattern) -> str:
        if get_group_symbol(self.locale) != "'":
            return format_decimal(value, format=pattern, locale=self.locale)
        # Babel takes Switzerland's sign between thousands for a quotation mark, and drops it.
        signs = str.maketrans(",.", f"'{get_decimal_symbol(self.locale)}")
        return format_decimal(value, format=pattern, locale="en").translate(signs)

    def plural(self, texts: dict[str, str], number: int) -> str:
        """The text for this many, with `{count}` filled in."""
        text = texts.get(self.locale.plural_form(number), texts["other"])
        return text.format(count=self.count(number))

    def local(self, at: datetime) -> datetime:
        """The program's clock at a time, without its zone: what stands in a cell."""
        return at.astimezone(self.zone).replace(tzinfo=None)

    def day(self, at: datetime | None) -> str:
        """The date by the program's clock; nothing where there is none."""
        return "" if at is None else format_date(self.local(at), "medium", locale=self.locale)

    def moment(self, at: datetime | None) -> str:
        """Date and time by the program's clock."""
        return "" if at is None else format_datetime(self.local(at), "medium", locale=self.locale)

    def month(self, period: str) -> str:
        """`January 2024` for 2024-01."""
        return format_skeleton("yMMMM", datetime.fromisoformat(f"{period}-01"), locale=self.locale)

    def cell_date(self) -> str:
        """The locale's short date as a number format of a cell, with four digits of the year."""
        pattern = self.locale.date_formats["short"].pattern
        return re.sub(r"y+", "yyyy", pattern).replace("M", "m").replace("'", "")

    def cell_amount(self) -> str:
        """The number format of a cell: whose program opens it puts in its own signs."""
        digits = CURRENCY_DIGITS.get(self._currency, 0)
        return f"#,##0.{'0' * digits}" if digits else "#,##0"


def _pattern(locale: Locale, digits: int) -> NumberPattern:
    """The locale's way to write a number, with the decimals of ISO 4217, not those of its habit."""
    fraction = f"0.{'0' * digits}" if digits else "0"
    return parse_pattern(_FRACTION.sub(fraction, locale.decimal_formats[None].pattern))
