"""Facts of partners off Stripe: their bank accounts, and the files that tell our own bank to pay them."""

from datetime import date
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
