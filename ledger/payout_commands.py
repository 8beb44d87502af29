"""Wishes about how payouts are made: a program's settings, what is withheld from a partner."""

from uuid import UUID

from ledger.commands import Command
from ledger.events.base import AwareTime
from ledger.events.program import CountryWithholding, PayoutSchedule


class ChangePayoutSettings(Command, frozen=True, kw_only=True):
    """Say how a program pays out: when, from how much on, with how many checkers, less which taxes.

    It is the whole: what is left out is none.
    """

    program_id: UUID
    schedule: PayoutSchedule | None = None
    minimum_minor: int | None = None
    second_approval_over_minor: int | None = None
    withholding: tuple[CountryWithholding, ...] = ()
    us_source: bool = False


class RecordWithholdingRemitted(Command, frozen=True, kw_only=True):
    """Say that the tax withheld up to a time was remitted, under which payment or filing."""

    program_id: UUID
    through: AwareTime
    reference: str


class SetWithholding(Command, frozen=True, kw_only=True):
    """Withhold this part of a partner's payouts as tax; None: what its program says of its country."""

    partner_id: UUID
    rate_bps: int | None
    reason: str
    effective_at: AwareTime | None = None
