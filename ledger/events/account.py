"""Facts of a partner's money account: what matured, was taken back, reserved for payouts and released."""

from typing import ClassVar
from uuid import UUID

from ledger.events.base import AwareTime, Fact
from ledger.events.payout import PayoutProvider
from ledger.events.reward import ReversalReason


class RewardMatured(Fact, frozen=True, kw_only=True):
    """A reward's holding period ended: `amount_minor` can be paid out."""

    reward_id: UUID
    conversion_id: UUID
    program_id: UUID
    partner_id: UUID
    amount_minor: int
    currency: str
    effective_at: AwareTime


class MaturedRewardReversed(Fact, frozen=True, kw_only=True):
    """A matured reward was taken back: `payable_minor` of what was not paid yet, the rest is owed to us."""

    reward_id: UUID
    conversion_id: UUID
    program_id: UUID
    partner_id: UUID
    payable_minor: int
    clawback_minor: int
    currency: str
    reason: ReversalReason
    effective_at: AwareTime
    cause_position: int


class ClawbackOffset(Fact, frozen=True, kw_only=True):
    """What the partner owed us was set off against money that became payable.

    That is a reward that matured, or a payout's money that came back.
    """

    program_id: UUID
    partner_id: UUID
    amount_minor: int
    currency: str
    effective_at: AwareTime
    reward_id: UUID | None = None
    payout_id: UUID | None = None


class ClawbackWrittenOff(Fact, frozen=True, kw_only=True):
    """Finance gave up what the partner owed us. `write_off_id` tells a repetition from another one."""

    write_off_id: UUID
    program_id: UUID
    partner_id: UUID
    amount_minor: int
    currency: str
    reason: str
    effective_at: AwareTime


class PayoutReserved(Fact, frozen=True, kw_only=True):
    """A payout's intent took `net_minor` (to be sent) and `withheld_minor` (tax) out of what is payable."""

    payout_id: UUID
    attempt: int
    program_id: UUID
    partner_id: UUID
    net_minor: int
    withheld_minor: int
    currency: str
    effective_at: AwareTime


class PayoutReleased(Fact, frozen=True, kw_only=True):
    """A payout's attempt was definitely rejected: what it had reserved is payable again."""

    payout_id: UUID
    attempt: int
    program_id: UUID
    partner_id: UUID
    net_minor: int
    withheld_minor: int
    currency: str
    reason: str
    effective_at: AwareTime


class TransferReversalCredited(Fact, frozen=True, kw_only=True):
    """Money of a confirmed transfer came back to our balance: the partner's again, to be paid anew.

    With it comes `withheld_minor` of the tax that was withheld from the payout, unless it was remitted.
    """

    version: ClassVar[int] = 3
    payout_id: UUID
    reference: str
    program_id: UUID
    partner_id: UUID
    amount_minor: int
    withheld_minor: int
    currency: str
    effective_at: AwareTime
    provider: PayoutProvider = "stripe"
