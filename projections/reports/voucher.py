"""A month as a voucher of the company's general ledger: our accounts by its numbers, one entry a currency."""

import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from ledger.money import CURRENCY_DIGITS, decimal
from ledger.month import Month, months
from projections.reports.calendars import Calendar
from projections.reports.scope import ACCOUNTS, Row, Scope, named
from projections.tables import journal

COLUMNS: Final = ("date", "account", "debit", "credit", "currency", "text", "reference")
NUMBER_MAX: Final = 40
Numbers = Mapping[str, str]
"""An account of our chart → its number in the general ledger."""


class InvalidMapping(Exception):
    """The mapping has mistakes; each names where it stands."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = list(mistakes)


class LedgerMapping(msgspec.Struct, frozen=True, kw_only=True):
    """Which number an account has. The most exact one counts: program and currency, program, currency."""

    default: str | None = None
    accounts: Numbers = {}
    currencies: Mapping[str, Numbers] = {}
    programs: Mapping[str, Numbers] = {}
    both: Mapping[tuple[str, str], Numbers] = {}

    def number(self, account: str, program: str, currency: str) -> str | None:
        """The number of an account in a program (its reference) and a currency; None: it has none."""
        for numbers in (
            self.both.get((program, currency), {}),
            self.programs.get(program, {}),
            self.currencies.get(currency, {}),
            self.accounts,
        ):
            if account in numbers:
                return numbers[account]
        return self.default


def parse(text: str) -> LedgerMapping:
    """The mapping that a TOML file holds (docs/accounting.md). Raises InvalidMapping with every mistake.

    It is complete: each account of our chart has a number of its own in `[accounts]`, or there is a default.
    """
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidMapping([f"it is no TOML: {error}"]) from None
    mistakes = [f"{name}: is not known here" for name in sorted(found.keys() - _KNOWN)]
    default = found.get("default")
    if default is not None:
        _number("default", default, mistakes)
    accounts = _numbers("accounts", found.get("accounts", {}), mistakes)
    currencies = {
        code: _numbers(f"currencies.{code}", table, mistakes, currency=code)
        for code, table in _tables("currencies", found.get("currencies", {}), mistakes)
    }
    programs, both = {}, {}
    for program, table in _tables("programs", found.get("programs", {}), mistakes):
        inner = {code: each for code, each in table.items() if isinstance(each, dict)}
        rest = {name: each for name, each in table.items() if name not in inner}
        programs[program] = _numbers(f"programs.{program}", rest, mistakes)
        for code, each in inner.items():
            where = f"programs.{program}.{code}"
            both[program, code] = _numbers(where, each, mistakes, currency=code)
    if default is None:
        missing = [name for name in ACCOUNTS if name not in accounts]
        mistakes += [f"accounts.{name}: has no number, and there is no default" for name in missing]
    if mistakes:
        raise InvalidMapping(mistakes)
    return LedgerMapping(
        default=default, accounts=accounts, currencies=currencies, programs=programs, both=both
    )


_KNOWN: Final = frozenset({"default", "accounts", "currencies", "programs"})


def _tables(where: str, found: Any, mistakes: list[str]) -> list[tuple[str, dict[str, Any]]]:
    if not isinstance(found, dict):
        mistakes.append(f"{where}: must be a table")
        return []
    wrong = [name for name, each in found.items() if not isinstance(each, dict)]
    mistakes += [f"{where}.{name}: must be a table" for name in wrong]
    return [(name, each) for name, each in found.items() if name not in wrong]


def _numbers(where: str, found: Any, mistakes: list[str], *, currency: str | None = None) -> dict[str, str]:
    if currency is not None and currency not in CURRENCY_DIGITS:
        mistakes.append(f"{where}: {currency} is no currency of ISO 4217")
    if not isinstance(found, dict):
        mistakes.append(f"{where}: must be a table")
        return {}
    for name, number in found.items():
        if name not in ACCOUNTS:
            mistakes.append(f"{where}.{name}: is no account of ours")
        else:
            _number(f"{where}.{name}", number, mistakes)
    return {name: number for name, number in found.items() if name in ACCOUNTS}


def _number(where: str, number: Any, mistakes: list[str]) -> None:
    fits = isinstance(number, str) and 0 < len(number.strip()) == len(number) <= NUMBER_MAX
    if not fits or not number.isprintable():
        mistakes.append(f'{where}: must be a number in quotes, as "6100", of at most {NUMBER_MAX} characters')


Totals = Mapping[tuple[str, str], int]
"""A number of the general ledger, and our account → what it moved by in minor units; a debit is positive."""


def entry(period: Month, currency: str, totals: Totals) -> Iterator[Row]:
    """The lines of one entry: debits and credits of a month in one currency, which are the same sum. Pure.

    It is dated on the month's last day. What came to nothing has no line.
    """
    on: date = period.following.first_day - timedelta(days=1)
    assert sum(totals.values()) == 0, "every fact's legs sum to zero"
    for (number, account), minor in sorted(totals.items()):
        if minor:
            side, other = ("debit", "credit") if minor > 0 else ("credit", "debit")
            yield {
                "date": str(on),
                "account": number,
                side: decimal(abs(minor), currency),
                other: "",
                "currency": currency,
                "text": f"{account} {period}",
                "reference": f"revshare-{period}-{currency}",
            }


def voucher(
    connection: sa.Connection,
    scope: Scope,
    first: Month,
    last: Month,
    calendars: Iterable[Calendar],
    mapping: LedgerMapping,
) -> Iterator[Row]:
    """What each month moved, as one balanced entry for each currency, month by month.

    Months are those of each program's calendar. In memory are sums by month, currency and account.
    """
    periods = months(first, last)
    totals: dict[tuple[Month, str], Counter[tuple[str, str]]] = {}
    for calendar in calendars:
        for row in named(connection, _summed(scope, periods, calendar), "bucket", "account"):
            key = periods[row["bucket"] - 1], row["currency"]
            program = row["program"] or str(row["program_id"])
            number = mapping.number(row["account"], program, row["currency"])
            assert number is not None, "the mapping is complete"
            totals.setdefault(key, Counter())[number, row["account"]] += int(row["moved"])
    for (period, currency), moved in sorted(totals.items()):
        yield from entry(period, currency, moved)


def _summed(scope: Scope, periods: Sequence[Month], calendar: Calendar) -> sa.Select[Any]:
    c = journal.c
    begins = calendar.begins(periods)
    key = (c.program_id, c.currency, c.account)
    legs = (
        sa.select(*key, c.amount_minor, calendar.bucket(c, begins).label("bucket"))
        .where(*scope.conditions(c), *calendar.conditions(c, begins))
        .subquery()
    )
    by = (legs.c.program_id, legs.c.currency, legs.c.account, legs.c.bucket)
    return sa.select(*by, sa.func.sum(legs.c.amount_minor).label("moved")).group_by(*by)
