"""Wishes about partners off Stripe: their bank accounts."""

from uuid import UUID

from ledger.commands import Command


class LinkBankAccount(Command, frozen=True, kw_only=True):
    """Say that the partner's money goes to a bank account, and whose it is."""

    partner_id: UUID
    iban: str
    holder_name: str
    bic: str | None = None
