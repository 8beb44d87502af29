"""What accounts and people are called in files of hledger and beancount: names that both tools take. Pure."""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

from ledger.money import decimal
from projections.journal_export.selection import Party

CHART: Final[dict[str, str]] = {
    "commission_expense": "Expenses:CommissionExpense",
    "commission_accrued": "Liabilities:CommissionAccrued",
    "commission_payable": "Liabilities:CommissionPayable",
    "clawback_receivable": "Assets:ClawbackReceivable",
    "clawback_loss": "Expenses:ClawbackLoss",
    "payout_clearing": "Liabilities:PayoutClearing",
    "withholding_payable": "Liabilities:WithholdingPayable",
    "stripe_balance": "Assets:StripeBalance",
    "bank_balance": "Assets:BankBalance",
}
"""The chart of accounts under the five roots that both tools know."""
TYPES: Final = {"Assets": "A", "Liabilities": "L", "Expenses": "X"}
_PLAIN: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
_HASHED: Final = re.compile(r".*-[0-9a-f]{32}", re.ASCII)
_HARMLESS: Final = re.compile(r"[!-$&-+\--:<-{}~]+(?: [!-$&-+\--:<-{}~]+)*", re.ASCII)
"""Printable ASCII without `%,;|`, in words with one blank between them."""
PART_MAX: Final = 40


def account_name(account: str, program: Party, partner: Party) -> str:
    """The name of a partner's account in a program: `Liabilities:CommissionPayable:Shop:Acme`."""
    return f"{CHART[account]}:{part(program)}:{part(partner)}"


def part(party: Party) -> str:
    """A part of an account's name, of capitals, small letters, digits and hyphens, the first no small letter.

    A reference of small letters, digits and single hyphens is taken as it is, its first letter a capital. Of
    another one the letters that fit are taken, and the id behind them: no two parties share a name.
    """
    reference = party.reference
    if _PLAIN.fullmatch(reference) and not _HASHED.fullmatch(reference):
        return reference[0].upper() + reference[1:]
    fits = "-".join(re.findall(r"[A-Za-z0-9]+", reference, re.ASCII))[:PART_MAX].strip("-")
    word = f"{fits}-{party.id.hex}" if fits else f"X-{party.id.hex}"
    return word[0].upper() + word[1:]


def amount(minor: int, currency: str) -> str:
    """An amount with all of its currency's decimals, exactly: `-12.30 GBP`, `500 JPY`."""
    return f"{decimal(minor, currency)} {currency}"


def hledger_text(text: str) -> str:
    """Text for a description or a tag's value of hledger, which knows no quotes.

    What would end it, or be trimmed, stands as in an address (%3B); so it can be read back by unquoting.
    """
    if _HARMLESS.fullmatch(text):  # nearly all: ids, times, most names
        return text
    return "".join(_hledger_characters(text)) or "%00"


def _hledger_characters(text: str) -> Iterator[str]:
    for place, character in enumerate(text):
        blank = character == " "
        at_the_edge = place in (0, len(text) - 1) or text[place - 1] == " "
        if character in ";|,%" or (blank and at_the_edge) or not (blank or _shows(character)):
            yield quote(character, safe="")
        else:
            yield character


def _shows(character: str) -> bool:
    return character.isprintable() and not character.isspace()


def beancount_text(text: str) -> str:
    """Text as a string of beancount, in its quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
