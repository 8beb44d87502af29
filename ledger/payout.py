"""Payouts: which step leads on from which state, and what an approval freezes. Pure."""

import hashlib
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from ledger.account import Holder
from ledger.events.bank import BankOutcomeTold, BankRejectionWithdrawn
from ledger.events.base import Fact
from ledger.events.payout import (
    PayoutApproved,
    PayoutCanceled,
    PayoutDrafted,
    PayoutIntentRecorded,
    PayoutLeftToHuman,
    PayoutPaid,
    PayoutResolved,
    PayoutReturned,
    PayoutReversed,
    TransferConfirmed,
    TransferFoundAbsent,
    TransferRejected,
    TransferSearchBegan,
    TransferSent,
    TransferUnknown,
)
from ledger.refusals import (
    ContentConflict,
    IllegalTransition,
    InvalidField,
    NotFound,
    SameMakerAndChecker,
)
from ledger.withholding import Withheld, given_back

PayoutStatus = Literal[
    "none",
    "draft",
    "approved",
    "canceled",
    "intent",
    "sent",
    "unknown",
    "held",
    "confirmed",
    "rejected",
    "absent",
    "paid",
    "returned",
    "reversed",
]

OPEN: Final[frozenset[PayoutStatus]] = frozenset(
    {"draft", "approved", "intent", "sent", "unknown", "held", "absent"}
)
"""States in which a payout may still take its amount, or holds it with the outcome open."""
ASKED: Final[frozenset[PayoutStatus]] = frozenset({"intent", "sent", "unknown"})
"""States in which the provider is asked, by the key or by its lists, until the outcome is known."""
UNSETTLED: Final[frozenset[PayoutStatus]] = ASKED | {"held"}
"""States in which the provider may hold a transfer that we have not confirmed."""
REOPENABLE: Final[frozenset[PayoutStatus]] = frozenset({"rejected", "absent"})
"""States of a payout whose last attempt definitely made no transfer: alone these lead to the next one."""
DELIVERED: Final[frozenset[PayoutStatus]] = frozenset({"confirmed", "paid", "returned", "reversed"})
"""States of a payout whose transfer exists."""


class PayoutState(msgspec.Struct, frozen=True):
    """One payout. `intent` is that of the last attempt, `reversals` what came back, by reference.

    Of the last attempt, too: `rejection`, and `search`, after which nobody sends it again. `resolved` is what
    somebody said of an attempt, `told` what statements and finance said of a payout by our bank, `withdrawn`
    the last word that finance took back of it, `reason` why the payout stands where it does.
    """

    status: PayoutStatus = "none"
    draft: PayoutDrafted | None = None
    intent: PayoutIntentRecorded | None = None
    transfer_id: str | None = None
    reversals: Mapping[str, int] = {}
    rejection: TransferRejected | None = None
    search: TransferSearchBegan | None = None
    resolved: PayoutResolved | None = None
    approved_hash: str | None = None
    told: tuple[BankOutcomeTold, ...] = ()
    withdrawn: BankRejectionWithdrawn | None = None
    reason: str | None = None

    @property
    def attempt(self) -> int:
        """The number of the last attempt; 0 before the first."""
        return self.intent.attempt if self.intent else 0


NO_PAYOUT: Final = PayoutState()

_STATUS_AFTER: Final[dict[type[Fact], PayoutStatus]] = {
    PayoutDrafted: "draft",
    PayoutApproved: "approved",
    PayoutCanceled: "canceled",
    PayoutIntentRecorded: "intent",
    TransferSent: "sent",
    TransferUnknown: "unknown",
    TransferSearchBegan: "unknown",
    PayoutLeftToHuman: "held",
    TransferFoundAbsent: "absent",
    TransferConfirmed: "confirmed",
    TransferRejected: "rejected",
    PayoutPaid: "paid",
    PayoutReturned: "returned",
}


