"""Facts of partners off Stripe: their bank accounts, files for our own bank, and what its statements say."""

from datetime import date
from typing import Literal
from uuid import UUID

from ledger.events.base import AwareTime, Fact


class BankAccountLinked(Fact, frozen=True, kw_only=True):
    """Where the partner's money goes from now on: a bank account, which a file to our own bank names."""

    iban: str
    holder_name: str
    bic: str | None = None


class BankFileExported(Fact, frozen=True, kw_only=True):
    """A batch's file for our bank, as it may leave from now on: its exact text, for ever the same.

    It is appended together with the intents of its payouts. The bank knows it by its `message_id`.
    """

    batch_id: UUID
    number: int
    message_id: str
    message_schema: str
    debtor_name: str
    debtor_iban: str
    debtor_bic: str | None
    execution_date: date
    payout_ids: tuple[UUID, ...]
    total_minor: int
    currency: str
    content: str
    content_sha256: str
    exported_by_person: str | None
    effective_at: AwareTime


class BankFileTakenIn(Fact, frozen=True, kw_only=True):
    """The file before it in this append had left already: the ledger had lost it. Ours has other bytes."""

    reason: str
    effective_at: AwareTime


BankOutcome = Literal["paid", "returned", "rejected"]
"""What became of a payout by our bank: it left, it came back, or it never left our account."""
Verdict = Literal[
    "paid",
    "returned",
    "different",
    "duplicate",
    "unexpected",
    "unknown_reference",
    "unreadable",
    "not_booked",
    "not_ours",
]
"""What an entry of a statement is found to be."""


class BankOutcomeTold(Fact, frozen=True, kw_only=True):
    """A statement's entry, or somebody of finance (`person`), says what became of a payout by our bank.

    `reference` is what the bank calls it. What follows from it stands behind it in the same append.
    """

    attempt: int
    outcome: BankOutcome
    source: Literal["statement", "finance"]
    reference: str
    effective_at: AwareTime
    reason: str | None = None
    reason_code: str | None = None
    statement_id: str | None = None
    entry_reference: str | None = None
    bank_reference: str | None = None
    person: str | None = None


class BankRejectionWithdrawn(Fact, frozen=True, kw_only=True):
    """Somebody of finance (`person`) said of the attempt that it never left our account, and was mistaken.

    It is in transit again. Its account's PayoutReserved stands in the same append.
    """

    attempt: int
    reason: str
    effective_at: AwareTime
    person: str | None = None


class StatementLine(Fact, frozen=True, kw_only=True):
    """What one entry of a statement is; of those that are not ours, no more than that."""

    entry_reference: str
    direction: Literal["debit", "credit"]
    amount_minor: int | None
    currency: str
    verdict: Verdict
    payout_id: UUID | None = None
    detail: str | None = None


class BankStatementImported(Fact, frozen=True, kw_only=True):
    """A statement of our account was imported, and each of its entries was found to be this."""

    statement_id: str
    account_iban: str | None
    form: str
    file_sha256: str
    lines: tuple[StatementLine, ...]
    imported_by_person: str | None
    effective_at: AwareTime
