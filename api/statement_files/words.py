"""What a statement says, in each language that we offer."""

from functools import cache
from importlib.resources import files
from typing import Final

import msgspec
from babel import Locale

from projections.statement import LineKind

FOLDER: Final = files("api.statement_files") / "words"


class Balances(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The names of the columns of `Amounts`."""

    pending: str
    available: str
    in_transit: str
    paid: str
    clawback: str
    withheld: str
    earned: str


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every text of a statement in one language: a file that lacks one, or has another, can't be read.

    `{…}` in a text stands for what is put in its place. `movements` has a text for each plural of the
    language (CLDR's names); `other` is that of all it does not name.
    """

    title: str
    preview: str
    number: str
    version: str
    period: str
    program: str
    partner: str
    reference: str
    country: str
    email: str
    currency: str
    issued_at: str
    time_zone: str
    corrects: str
    correction_reason: str
    summary: str
    balance: str
    opening: str
    movement: str
    closing: str
    tax_withheld: str
    balances: Balances
    lines: str
    date: str
    description: str
    conversion: str
    reason: str
    no_lines: str
    belongs_to: str
    quoted: str
    movements: dict[str, str]
    kinds: dict[LineKind, str]
    payouts: str
    payout: str
    state: str
    provider: str
    amount: str
    withheld: str
    net: str
    intent_at: str
    confirmed_at: str
    paid_at: str
    no_payouts: str
    providers: dict[str, str]
    states: dict[str, str]
    differs: str
    where: str
    was: str
    now: str
    checkpoint: str
    checkpoint_pending: str
    checkpoint_text: str
    verify: str
    verify_text: str
    content_hash: str
    log_position: str
    page: str


@cache
def languages() -> tuple[str, ...]:
    """The languages that we offer, as ISO 639-1 codes in the alphabet's order."""
    return tuple(sorted(file.name.removesuffix(".json") for file in FOLDER.iterdir()))


@cache
def words_of(language: str) -> Words:
    """The texts of a language that we offer."""
    return msgspec.json.decode((FOLDER / f"{language}.json").read_bytes(), type=Words)


def words_for(locale: Locale) -> Words:
    """The texts of a locale's language."""
    return words_of(locale.language)
