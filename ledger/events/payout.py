"""Facts of payouts: what finance approves, and the life of each transfer."""

from datetime import date
from typing import ClassVar, Literal
from uuid import UUID

from ledger.events.base import AwareTime, Fact

PayoutProvider = Literal["stripe", "bank"]
"""Who moves the money: Stripe, or our own bank by a file."""


class PayoutBatchDrafted(Fact, frozen=True, kw_only=True):
    """Somebody drafted payouts for a program, to be approved by somebody else.

    `minimum_minor` is the minimum that was asked for; None: each partner's own terms alone decided.
    `made_by_person` is whom the maker's key names. `second_approval_over_minor` was the program's limit: a
    larger total needs two checkers. `due_on` is the date for which the schedule drafted it.
    """

    version: ClassVar[int] = 2
    program_id: UUID
    currency: str
    payout_ids: tuple[UUID, ...]
    total_minor: int
    made_by: str
    content_hash: str
    minimum_minor: int | None = None
    made_by_person: str | None = None
    second_approval_over_minor: int | None = None
    due_on: date | None = None


class PayoutDatePassed(Fact, frozen=True, kw_only=True):
    """The program's payout date came, and nobody was due a payout: no batch is drafted for it any more."""

    program_id: UUID
    currency: str
    due_on: date
    reason: str


class PayoutBatchChecked(Fact, frozen=True, kw_only=True):
    """The first of two checkers approved the batch as it stands: it is still a draft."""

    checked_by: str
    content_hash: str
    checked_by_person: str | None = None


class PayoutBatchApproved(Fact, frozen=True, kw_only=True):
    """The batch was approved as it stands: `content_hash` covers every amount, currency, account and line."""

    version: ClassVar[int] = 2
    approved_by: str
    content_hash: str
    approved_by_person: str | None = None


class PayoutBatchSendAsked(Fact, frozen=True, kw_only=True):
    """Somebody asked that what is left of the approved batch be sent now, without waiting any longer."""

    asked_by: str
    effective_at: AwareTime


class PayoutBatchCanceled(Fact, frozen=True, kw_only=True):
    """The batch was given up before anything of it was sent."""

    canceled_by: str
    reason: str


class PayoutBatchPaused(Fact, frozen=True, kw_only=True):
    """No more of the batch is sent: the platform's balance in its currency is too low."""

    cause: Literal["balance_insufficient"]
    reason: str
    effective_at: AwareTime


class PayoutBatchResumed(Fact, frozen=True, kw_only=True):
    """The balance covers what is left of the batch: it goes on."""

    cause: Literal["balance_insufficient"]
    effective_at: AwareTime


class PayoutDrafted(Fact, frozen=True, kw_only=True):
    """One partner's part of a batch.

    Its lines are the facts of the money account after `account_from_version`, up to `account_to_version`.
    They make `amount_minor`, which leaves the account: of it `withheld_minor` (`withholding_bps` of the
    amount) is kept back as tax, the rest is sent through `provider`. `hash_version` says what an approval's
    hash covers.
    """

    version: ClassVar[int] = 2
    batch_id: UUID
    program_id: UUID
    partner_id: UUID
    account_id: UUID
    account_from_version: int
    account_to_version: int
    amount_minor: int
    currency: str
    destination: str
    made_by: str
    provider: PayoutProvider
    withheld_minor: int
    withholding_bps: int
    hash_version: int

    @property
    def net_minor(self) -> int:
        """What is sent."""
        return self.amount_minor - self.withheld_minor


class PayoutApproved(Fact, frozen=True, kw_only=True):
    """The payout may be sent. `content_hash` freezes amount, currency, destination and lines."""

    approved_by: str
    content_hash: str


class PayoutCanceled(Fact, frozen=True, kw_only=True):
    """The payout will not be sent; nothing had been."""

    reason: str


class PayoutIntentRecorded(Fact, frozen=True, kw_only=True):
    """What is about to be sent, recorded before the socket opens: a retry sends the same bytes."""

    attempt: int
    idempotency_key: str
    body: str
    api_version: str
    effective_at: AwareTime


class TransferSent(Fact, frozen=True, kw_only=True):
    """An attempt went out; its outcome is open."""

    attempt: int
    effective_at: AwareTime


class TransferConfirmed(Fact, frozen=True, kw_only=True):
    """The provider holds the transfer: the money left our balance there, or our bank account."""

    version: ClassVar[int] = 2
    attempt: int
    transfer_id: str
    account_id: UUID
    program_id: UUID
    partner_id: UUID
    net_minor: int
    currency: str
    effective_at: AwareTime
    provider: PayoutProvider = "stripe"


class TransferRejected(Fact, frozen=True, kw_only=True):
    """The provider definitely refused the attempt: no money moved."""

    attempt: int
    code: str
    message: str
    effective_at: AwareTime


class TransferUnknown(Fact, frozen=True, kw_only=True):
    """Nobody can say yet whether the transfer exists."""

    attempt: int
    reason: str
    effective_at: AwareTime


class TransferSearchBegan(Fact, frozen=True, kw_only=True):
    """The attempt's key is no longer trusted: nobody sends it again, the provider's list is looked at."""

    attempt: int
    transfer_group: str
    destination: str
    effective_at: AwareTime


class TransferFoundAbsent(Fact, frozen=True, kw_only=True):
    """Proof that the attempt made no transfer: what was listed, to the end, and nothing of it was ours.

    Listed were all transfers of `transfer_group` to `destination`, from the search's beginning
    (`searched_from`) to `searched_to`, long enough after it for a list that lags; the last listing held
    `transfers_listed`, all of other payouts.
    """

    attempt: int
    transfer_group: str
    destination: str
    searched_from: AwareTime
    searched_to: AwareTime
    transfers_listed: int
    effective_at: AwareTime


class PayoutLeftToHuman(Fact, frozen=True, kw_only=True):
    """What was found can't be decided by a rule: nothing is sent until somebody has looked.

    `transfer_ids` are the provider's transfers that could be the payout's.
    """

    attempt: int
    reason: str
    effective_at: AwareTime
    transfer_ids: tuple[str, ...] = ()


class PayoutResolved(Fact, frozen=True, kw_only=True):
    """Somebody looked, and says whether the attempt's transfer exists: its id, or that there is none."""

    attempt: int
    outcome: Literal["confirmed", "absent"]
    reason: str
    resolved_by: str
    effective_at: AwareTime
    transfer_id: str | None = None


class TransferClaimed(Fact, frozen=True, kw_only=True):
    """Somebody named the transfer as this payout's: it is no other payout's from here on."""

    provider: PayoutProvider
    transfer_id: str
    payout_id: UUID
    effective_at: AwareTime


class PayoutPaid(Fact, frozen=True, kw_only=True):
    """The money reached the partner's bank."""

    effective_at: AwareTime
    reference: str | None = None


class PayoutReturned(Fact, frozen=True, kw_only=True):
    """The bank sent the money back to the partner's connected account: it is still the partner's."""

    effective_at: AwareTime
    reason: str


class PayoutReversed(Fact, frozen=True, kw_only=True):
    """A part or all of the transfer came back; the account's TransferReversalCredited holds the money.

    `left_minor` is what of it is still with the partner: at 0 the payout is reversed, else it goes on as it
    stood. None: recorded before that was told apart; whatever was left, the payout ended.
    """

    version = 2

    amount_minor: int
    left_minor: int | None
    effective_at: AwareTime
    origin: Literal["us", "provider"]
    reference: str
