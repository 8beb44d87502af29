"""The journal as a file of hledger, or of beancount: declarations, what came before, each fact, assertions.

The assertions are summed by the database, apart from the transactions: so each tool checks one against the
other. The files are in the order of the log; both tools go by the dates.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import groupby, islice
from typing import Any, Final, Protocol

from ledger.money import CURRENCY_DIGITS, decimal
from projections.journal_export.names import (
    TYPES,
    account_name,
    amount,
    beancount_text,
    hledger_text,
)
from projections.journal_export.selection import Entry, Party, Progress, Selection, Sum

OPENING: Final = "Opening balances"
"""Who the transactions with what came before the first month are with."""
CLOSING: Final = "Balances"
"""Who the transactions without amounts are with that hold hledger's assertions."""


class Form(Protocol):
    """How one tool writes."""

    def head(self, currencies: list[str], begins: date) -> Iterator[str]:
        """What stands first."""

    def account(self, name: str, currencies: list[str], begins: date, /) -> str:
        """The declaration of an account, which begins on this day."""

    def party(self, partner: Party, /) -> str:
        """The declaration of a partner."""

    def opening(self, begins: date, sums: list[Sum]) -> str:
        """A transaction with what the accounts of one partner held when the first month began."""

    def transaction(self, entry: Entry) -> str:
        """A fact."""

    def assertion(self, each: Sum, ends: date) -> str:
        """What an account holds at the end of a day."""


def export(selection: Selection, form: Form, progress: Progress) -> Iterator[bytes]:
    """The whole file, in pieces. Between two of them no transaction is open."""
    try:
        pieces = _pieces(selection, form, progress)
        while some := list(islice(pieces, PIECES_AT_ONCE)):
            yield "".join(some).encode()
    finally:
        selection.close()


def _pieces(selection: Selection, form: Form, progress: Progress) -> Iterator[str]:
    begins = selection.begins_on()
    yield from _declarations(selection, form, begins)
    if begins is not None:
        before = (each for each in selection.sums() if each.month is None)
        for _, sums in groupby(before, lambda each: (each.program.id, each.partner.id)):
            held = [each for each in sums if each.total]
            if held:
                yield form.opening(begins, held)
    yield from map(form.transaction, selection.entries(progress))
    for each in selection.sums():
        if each.month is not None:
            yield form.assertion(each, each.month.following.first_day - timedelta(days=1))


PIECES_AT_ONCE: Final = 500


def _declarations(selection: Selection, form: Form, begins: date | None) -> Iterator[str]:
    currencies: set[str] = set()
    first = begins
    for each in selection.sums():
        currencies.add(each.currency)
        first = each.day if first is None else min(first, each.day)
    if first is None:
        first = date(1970, 1, 1)
    yield from form.head(sorted(currencies), first)
    partner = None
    for name, group in groupby(
        selection.sums(), lambda each: account_name(each.account, each.program, each.partner)
    ):
        sums = list(group)
        if partner != sums[0].partner:
            partner = sums[0].partner
            yield form.party(partner)
        day = min(each.day for each in sums)
        yield form.account(name, sorted({each.currency for each in sums}), max(begins or day, day))
    yield "\n"


