"""Wishes about partners off Stripe: their bank accounts, and what became of their payouts."""

from uuid import UUID

from ledger.commands import Command
from ledger.events.bank import BankOutcome
from ledger.events.base import AwareTime


class LinkBankAccount(Command, frozen=True, kw_only=True):
    """Say that the partner's money goes to a bank account, and whose it is."""

    partner_id: UUID
    iban: str
    holder_name: str
    bic: str | None = None


class WithdrawBankRejection(Command, frozen=True, kw_only=True):
    """Take back the word that a payout by our bank never left our account, and say how one knows."""

    payout_id: UUID
    reason: str


class TellBankOutcome(Command, frozen=True, kw_only=True):
    """Say what became of a payout by our bank: under which reference of the bank, and how one knows."""

    payout_id: UUID
    outcome: BankOutcome
    reference: str
    reason: str
    reason_code: str | None = None
    effective_at: AwareTime | None = None
