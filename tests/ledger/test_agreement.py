"""Agreements: which terms held at a time, whatever the order in which the steps were learned."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from ledger import agreement
from ledger.commands import AcceptAgreement, EndAgreement
from ledger.events.base import Fact
from ledger.events.partner import AgreementAccepted, AgreementEnded
from ledger.partner import PartnerState
from ledger.program import ProgramState, TermsVersion
from ledger.refusals import (
    ContentConflict,
    EffectiveTimeInFuture,
    IllegalTransition,
    InvalidField,
    NotFound,
    PartnerNotApproved,
    UnknownPartner,
    UnknownProgram,
    UnknownTermsVersion,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
PROGRAM_ID, PARTNER_ID = uuid4(), uuid4()
PROGRAM = ProgramState(
    reference="shop",
    name="Shop",
    type="revenue_share",
    currency="GBP",
    goals=(),
    landing_url=None,
    terms_versions=(
        TermsVersion(1, {}, NOW, None),
        TermsVersion(2, {}, NOW, "gold"),
        TermsVersion(3, {}, NOW, None),
    ),
)
PARTNER = PartnerState(reference="acme", name="Acme", email=None, country=None, status="approved")
ACCEPT = AcceptAgreement(
    program_id=PROGRAM_ID, partner_id=PARTNER_ID, terms_version=1, accepted_by="A. Person"
)
END = EndAgreement(program_id=PROGRAM_ID, partner_id=PARTNER_ID, reason="moved")


def accepted(number: int, at: datetime) -> AgreementAccepted:
    """A version was accepted."""
    return AgreementAccepted(
        program_id=PROGRAM_ID,
        partner_id=PARTNER_ID,
        terms_version=number,
        accepted_by="A. Person",
        effective_at=at,
    )


def ended(at: datetime) -> AgreementEnded:
    """The agreement was ended."""
    return AgreementEnded(reason="moved", effective_at=at)


def replay(facts: Iterable[Fact]) -> Any:
    """The agreement after facts."""
    state = agreement.INITIAL
    for fact in facts:
        state = agreement.evolve(state, fact)
    return state


def decide(given, wish, program_state: Any = PROGRAM, partner_state: Any = PARTNER):
    """Facts, a wish, new facts."""
    return agreement.decide(
        wish, replay(given), now=NOW, program_state=program_state, partner_state=partner_state
    )


def versions(*facts: Fact) -> list[int | None]:
    """What holds on the days from nine before to one after now."""
    state = replay(facts)
    return [agreement.terms_version_at(state, NOW + day * DAY) for day in range(-9, 2)]


def test_an_agreement_holds_from_its_time_on():
    """Or from now, where none is said."""
    assert decide([], ACCEPT) == [accepted(1, NOW)]
    back = msgspec.structs.replace(ACCEPT, effective_at=NOW - 1_000 * DAY)
    assert decide([], back) == [accepted(1, NOW - 1_000 * DAY)]
    assert agreement.terms_version_at(None, NOW) is None


def test_the_same_acceptance_again_is_the_same():
    """With its time; or without, when it is the last step. Even if the partner was suspended since."""
    given = [accepted(1, NOW - 9 * DAY)]
    suspended = msgspec.structs.replace(PARTNER, status="suspended")

    assert decide(given, ACCEPT) == []
    assert decide(given, msgspec.structs.replace(ACCEPT, effective_at=NOW - 9 * DAY)) == []
    assert decide(given, ACCEPT, partner_state=suspended) == []
    with pytest.raises(ContentConflict) as refused:
        decide(given, msgspec.structs.replace(ACCEPT, accepted_by="B. Person"))
    assert refused.value.pointer == "/accepted_by"


def test_a_newer_version_follows_an_older_one():
    """And an older one can follow a newer one."""
    given = [accepted(1, NOW - 9 * DAY), accepted(3, NOW - 2 * DAY)]

    assert versions(*given) == [1] * 7 + [3] * 4
    assert decide(given, ACCEPT) == [accepted(1, NOW)]


@pytest.mark.parametrize(
    ("steps", "holds"),
    [
        # Learned late, true early.
        ((accepted(3, NOW - 2 * DAY), accepted(1, NOW - 5 * DAY)), [None] * 4 + [1] * 3 + [3] * 4),
        # At one time the later word holds.
        ((accepted(1, NOW - 2 * DAY), accepted(3, NOW - 2 * DAY)), [None] * 7 + [3] * 4),
        ((accepted(1, NOW - 9 * DAY), ended(NOW - 2 * DAY)), [1] * 7 + [None] * 4),
        # Ended from the day on which it began: it never held.
        ((accepted(1, NOW - 9 * DAY), ended(NOW - 9 * DAY)), [None] * 11),
        # An end closes what was to come after it, too.
        (
            (accepted(1, NOW - 9 * DAY), accepted(3, NOW - 2 * DAY), ended(NOW - 4 * DAY)),
            [1] * 5 + [None] * 6,
        ),
        # Accepted again after the end, and before it.
        (
            (accepted(1, NOW - 9 * DAY), ended(NOW - 5 * DAY), accepted(1, NOW)),
            [1] * 4 + [None] * 5 + [1] * 2,
        ),
        (
            (accepted(1, NOW - 9 * DAY), ended(NOW - 5 * DAY), accepted(3, NOW - 7 * DAY)),
            [1] * 2 + [3] * 2 + [None] * 7,
        ),
    ],
)
def test_what_holds_at_a_time(steps, holds):
    """By effective time, not by the order of the words."""
    assert versions(*steps) == holds


@pytest.mark.parametrize(
    ("number", "group", "fits"), [(0, None, 0), (4, None, 0), (2, None, 0), (2, "gold", 1), (1, "gold", 1)]
)
def test_a_version_must_be_for_the_partner(number, group, fits):
    """For everybody, or for the partner's group in this program."""
    groups = {PROGRAM_ID: group} if group else {uuid4(): "gold"}
    member = msgspec.structs.replace(PARTNER, groups=groups)
    wish = msgspec.structs.replace(ACCEPT, terms_version=number)

    if fits:
        assert decide([], wish, partner_state=member) == [accepted(number, NOW)]
    else:
        with pytest.raises(UnknownTermsVersion) as refused:
            decide([], wish, partner_state=member)
        assert refused.value.pointer == "/terms_version"