class Hledger:
    """hledger's journal, which `hledger check --strict payees` accepts."""

    def head(self, currencies: list[str], begins: date) -> Iterator[str]:
        """Decimals, commodities, and the two payees that are no partners."""
        yield f"; The journal of revshare from {begins} on. Text is escaped as in an address (%3B).\n"
        yield "decimal-mark .\n"
        for currency in currencies:
            digits = CURRENCY_DIGITS.get(currency, 0)
            yield f"commodity 1000.{'0' * digits} {currency}\n"
        yield f"payee {OPENING}\npayee {CLOSING}\n"

    def account(self, name: str, _currencies: list[str], _begins: date) -> str:
        """With its type; hledger asks for no currencies and no day."""
        return f"account {name}  ; type:{TYPES[name.partition(':')[0]]}\n"

    def party(self, partner: Party) -> str:
        """A payee."""
        return f"payee {hledger_text(partner.name)}\n"

    def opening(self, begins: date, sums: list[Sum]) -> str:
        """It sums to zero, as all legs before did."""
        return f"{begins} * {OPENING}\n{_postings(sums)}\n"

    def transaction(self, entry: Entry) -> str:
        """Its code is the place in the log; tags hold the rest."""
        tags = ", ".join(f"{name}:{hledger_text(value)}" for name, value in _facts_of(entry).items())
        head = f"{entry.day} * ({entry.position}) {hledger_text(entry.partner.name)} | {entry.topic}"
        return f"{head}  ; {tags}\n{_legs(entry)}\n"

    def assertion(self, each: Sum, ends: date) -> str:
        """A transaction that moves nothing."""
        name = account_name(each.account, each.program, each.partner)
        zero, total = amount(0, each.currency), amount(each.total, each.currency)
        return f"{ends} * {CLOSING}\n    {name}  {zero} = {total}\n\n"


class Beancount:
    """beancount's file, which `bean-check` accepts. Balances are asserted without tolerance."""

    def head(self, currencies: list[str], begins: date) -> Iterator[str]:
        """Options and commodities."""
        yield f"; The journal of revshare from {begins} on.\n"
        yield 'option "title" "revshare"\n'
        for currency in currencies:
            yield f'option "operating_currency" "{currency}"\n'
        for currency in currencies:
            yield f"{begins} commodity {currency}\n"

    def account(self, name: str, currencies: list[str], begins: date) -> str:
        """From the day on which it moves first."""
        return f"{begins} open {name} {','.join(currencies)}\n"

    def party(self, _partner: Party) -> str:
        """beancount knows no payees."""
        return ""

    def opening(self, begins: date, sums: list[Sum]) -> str:
        """It sums to zero, as all legs before did."""
        return f"{begins} * {beancount_text(OPENING)}\n{_postings(sums)}\n"

    def transaction(self, entry: Entry) -> str:
        """Metadata holds where it stands and what it is about; links tie together what is of one payout."""
        links = "".join(
            f" ^{kind}-{each}"
            for kind, each in (("reward", entry.reward_id), ("payout", entry.payout_id))
            if each is not None
        )
        head = f"{entry.day} * {beancount_text(entry.partner.name)} {beancount_text(entry.topic)}{links}"
        facts = "".join(f"  {name}: {beancount_text(value)}\n" for name, value in _facts_of(entry).items())
        return f"{head}\n  position: {entry.position}\n{facts}{_legs(entry)}\n"

    def assertion(self, each: Sum, ends: date) -> str:
        """At the start of the next day, which is when beancount looks."""
        name = account_name(each.account, each.program, each.partner)
        total = decimal(each.total, each.currency)
        return f"{ends + timedelta(days=1)} balance {name}  {total} ~ 0 {each.currency}\n"


def _facts_of(entry: Entry) -> dict[str, str]:
    about: dict[str, Any] = {
        "event": entry.event,
        "topic": entry.topic,
        "program": entry.program.reference,
        "partner": entry.partner.reference,
        "effective": entry.effective_at.isoformat(),
        "recorded": entry.recorded_at.isoformat(),
        "reward": entry.reward_id,
        "payout": entry.payout_id,
        "conversion": entry.conversion_id,
    }
    return {name: str(value) for name, value in about.items() if value is not None}


def _legs(entry: Entry) -> str:
    return "".join(
        f"    {account_name(account, entry.program, entry.partner)}  {amount(minor, currency)}\n"
        for account, minor, currency in entry.legs
    )


def _postings(sums: list[Sum]) -> str:
    return "".join(
        f"    {account_name(each.account, each.program, each.partner)}  {amount(each.total, each.currency)}\n"
        for each in sums
    )
