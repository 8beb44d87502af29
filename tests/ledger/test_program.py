"""Programs: created once, terms numbered and never changed, groups."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from ledger import program
from ledger.commands import CreatePartnerGroup, CreateProgram, PublishTerms
from ledger.events.base import Fact
from ledger.events.program import PartnerGroupCreated, ProgramCreated, TermsVersionPublished
from ledger.refusals import (
    AlreadyExists,
    EffectiveTimeInFuture,
    InvalidField,
    InvalidTerms,
    NotFound,
    UnknownProgram,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EARLIER = NOW - timedelta(days=100)
ID = uuid4()
TERMS = {
    "language": 1,
    "rules": [{"kinds": ["sale"], "reward": {"rate_bps": 2000}}],
    "holding_days": 30,
    "attribution": {"model": "first_touch", "window_days": 90},
    "minimum_payout_minor": 0,
}
OTHER = TERMS | {"holding_days": 14}
CREATE = CreateProgram(reference="shop", name="Shop", type="revenue_share", currency="GBP", goals=("growth",))
CREATED = ProgramCreated(
    reference="shop", name="Shop", type="revenue_share", currency="GBP", goals=("growth",)
)
GOLD = PartnerGroupCreated(partner_group="gold", name="Gold")


def published(number, terms=TERMS, effective_at=NOW, group=None):
    """A version of the terms."""
    return TermsVersionPublished(
        terms_version=number, terms=terms, effective_at=effective_at, partner_group=group
    )


def replay(facts: Iterable[Fact]) -> Any:
    """The program after facts."""
    state = program.INITIAL
    for fact in facts:
        state = program.evolve(state, fact)
    return state


def decide(given, wish, now=NOW):
    """Facts, a wish, new facts."""
    return program.decide(wish, replay(given), now=now)


def publish(terms=TERMS, effective_at=None, group=None):
    """A wish for a version."""
    return PublishTerms(program_id=ID, terms=terms, effective_at=effective_at, partner_group=group)


def test_a_program_is_created_once():
    """The same again is nothing new."""
    assert decide([], CREATE) == [CREATED]
    assert decide([CREATED], CREATE) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Store"),
        ("type", "strategic_alliance"),
        ("currency", "EUR"),
        ("goals", ()),
        ("landing_url", "https://shop.example"),
    ],
)
def test_the_same_reference_with_other_content_names_the_field(field, value):
    """And changes nothing."""
    with pytest.raises(AlreadyExists) as refused:
        decide([CREATED], msgspec.structs.replace(CREATE, **{field: value}))

    assert refused.value.pointer == f"/{field}"


@pytest.mark.parametrize(
    ("field", "value", "pointer"),
    [
        ("reference", "", "/reference"),
        ("name", "  ", "/name"),
        ("currency", "XYZ", "/currency"),
        ("goals", ("growth", " "), "/goals/1"),
        ("goals", ("growth", "growth"), "/goals/1"),
        ("goals", tuple(f"goal {n}" for n in range(21)), "/goals"),
        ("landing_url", "javascript:alert(1)", "/landing_url"),
    ],
)
def test_what_a_program_can_t_be(field, value, pointer):
    """Each refusal points at its field."""
    with pytest.raises(InvalidField) as refused:
        decide([], msgspec.structs.replace(CREATE, **{field: value}))

    assert refused.value.pointer == pointer


def test_versions_are_numbered_over_all_groups():
    """1, 2, 3: a number means one document."""
    given = [CREATED, GOLD, published(1), published(2, group="gold")]

    assert decide(given, publish(OTHER)) == [published(3, OTHER)]
    second: Any = program.terms_version(replay(given), 2)
    assert second.partner_group == "gold"
    assert [program.terms_version(replay(given), n) for n in (0, 3, -1)] == [None] * 3


def test_terms_hold_from_now_where_no_time_is_said():
    """A time is kept in UTC."""
    east = timezone(timedelta(hours=9))

    assert decide([CREATED], publish()) == [published(1)]
    [fact] = decide([CREATED], publish(effective_at=EARLIER.astimezone(east)))
    assert fact == published(1, effective_at=EARLIER)
    assert fact.effective_at.tzinfo is UTC


def test_the_same_terms_for_the_same_partners_are_the_same_version():
    """With the same time; or without one, when they are the newest."""
    given = [CREATED, GOLD, published(1, effective_at=EARLIER)]

    assert decide(given, publish(effective_at=EARLIER)) == []
    assert decide(given, publish()) == []
    assert decide(given, publish(effective_at=NOW)) == [published(2)]
    assert decide(given, publish(group="gold")) == [published(2, group="gold")]


def test_older_terms_can_come_back():
    """As a new version, since another one was published in between."""
    given = [CREATED, published(1, effective_at=EARLIER), published(2, OTHER)]

    assert decide(given, publish()) == [published(3)]
    assert decide(given, publish(effective_at=EARLIER)) == []
    first: Any = program.published(replay(given), publish(effective_at=EARLIER))
    assert first.terms_version == 1


def test_terms_are_validated_whole():
    """Every mistake with its path."""
    with pytest.raises(InvalidTerms) as refused:
        decide([CREATED], publish(TERMS | {"language": 7, "holding_days": "x"}))

    assert {error["pointer"] for error in refused.value.errors} == {"/language", "/holding_days"}


def test_terms_need_program_group_and_a_time_in_reach():
    """They may be published some years before they hold, and not before the epoch."""
    with pytest.raises(UnknownProgram):
        decide([], publish())
    with pytest.raises(NotFound) as refused:
        decide([CREATED], publish(group="gold"))
    assert refused.value.pointer == "/partner_group"
    with pytest.raises(EffectiveTimeInFuture) as refused_time:
        decide([CREATED], publish(effective_at=NOW + timedelta(days=3_000)))
    assert refused_time.value.pointer == "/effective_at"
    assert len(decide([CREATED], publish(effective_at=NOW + timedelta(days=300)))) == 1


def test_a_group_is_made_once():
    """Another name for it is refused."""
    wish = CreatePartnerGroup(program_id=ID, partner_group="gold", name="Gold")

    assert decide([CREATED], wish) == [GOLD]
    assert decide([CREATED, GOLD], wish) == []
    with pytest.raises(AlreadyExists):
        decide([CREATED, GOLD], msgspec.structs.replace(wish, name="Golden"))
    with pytest.raises(UnknownProgram):
        decide([], wish)


def test_facts_of_other_rooms_change_nothing():
    """evolve never refuses, not even before there is a program."""
    assert program.evolve(None, GOLD) is None
    assert program.evolve(replay([CREATED]), Fact()) == replay([CREATED])