@pytest.mark.parametrize("status", ["applied", "in_review", "declined", "suspended"])
def test_only_an_approved_partner_accepts(status):
    """The refusal names the state."""
    with pytest.raises(PartnerNotApproved, match=status):
        decide([], ACCEPT, partner_state=msgspec.structs.replace(PARTNER, status=status))


def test_an_agreement_needs_both_sides_a_time_in_reach_and_a_name():
    """Each refused by its own name."""
    with pytest.raises(UnknownProgram):
        decide([], ACCEPT, program_state=None)
    with pytest.raises(UnknownPartner):
        decide([], ACCEPT, partner_state=None)
    with pytest.raises(EffectiveTimeInFuture):
        decide([], msgspec.structs.replace(ACCEPT, effective_at=NOW + 3_000 * DAY))
    with pytest.raises(InvalidField) as refused:
        decide([], msgspec.structs.replace(ACCEPT, accepted_by=" "))
    assert refused.value.pointer == "/accepted_by"


def test_an_agreement_ends_once():
    """The same end again is the same; another one is refused."""
    given = [accepted(1, NOW - 9 * DAY)]
    at = NOW - DAY
    wish = msgspec.structs.replace(END, effective_at=at)

    assert decide(given, END) == [ended(NOW)]
    assert decide(given, wish) == [ended(at)]
    assert decide([*given, ended(at)], wish) == []
    assert decide([*given, ended(at)], END) == []
    assert replay([*given, ended(at)]).ended_at == at
    assert replay(given).ended_at is None
    with pytest.raises(IllegalTransition):
        decide([*given, ended(at)], msgspec.structs.replace(END, reason="other"))
    with pytest.raises(IllegalTransition):
        decide([*given, ended(at)], msgspec.structs.replace(END, effective_at=NOW))
    with pytest.raises(NotFound):
        decide([], END)


def test_facts_of_other_rooms_change_nothing():
    """evolve never refuses, not even before there is an agreement."""
    assert agreement.evolve(None, ended(NOW)) is None
    assert agreement.evolve(replay([accepted(1, NOW)]), Fact()) == replay([accepted(1, NOW)])
