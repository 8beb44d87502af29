"""Agreements: the version of a program's terms that a partner accepted, from when, until when."""

from datetime import datetime
from typing import Final, assert_never
from uuid import UUID

import msgspec

from ledger import checks, partner, program
from ledger.commands import AcceptAgreement, EndAgreement
from ledger.events.base import Fact
from ledger.events.partner import AgreementAccepted, AgreementEnded
from ledger.refusals import (
    ContentConflict,
    IllegalTransition,
    NotFound,
    PartnerNotApproved,
    UnknownTermsVersion,
)


class Acceptance(msgspec.Struct, frozen=True):
    """A version of the terms that holds from `effective_at`, until the next step of the agreement."""

    effective_at: datetime
    terms_version: int
    accepted_by: str


class End(msgspec.Struct, frozen=True):
    """Nothing holds from `effective_at`, until a later acceptance."""

    effective_at: datetime
    reason: str


class AgreementState(msgspec.Struct, frozen=True, kw_only=True):
    """An agreement as its facts made it; `timeline` is in the order in which its steps hold."""

    program_id: UUID
    partner_id: UUID
    timeline: tuple[Acceptance | End, ...]

    @property
    def ended_at(self) -> datetime | None:
        """Since when the agreement is over; None while it is not."""
        last = self.timeline[-1]
        return last.effective_at if isinstance(last, End) else None


INITIAL: Final[AgreementState | None] = None


def evolve(state: AgreementState | None, fact: Fact) -> AgreementState | None:
    """The agreement after a fact."""
    match fact:
        case AgreementAccepted():
            accepted = Acceptance(fact.effective_at, fact.terms_version, fact.accepted_by)
            before = () if state is None else state.timeline
            # The sort is stable: of two steps at one time the one that was learned later holds.
            timeline = tuple(sorted((*before, accepted), key=lambda step: step.effective_at))
            return AgreementState(program_id=fact.program_id, partner_id=fact.partner_id, timeline=timeline)
        case AgreementEnded() if state is not None:
            # An end closes what was to come after it, too.
            kept = (step for step in state.timeline if step.effective_at < fact.effective_at)
            ended = (*kept, End(fact.effective_at, fact.reason))
            return msgspec.structs.replace(state, timeline=ended)
        case _:
            return state


def terms_version_at(state: AgreementState | None, when: datetime) -> int | None:
    """The version of the terms that holds at a time; None before, after and without an agreement."""
    holds: Acceptance | End | None = None
    for step in () if state is None else state.timeline:
        if step.effective_at > when:
            break
        holds = step
    return holds.terms_version if isinstance(holds, Acceptance) else None


def decide(
    command: AcceptAgreement | EndAgreement,
    state: AgreementState | None,
    *,
    now: datetime,
    program_state: program.ProgramState | None = None,
    partner_state: partner.PartnerState | None = None,
) -> list[Fact]:
    """The facts that grant a wish about an agreement; none where it was granted before."""
    match command:
        case AcceptAgreement():
            return _accept(command, state, now, program.known(program_state), partner.known(partner_state))
        case EndAgreement():
            return _end(command, state, now)
        case _:
            assert_never(command)


def _accept(
    command: AcceptAgreement,
    state: AgreementState | None,
    now: datetime,
    program_state: program.ProgramState,
    partner_state: partner.PartnerState,
) -> list[Fact]:
    effective_at = checks.holds_from(command.effective_at or now, now)
    checks.name(command.accepted_by, "/accepted_by")
    same = _accepted(command, state)
    if same is not None:
        if same.accepted_by != command.accepted_by:
            raise ContentConflict(f"was accepted by {same.accepted_by}", pointer="/accepted_by")
        return []
    version = program.terms_version(program_state, command.terms_version)
    group = partner_state.groups.get(command.program_id)
    if version is None or version.partner_group not in (None, group):
        raise UnknownTermsVersion(
            f"the program has no terms_version {command.terms_version} for this partner",
            pointer="/terms_version",
        )
    if partner_state.status != "approved":
        raise PartnerNotApproved(f"the partner is {partner_state.status}", pointer="/partner_id")
    return [
        AgreementAccepted(
            program_id=command.program_id,
            partner_id=command.partner_id,
            terms_version=command.terms_version,
            accepted_by=command.accepted_by,
            effective_at=effective_at,
        )
    ]


def _accepted(command: AcceptAgreement, state: AgreementState | None) -> Acceptance | None:
    """The step that already is what is asked for; without a time only the last one can be."""
    steps = () if state is None else state.timeline
    for step in steps[-1:] if command.effective_at is None else reversed(steps):
        if (
            isinstance(step, Acceptance)
            and step.terms_version == command.terms_version
            and command.effective_at in (None, step.effective_at)
        ):
            return step
    return None


def _end(command: EndAgreement, state: AgreementState | None, now: datetime) -> list[Fact]:
    effective_at = checks.holds_from(command.effective_at or now, now)
    checks.note(command.reason, "/reason")
    if state is None:
        raise NotFound("the partner has no agreement with the program", pointer="/partner_id")
    last = state.timeline[-1]
    if isinstance(last, Acceptance):
        return [AgreementEnded(reason=command.reason, effective_at=effective_at)]
    if last.reason == command.reason and command.effective_at in (None, last.effective_at):
        return []
    raise IllegalTransition(f"the agreement ended at {last.effective_at.isoformat()} already", status="ended")