def evolve(state: PayoutState, fact: Fact) -> PayoutState:
    """The payout after a fact."""
    if isinstance(fact, BankOutcomeTold):
        return msgspec.structs.replace(state, told=(*state.told, fact))
    if isinstance(fact, PayoutResolved):
        status: PayoutStatus = "absent" if fact.outcome == "absent" else state.status
        return msgspec.structs.replace(state, status=status, resolved=fact, reason=fact.reason)
    if isinstance(fact, BankRejectionWithdrawn):
        still = tuple(told for told in state.told if told.outcome != "rejected")
        return msgspec.structs.replace(
            state, status="intent", rejection=None, told=still, withdrawn=fact, reason=fact.reason
        )
    if isinstance(fact, PayoutReversed):
        reversals = {**state.reversals, fact.reference: fact.amount_minor}
        gone = "reversed" if is_all_back(fact) else state.status
        return msgspec.structs.replace(state, status=gone, reversals=reversals)
    status_after = _STATUS_AFTER.get(type(fact))
    if status_after is None:
        return state
    reason = state.reason if isinstance(fact, TransferSent) else told(fact)
    after = msgspec.structs.replace(state, status=status_after, reason=reason)
    match fact:
        case PayoutDrafted():
            return msgspec.structs.replace(after, draft=fact)
        case PayoutApproved():
            return msgspec.structs.replace(after, approved_hash=fact.content_hash)
        case PayoutIntentRecorded():
            return msgspec.structs.replace(after, intent=fact, rejection=None, search=None)
        case TransferRejected():
            return msgspec.structs.replace(after, rejection=fact)
        case TransferSearchBegan():
            return msgspec.structs.replace(after, search=fact)
        case TransferConfirmed():
            return msgspec.structs.replace(after, transfer_id=fact.transfer_id)
        case _:
            return after


def is_all_back(fact: PayoutReversed) -> bool:
    """Whether nothing of the transfer is left with the partner, so that the payout is reversed."""
    return not fact.left_minor


def told(fact: Fact) -> str | None:
    """Why a payout stands where a fact has brought it, in words; None where that goes without saying."""
    match fact:
        case PayoutCanceled() | TransferUnknown() | PayoutLeftToHuman() | PayoutResolved() | PayoutReturned():
            return fact.reason
        case TransferRejected():
            return f"{fact.code}: {fact.message}"
        case TransferSearchBegan():
            return "its key is no longer sent: the provider's list is searched"
        case TransferFoundAbsent():
            return f"none of {fact.transfers_listed} transfers listed is ours"
        case _:
            return None


# What is frozen


HASH_VERSION: Final = 2
"""Of the content that an approval of a new draft freezes. A draft keeps its own for ever."""


def content_hash(payouts: Mapping[UUID, PayoutDrafted]) -> str:
    """The SHA-256 (64 hexadecimal digits) of what an approval freezes, one payout or a whole batch.

    It is taken over one JSON array in UTF-8 without white space, its objects ordered by `payout_id`, with
    exactly these keys in this order: `account_from_version`, `account_id`, `account_to_version`,
    `amount_minor`, `currency`, `destination`, `hash_version`, `payout_id`, `provider`, `withheld_minor`,
    `withholding_bps`. Payouts of hash version 1 have neither `hash_version` nor `provider` nor the last two.
    Versions, amounts and basis points are JSON integers, the rest JSON strings, ids in their 36 characters.
    JSON quotes every text, so no two contents share their bytes; the account's facts never change, so the two
    versions of the account freeze the lines.
    """
    ordered = sorted(payouts.items(), key=lambda item: str(item[0]))
    content = [_frozen(payout_id, draft) for payout_id, draft in ordered]
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def _frozen(payout_id: UUID, draft: PayoutDrafted) -> dict[str, str | int]:
    content: dict[str, str | int] = {
        "payout_id": str(payout_id),
        "account_id": str(draft.account_id),
        "account_from_version": draft.account_from_version,
        "account_to_version": draft.account_to_version,
        "amount_minor": draft.amount_minor,
        "currency": draft.currency,
        "destination": draft.destination,
    }
    if draft.hash_version > 1:
        content |= {
            "hash_version": draft.hash_version,
            "provider": draft.provider,
            "withheld_minor": draft.withheld_minor,
            "withholding_bps": draft.withholding_bps,
        }
    return content


