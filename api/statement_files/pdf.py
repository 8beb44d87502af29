"""A statement as a PDF for people and archives: PDF/A-3a and PDF/UA-1, tagged, the same bytes every time."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from babel import Locale

from api.statement_files.content import (
    Written,
    amount_in,
    columns_used,
    description,
    facts,
    how_to_verify,
    payout_provider,
    payout_state,
    received_at,
    written,
)
from ledger import processors
from ledger.refusals import StatementTooLong, TypesetterBusy
from projections.statement import Amounts, Statement

LINES_MAX: Final = 12_000
"""More would take more memory than a small machine has: 1.2 GB go into 10,000 lines."""
PATIENCE_S: Final = 300
WAIT_S: Final = 3.0
"""How long a caller waits for its turn: it keeps a thread of the API from others meanwhile."""
TYPESETTER: Final = Path(__file__).with_name("typesetter.py")
WORD_MAX: Final = 24
"""A word without a gap that is longer may be broken, so that it does not run into the next column."""
BREAK: Final = "\u200b"

_one_at_a_time = threading.Lock()


class TypesettingFailed(Exception):
    """The typesetter gave no document: a fault of ours, with what it said."""


def to_pdf(statement: Statement, locale: Locale) -> bytes:
    """The PDF's bytes. Raises StatementTooLong above LINES_MAX lines, or TypesetterBusy."""
    if len(statement.lines) > LINES_MAX:
        raise StatementTooLong(
            f"a PDF holds {LINES_MAX:,} lines at most, and this statement has {len(statement.lines):,}:"
            " ask for xlsx, csv or json",
            pointer="/format",
        )
    made_at = statement.issued_at or statement.period.begins_at
    job = {"timestamp": int(made_at.timestamp()), "data": document(written(statement, locale))}
    # Each takes a processor and much memory: not the one that the others of this process answer from.
    with _our_turn(), processors.roaming():
        done = subprocess.run(
            [sys.executable, "-I", str(TYPESETTER)],
            input=msgspec.json.encode(job),
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
        )
    if done.returncode:
        raise TypesettingFailed(done.stderr.decode("utf-8", "replace")[-2_000:])
    return done.stdout


@contextmanager
def _our_turn() -> Iterator[None]:
    if not _one_at_a_time.acquire(timeout=WAIT_S):
        raise TypesetterBusy("another PDF is being made: ask again in a few seconds")
    try:
        yield
    finally:
        _one_at_a_time.release()


def document(of: Written) -> dict[str, Any]:
    """What the template gets: texts only, in the order in which they are printed."""
    statement, words, figures = of
    return {
        "lang": figures.locale.language,
        "region": figures.locale.territory,
        "title": of.title,
        "author": statement.program.name,
        "about": f"{statement.partner.name}, {figures.month(statement.period.period)}",
        "preview": words.preview if statement.is_preview else None,
        "page": words.page,
        "facts": [[label, breakable(text)] for label, text in facts(of)],
        "summary": _summary(of),
        "tax": [words.tax_withheld, f"{figures.amount(statement.tax_withheld_minor)} {statement.currency}"],
        "payouts": _payouts(of),
        "differs": _differs(of),
        "checkpoint": _checkpoint(of),
        "lines": _lines(of),
    }


def breakable(text: str) -> str:
    """The text with places in its longest words where a line may end."""
    return " ".join(
        BREAK.join(word[at : at + WORD_MAX] for at in range(0, len(word), WORD_MAX))
        for word in text.split(" ")
    )


def _summary(of: Written) -> dict[str, Any]:
    statement, words, figures = of
    rows = []
    for column in columns_used(statement):
        opening, closing = amount_in(statement.opening, column), amount_in(statement.closing, column)
        amounts = (opening, closing - opening, closing)
        rows.append([getattr(words.balances, column), *map(figures.amount, amounts)])
    head = [f"{words.balance} ({statement.currency})", words.opening, words.movement, words.closing]
    return {"heading": words.summary, "head": head, "rows": rows}


def _payouts(of: Written) -> dict[str, Any]:
    statement, words, figures = of
    rows = [
        [
            breakable(payout.reference or str(payout.payout_id)),
            payout_state(words, payout),
            payout_provider(words, payout),
            figures.day(payout.intent_at),
            figures.day(received_at(payout)),
            figures.amount(payout.amount_minor),
            figures.amount(payout.withheld_minor),
            figures.amount(payout.net_minor),
        ]
        for payout in statement.payouts
    ]
    head = [words.payout, words.state, words.provider, words.intent_at, words.paid_at]
    amounts = [words.amount, words.withheld, words.net]
    return {"heading": words.payouts, "none": words.no_payouts, "head": [*head, *amounts], "rows": rows}


def _differs(of: Written) -> dict[str, Any]:
    statement, words, _ = of
    rows = [[breakable(each.pointer), each.was or "–", each.now or "–"] for each in statement.differs]
    return {"heading": words.differs, "head": [words.where, words.was, words.now], "rows": rows}


def _checkpoint(of: Written) -> dict[str, Any]:
    statement, words, _ = of
    named = [
        (words.content_hash, statement.content_sha256),
        (words.log_position, None if statement.issued_position is None else str(statement.issued_position)),
    ]
    return {
        "heading": words.checkpoint,
        "text": words.checkpoint_text if statement.checkpoint else words.checkpoint_pending,
        "note": statement.checkpoint,
        "facts": [[label, text] for label, text in named if text],
        "verify": None if statement.is_preview else words.verify,
        "verify_text": words.verify_text,
        "commands": how_to_verify(statement),
    }


def _lines(of: Written) -> dict[str, Any]:
    statement, words, figures = of
    columns = columns_used(statement)

    def balance(name: str, amounts: Amounts) -> list[str]:
        return ["", name, *(figures.amount(amount_in(amounts, column)) for column in columns)]

    rows = [
        [
            figures.day(line.effective_at),
            breakable(description(of, line)),
            *(figures.moved(amount_in(line.moved, column)) for column in columns),
        ]
        for line in statement.lines
    ]
    return {
        "heading": f"{words.lines} ({statement.currency})",
        "count": figures.plural(words.movements, len(rows)) if rows else words.no_lines,
        "quoted": words.quoted if any(line.reason for line in statement.lines) else None,
        "head": [words.date, words.description, *(getattr(words.balances, column) for column in columns)],
        "rows": rows,
        "opening": balance(words.opening, statement.opening),
        "closing": balance(words.closing, statement.closing),
    }
