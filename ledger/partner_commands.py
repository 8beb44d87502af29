"""Wishes about how partners are written to."""

from uuid import UUID

from ledger.commands import Command


class ChangePartnerLocale(Command, frozen=True, kw_only=True):
    """Say in which language and number format a partner is written to, as `de-AT`; None: nobody knows."""

    partner_id: UUID
    locale: str | None