def idempotency_key(payout_id: UUID, attempt: int) -> str:
    """The provider's key of an attempt: a retry has the same one, a new attempt a new one."""
    return f"payout-{payout_id}-{attempt}"


# The payout


def approve(payout_id: UUID, state: PayoutState, *, by: str) -> list[Fact]:
    """draft → approved, with its batch: from here on it may be sent as it stands, and only so."""
    draft = drafted(state)
    expect(state.status, {"draft"}, "a payout can be approved")
    if by == draft.made_by:
        raise SameMakerAndChecker("whoever drafted a payout can't approve it")
    return [PayoutApproved(approved_by=by, content_hash=content_hash({payout_id: draft}))]


def cancel(state: PayoutState, *, reason: str) -> list[Fact]:
    """Give up a payout that holds no money: not sent yet, definitely rejected, or proven absent."""
    if state.status == "canceled":
        return []
    expect(state.status, {"draft", "approved", *REOPENABLE}, "a payout can be canceled")
    return [PayoutCanceled(reason=reason)]


def record_intent(
    payout_id: UUID, state: PayoutState, *, body: str, api_version: str, now: datetime
) -> list[Fact]:
    """approved → intent; rejected or absent → intent of the next attempt under a new key."""
    expect(state.status, {"approved", *REOPENABLE}, "an attempt can be opened")
    attempt = state.attempt + 1
    return [
        PayoutIntentRecorded(
            attempt=attempt,
            idempotency_key=idempotency_key(payout_id, attempt),
            body=body,
            api_version=api_version,
            effective_at=now,
        )
    ]


def sent(state: PayoutState, *, attempt: int, sent_at: datetime) -> list[Fact]:
    """intent → sent: the request went out. Nothing new when that is known."""
    if state.status in {"sent", "unknown"} and attempt == state.attempt:
        return []
    expect_attempt(state, attempt, {"intent"}, "a transfer can be sent")
    return [TransferSent(attempt=attempt, effective_at=sent_at)]


def confirm(
    state: PayoutState, *, attempt: int, transfer_id: str, sent_at: datetime, now: datetime
) -> list[Fact]:
    """Open → confirmed. With another transfer's id it refuses: paid twice is no step."""
    draft = drafted(state)
    if state.status in DELIVERED and (attempt, transfer_id) == (state.attempt, state.transfer_id):
        return []
    expect_attempt(state, attempt, UNSETTLED, f"transfer {transfer_id} can be confirmed")
    return [
        *sent_first(state, sent_at),
        TransferConfirmed(
            attempt=attempt,
            transfer_id=transfer_id,
            account_id=draft.account_id,
            program_id=draft.program_id,
            partner_id=draft.partner_id,
            net_minor=draft.net_minor,
            currency=draft.currency,
            effective_at=now,
            provider=draft.provider,
        ),
    ]


def reject(
    state: PayoutState, *, attempt: int, code: str, message: str, sent_at: datetime, now: datetime
) -> list[Fact]:
    """Open → rejected: the provider definitely holds no transfer of this attempt."""
    if state.status == "rejected" and attempt == state.attempt:
        return []
    expect_attempt(state, attempt, UNSETTLED, "a transfer can be rejected")
    rejected = TransferRejected(attempt=attempt, code=code, message=message, effective_at=now)
    return [*sent_first(state, sent_at), rejected]


