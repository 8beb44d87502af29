"""Referrals: codes, touches of links, and the customers that partners brought. Decide and evolve.

For which partner a customer counts in the end is told by ledger.attribution; this room admits the facts.
"""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec

from ledger import checks, ids
from ledger.commands import IssueReferralCode, ReattributeCustomer, RecordReferral, TouchReferralLink
from ledger.events.base import Fact
from ledger.events.referral import (
    AttributionShare,
    CustomerReattributed,
    ReferralCodeIssued,
    ReferralLinkTouched,
    ReferralRecorded,
)
from ledger.refusals import AlreadyExists, ContentConflict, InvalidField, NotFound

# A code


class CodeState(msgspec.Struct, frozen=True, kw_only=True):
    """A code and whose it is."""

    code: str
    program_id: UUID
    partner_id: UUID
    landing_url: str | None


CODE_INITIAL: Final[CodeState | None] = None


def evolve_code(state: CodeState | None, fact: Fact) -> CodeState | None:
    """The code after a fact."""
    if isinstance(fact, ReferralCodeIssued):
        return CodeState(
            code=fact.code,
            program_id=fact.program_id,
            partner_id=fact.partner_id,
            landing_url=fact.landing_url,
        )
    return state


def issue_code(command: IssueReferralCode, state: CodeState | None) -> list[Fact]:
    """A code belongs to one partner of one program, for ever."""
    issued = ReferralCodeIssued(
        code=checks.code(command.code, "/code"),
        program_id=command.program_id,
        partner_id=command.partner_id,
        landing_url=checks.landing_url(command.landing_url, "/landing_url"),
    )
    if state is None:
        return [issued]
    for field in ("program_id", "partner_id", "landing_url"):
        if getattr(state, field) != getattr(issued, field):
            raise AlreadyExists(f"code {state.code} exists with another {field}", pointer=f"/{field}")
    return []


# A touch of a link


class TouchState(msgspec.Struct, frozen=True, kw_only=True):
    """A touch of a link: which code, and whose it is."""

    code: str
    program_id: UUID
    partner_id: UUID


TOUCH_INITIAL: Final[TouchState | None] = None


def evolve_touch(state: TouchState | None, fact: Fact) -> TouchState | None:
    """The touch after a fact."""
    if isinstance(fact, ReferralLinkTouched):
        return TouchState(code=fact.code, program_id=fact.program_id, partner_id=fact.partner_id)
    return state


def touch(command: TouchReferralLink, state: TouchState | None, code_state: CodeState | None) -> list[Fact]:
    """A touch of a code that was issued."""
    if code_state is None:
        raise NotFound("there is no such code", pointer="/code")
    if state is not None and state.code != command.code:
        raise ContentConflict("the touch was of another code", pointer="/code")
    if state is not None:
        return []
    return [
        ReferralLinkTouched(
            code=code_state.code, program_id=code_state.program_id, partner_id=code_state.partner_id
        )
    ]


# A customer


class CustomerState(msgspec.Struct, frozen=True):
    """The facts of one customer, in the order in which we learned them; referrals by their id."""

    referrals: dict[UUID, ReferralRecorded] = {}
    reattributions: tuple[CustomerReattributed, ...] = ()


CUSTOMER_INITIAL: Final = CustomerState()


def evolve_customer(state: CustomerState, fact: Fact) -> CustomerState:
    """The customer after a fact."""
    match fact:
        case ReferralRecorded():
            return CustomerState({**state.referrals, fact.referral_id: fact}, state.reattributions)
        case CustomerReattributed():
            return CustomerState(state.referrals, (*state.reattributions, fact))
        case _:
            return state


class Named(msgspec.Struct, frozen=True):
    """What a RecordReferral's fields lead to; `touched_at` is when the touch was recorded."""

    code: CodeState | None = None
    touch: TouchState | None = None
    touched_at: datetime | None = None


