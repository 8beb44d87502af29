"""What stands in a statement's files, in words: shared by the PDF and the workbook."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple

from babel import Locale

from api.statement_files.figures import Figures
from api.statement_files.words import Words, words_for
from projections.statement import Amounts, Statement, StatementLine, StatementPayout

COLUMNS: Final = ("earned", "pending", "available", "in_transit", "paid", "clawback", "withheld")
"""The columns of amounts in the order in which they are read: what was earned, then where it is."""


class Written(NamedTuple):
    """A statement with the words and figures that it is written in."""

    statement: Statement
    words: Words
    figures: Figures

    @property
    def title(self) -> str:
        """`Statement shop-000042`; of a month that is open only what it is."""
        of = self.statement
        return self.words.title if of.is_preview else f"{self.words.title} {of.number}"


def written(statement: Statement, locale: Locale) -> Written:
    """A statement, to be written in a locale."""
    figures = Figures(locale, statement.currency, statement.program.time_zone)
    return Written(statement, words_for(locale), figures)


def file_name(statement: Statement, extension: str) -> str:
    """`shop-000042.pdf`; of a preview its month. Only letters, digits, `.`, `_` and `-`."""
    name = statement.number
    if statement.is_preview:
        name = f"{name}-{statement.program.reference}-{statement.partner.reference}-{statement.period.period}"
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '_', name)}.{extension}"


def amount_in(amounts: Amounts, column: str) -> int:
    """One column of a balance."""
    found: int = getattr(amounts, f"{column}_minor")
    return found


def columns_used(statement: Statement) -> tuple[str, ...]:
    """The columns in which anything stands or moves; where nothing does, the first and what is available."""
    return tuple(
        column
        for column in COLUMNS
        if column in ("earned", "available")
        or amount_in(statement.opening, column)
        or amount_in(statement.closing, column)
        or any(amount_in(line.moved, column) for line in statement.lines)
    )


def facts(of: Written) -> Iterator[tuple[str, str]]:
    """Label and text of what stands at the top, in order; what is not known is left out."""
    statement, words, figures = of
    partner = statement.partner
    country = partner.country and figures.locale.territories.get(partner.country, partner.country)
    known = (
        (words.number, None if statement.is_preview else statement.number),
        (words.version, None if statement.is_preview else figures.count(statement.version)),
        (words.corrects, statement.corrects),
        (words.correction_reason, statement.reason),
        (words.period, figures.month(statement.period.period)),
        (words.issued_at, figures.moment(statement.issued_at)),
        (words.program, statement.program.name),
        (words.partner, partner.name),
        (words.reference, partner.reference),
        (words.country, country),
        (words.email, partner.email),
        (words.currency, currency_name(of)),
        (words.time_zone, statement.program.time_zone),
    )
    return ((label, text) for label, text in known if text)


def currency_name(of: Written) -> str:
    """`GBP, British Pound`."""
    code = of.statement.currency
    name = of.figures.locale.currencies.get(code)
    return code if name is None else f"{code}, {name}"


def conversion_name(line: StatementLine) -> str:
    """What the sender calls the conversion of a line: `shop/order-17`."""
    return "/".join(part for part in (line.source, line.external_id) if part)


def belongs_to(of: Written, line: StatementLine) -> str:
    """The earlier month of a line that came too late for it, in words."""
    if line.belongs_to is None:
        return ""
    return of.words.belongs_to.format(month=of.figures.month(line.belongs_to))


def description(of: Written, line: StatementLine) -> str:
    """A line's kind, conversion and reason in one text."""
    payout = "" if line.payout_id is None else str(line.payout_id)
    parts = (of.words.kinds[line.kind], conversion_name(line), payout, line.reason, belongs_to(of, line))
    return " · ".join(part for part in parts if part)


def payout_state(words: Words, payout: StatementPayout) -> str:
    """A payout's state in words."""
    return words.states.get(payout.state, payout.state)


def received_at(payout: StatementPayout) -> datetime | None:
    """When its money reached the partner's bank; None where that bank has sent it back."""
    return None if payout.state == "returned" else payout.paid_at


def payout_provider(words: Words, payout: StatementPayout) -> str:
    """Through whom it was paid, in words."""
    return words.providers.get(payout.provider, payout.provider)


def how_to_verify(statement: Statement) -> str:
    """The commands by which a statement is checked without us (docs/statements.md)."""
    return (
        f"revshare statements export {statement.number} statement.proof\n"
        "revshare audit verifier > revshare_verify.py\n"
        "python revshare_verify.py statement.proof --key 'NAME+ID+KEY'"
    )