def leave_unknown(
    state: PayoutState, *, attempt: int, reason: str, sent_at: datetime | None, now: datetime
) -> list[Fact]:
    """intent or sent → unknown; nothing new when that is known. `sent_at` None: nobody knows of a sending."""
    if state.status == "unknown" and attempt == state.attempt:
        return []
    expect_attempt(state, attempt, ASKED, "a transfer's outcome can be unknown")
    before = [] if sent_at is None else sent_first(state, sent_at)
    return [*before, TransferUnknown(attempt=attempt, reason=reason, effective_at=now)]


def sent_first(state: PayoutState, sent_at: datetime) -> list[Fact]:
    """The fact that the attempt went out, where it is not recorded: an outcome shows that it did."""
    return [TransferSent(attempt=state.attempt, effective_at=sent_at)] if state.status == "intent" else []


def settle(state: PayoutState, *, reference: str | None, now: datetime) -> list[Fact]:
    """confirmed (or returned, when the bank was asked again) → paid: the money reached the partner's bank."""
    if state.status == "paid":
        return []
    expect(state.status, {"confirmed", "returned"}, "a payout can be paid")
    return [PayoutPaid(effective_at=now, reference=reference)]


def give_back(state: PayoutState, *, reason: str, now: datetime) -> list[Fact]:
    """confirmed or paid → returned: the bank sent it back to the partner's connected account."""
    if state.status == "returned":
        return []
    expect(state.status, {"confirmed", "paid"}, "a payout can be returned")
    return [PayoutReturned(effective_at=now, reason=reason)]


def reverse(
    state: PayoutState,
    *,
    amount_minor: int,
    origin: Literal["us", "provider"],
    reference: str,
    now: datetime,
) -> list[Fact]:
    """A part or all of a transfer came back to our balance; each reference counts once. While something is
    left the payout stands where it stood: the bank may still bring that, or give it back.
    """
    known = state.reversals.get(reference)
    if known is not None and known != amount_minor:
        raise ContentConflict(f"reversal {reference} was recorded with {known}")
    if known is not None:
        return []
    expect(state.status, DELIVERED, "a transfer can be reversed")
    left = drafted(state).net_minor - sum(state.reversals.values())
    if not 0 < amount_minor <= left:
        raise InvalidField(f"{amount_minor} reversed of {left} left", pointer="/amount_minor")
    return [
        PayoutReversed(
            amount_minor=amount_minor,
            left_minor=left - amount_minor,
            effective_at=now,
            origin=origin,
            reference=reference,
        )
    ]


def withheld_back(state: PayoutState, amount_minor: int, *, remitted_through: datetime | None) -> int:
    """How much tax goes back with the next part of a transfer; nothing where the tax office has it by now."""
    draft, intent = drafted(state), state.intent
    if intent and remitted_through and intent.effective_at <= remitted_through:
        return 0
    withheld = Withheld(draft.withholding_bps, draft.withheld_minor, draft.net_minor)
    return given_back(withheld, before_minor=sum(state.reversals.values()), amount_minor=amount_minor)


def holder(draft: PayoutDrafted) -> Holder:
    """Whose account the payout's money comes from."""
    return Holder(draft.program_id, draft.partner_id, draft.currency)


def drafted(state: PayoutState) -> PayoutDrafted:
    """What was drafted, or NotFound."""
    if state.draft is None:
        raise NotFound("there is no such payout")
    return state.draft


def expect(status: str, allowed: Collection[str], step: str) -> None:
    """Refuses with IllegalTransition, naming the state, unless `status` is one of those allowed."""
    if status not in allowed:
        raise IllegalTransition(f"{step} from {', '.join(sorted(allowed))}, not from {status}", state=status)


def expect_attempt(state: PayoutState, attempt: int, allowed: Collection[str], step: str) -> None:
    """As `expect`, for the last attempt alone."""
    expect(state.status, allowed, step)
    if attempt != state.attempt:
        raise IllegalTransition(
            f"attempt {attempt} is not the last one, {state.attempt}: {step} for that alone",
            state=state.status,
        )