def partner_of(command: RecordReferral, named: Named) -> UUID:
    """The partner that the wish names, by one or several fields that agree."""
    found: list[tuple[str, UUID]] = []
    if command.partner_id is not None:
        found.append(("/partner_id", command.partner_id))
    if command.partner is not None:
        found.append(("/partner", ids.partner_id(checks.reference(command.partner, "/partner"))))
    for pointer, value, owner in (
        ("/code", command.code, named.code),
        ("/touch_id", command.touch_id, named.touch),
    ):
        if value is None:
            continue
        if owner is None or owner.program_id != command.program_id:
            raise NotFound(f"the program has no such {pointer[1:]}", pointer=pointer)
        found.append((pointer, owner.partner_id))
    if not found:
        raise InvalidField("one of partner_id, partner, code and touch_id must name the partner")
    for pointer, partner in found:
        if partner != found[0][1]:
            raise InvalidField(f"names another partner than {found[0][0][1:]}", pointer=pointer)
    return found[0][1]


def referral_id(command: RecordReferral, partner: UUID) -> UUID:
    """The referral's id: by its reference, or by its content as it was sent."""
    customer = ids.customer_id(command.program_id, command.customer)
    if command.reference is not None:
        return ids.referral_id(customer, command.reference)
    sent = command.effective_at
    content = (
        str(partner),
        command.via,
        "" if sent is None else sent.astimezone(UTC).isoformat(),
        command.code or "",
        "" if command.touch_id is None else str(command.touch_id),
    )
    # A leading separator, which no reference can hold: a derived name never meets a given one.
    return ids.referral_id(customer, "\x1f" + "\x1f".join(content))


def record(command: RecordReferral, state: CustomerState, named: Named, *, now: datetime) -> list[Fact]:
    """A partner brought a customer, once per reference (or content)."""
    checks.reference(command.customer, "/customer")
    if command.reference is not None:
        checks.reference(command.reference, "/reference")
    partner = partner_of(command, named)
    # What we noted ourselves needs no check against the clock; a sender's time does.
    default = (named.touched_at if command.touch_id is not None else None) or now
    effective_at = checks.effective_at(command.effective_at or default, max(now, default))
    recorded = ReferralRecorded(
        referral_id=referral_id(command, partner),
        program_id=command.program_id,
        customer=command.customer,
        partner_id=partner,
        via=command.via,
        effective_at=effective_at,
        code=command.code,
        touch_id=command.touch_id,
        company=checks.optional_name(command.company, "/company"),
        contact=checks.optional_name(command.contact, "/contact"),
        note=checks.optional_note(command.note, "/note"),
    )
    there = state.referrals.get(recorded.referral_id)
    if there is None:
        return [recorded]
    _refuse_other_content(command, recorded, there)
    return []


def _refuse_other_content(command: RecordReferral, asked: ReferralRecorded, there: ReferralRecorded) -> None:
    fields = ["partner_id", "via", "code", "touch_id", "company", "contact", "note"]
    if command.effective_at is not None:
        fields.append("effective_at")
    for field in fields:
        if getattr(asked, field) != getattr(there, field):
            by_reference = (
                field == "partner_id" and command.partner_id is None and command.partner is not None
            )
            pointer = "/partner" if by_reference else f"/{field}"
            raise ContentConflict(f"the referral was recorded with another {field}", pointer=pointer)


def reattribute(command: ReattributeCustomer, state: CustomerState, *, now: datetime) -> list[Fact]:
    """Finance decides; the same decision again is the same. Without a time only the last one can be."""
    checks.reference(command.customer, "/customer")
    checks.note(command.reason, "/reason")
    checks.shares([(share.partner_id, share.share_bps) for share in command.shares])
    decided = CustomerReattributed(
        program_id=command.program_id,
        customer=command.customer,
        shares=tuple(
            AttributionShare(partner_id=share.partner_id, share_bps=share.share_bps)
            for share in command.shares
        ),
        effective_at=checks.effective_at(command.effective_at or now, now),
        reason=command.reason,
    )
    # An earlier decision may come back after another one; only the last can be the same wish again.
    for before in state.reattributions[-1:]:
        same_time = command.effective_at is None or decided.effective_at == before.effective_at
        if same_time and decided.shares == before.shares and decided.reason == before.reason:
            return []
    return [decided]
