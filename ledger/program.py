"""Programs: what partners join, with numbered versions of its terms and groups of partners."""

from datetime import datetime
from typing import Any, Final, assert_never

import msgspec

from ledger import checks, payout_settings, terms, withholding
from ledger.commands import CreatePartnerGroup, CreateProgram, PublishTerms
from ledger.events.base import Fact
from ledger.events.program import (
    PartnerGroupCreated,
    PayoutSettingsChanged,
    ProgramCreated,
    ProgramType,
    TermsVersionPublished,
    WithholdingRemitted,
)
from ledger.payout_commands import ChangePayoutSettings, RecordWithholdingRemitted
from ledger.payout_settings import PayoutSettings
from ledger.refusals import AlreadyExists, NotFound, UnknownProgram

PayoutsCommand = ChangePayoutSettings | RecordWithholdingRemitted
ProgramCommand = CreateProgram | PublishTerms | CreatePartnerGroup | PayoutsCommand


class TermsVersion(msgspec.Struct, frozen=True):
    """A published version of the terms: for everybody, or for one group."""

    terms_version: int
    terms: dict[str, Any]
    effective_at: datetime
    partner_group: str | None


class PartnerGroup(msgspec.Struct, frozen=True):
    """A group of partners."""

    partner_group: str
    name: str


class ProgramState(msgspec.Struct, frozen=True, kw_only=True):
    """A program as its facts made it. `terms_versions` stand by number: version n is at index n - 1.

    What was withheld from payouts up to `withholding_remitted_through` is with the tax office.
    """

    reference: str
    name: str
    type: ProgramType
    currency: str
    goals: tuple[str, ...]
    landing_url: str | None
    terms_versions: tuple[TermsVersion, ...] = ()
    groups: tuple[PartnerGroup, ...] = ()
    payouts: PayoutSettings = payout_settings.NONE
    withholding_remitted_through: datetime | None = None


INITIAL: Final[ProgramState | None] = None


def evolve(state: ProgramState | None, fact: Fact) -> ProgramState | None:
    """The program after a fact."""
    match fact:
        case ProgramCreated():
            return ProgramState(
                reference=fact.reference,
                name=fact.name,
                type=fact.type,
                currency=fact.currency,
                goals=fact.goals,
                landing_url=fact.landing_url,
            )
        case TermsVersionPublished() if state is not None:
            version = TermsVersion(fact.terms_version, fact.terms, fact.effective_at, fact.partner_group)
            return msgspec.structs.replace(state, terms_versions=(*state.terms_versions, version))
        case PartnerGroupCreated() if state is not None:
            group = PartnerGroup(fact.partner_group, fact.name)
            return msgspec.structs.replace(state, groups=(*state.groups, group))
        case PayoutSettingsChanged() if state is not None:
            return msgspec.structs.replace(state, payouts=payout_settings.evolve(state.payouts, fact))
        case WithholdingRemitted() if state is not None:
            return msgspec.structs.replace(state, withholding_remitted_through=fact.through)
        case _:
            return state


def group(state: ProgramState, partner_group: str) -> PartnerGroup | None:
    """The group of this name."""
    return next((g for g in state.groups if g.partner_group == partner_group), None)


def terms_version(state: ProgramState, number: int) -> TermsVersion | None:
    """The version of this number."""
    return state.terms_versions[number - 1] if 0 < number <= len(state.terms_versions) else None


def published(state: ProgramState, command: PublishTerms) -> TermsVersion | None:
    """The version that already is what is asked for.

    Without `effective_at` only the newest version for the same partners can be: older ones may come back.
    """
    same = [v for v in state.terms_versions if v.partner_group == command.partner_group]
    if command.effective_at is None:
        same = same[-1:]
    for version in reversed(same):
        if version.terms == command.terms and command.effective_at in (None, version.effective_at):
            return version
    return None


def decide(command: ProgramCommand, state: ProgramState | None, *, now: datetime) -> list[Fact]:
    """The facts that grant a wish about a program; none where it was granted before."""
    match command:
        case CreateProgram():
            return _create(command, state)
        case PublishTerms():
            return _publish(command, known(state), now)
        case CreatePartnerGroup():
            return _create_group(command, known(state))
        case ChangePayoutSettings():
            return payout_settings.change(command, known(state).payouts, now)
        case RecordWithholdingRemitted():
            return withholding.remit(command, known(state).withholding_remitted_through, now)
        case _:
            assert_never(command)


def known(state: ProgramState | None) -> ProgramState:
    """The program, or UnknownProgram."""
    if state is None:
        raise UnknownProgram("there is no such program", pointer="/program_id")
    return state


def _create(command: CreateProgram, state: ProgramState | None) -> list[Fact]:
    created = ProgramCreated(
        reference=checks.reference(command.reference, "/reference"),
        name=checks.name(command.name, "/name"),
        type=command.type,
        currency=checks.currency(command.currency, "/currency"),
        goals=checks.goals(command.goals),
        landing_url=checks.landing_url(command.landing_url, "/landing_url"),
    )
    if state is None:
        return [created]
    for field in ("name", "type", "currency", "goals", "landing_url"):
        if getattr(state, field) != getattr(created, field):
            raise AlreadyExists(f"program {state.reference} exists with another {field}", pointer=f"/{field}")
    return []


def _publish(command: PublishTerms, state: ProgramState, now: datetime) -> list[Fact]:
    effective_at = checks.holds_from(command.effective_at or now, now)
    if command.partner_group is not None and group(state, command.partner_group) is None:
        raise NotFound(f"the program has no group {command.partner_group}", pointer="/partner_group")
    terms.load(command.terms)
    if published(state, command) is not None:
        return []
    return [
        TermsVersionPublished(
            terms_version=len(state.terms_versions) + 1,
            terms=command.terms,
            effective_at=effective_at,
            partner_group=command.partner_group,
        )
    ]


def _create_group(command: CreatePartnerGroup, state: ProgramState) -> list[Fact]:
    created = PartnerGroupCreated(
        partner_group=checks.reference(command.partner_group, "/partner_group"),
        name=checks.name(command.name, "/name"),
    )
    there = group(state, command.partner_group)
    if there is None:
        return [created]
    if there.name != command.name:
        raise AlreadyExists(f"group {there.partner_group} exists with another name", pointer="/name")
    return []
