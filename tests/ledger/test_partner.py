"""Partners: each step of the application, suspensions in time, groups, payout accounts."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from ledger import partner, program
from ledger.commands import (
    ApplyAsPartner,
    ApprovePartner,
    AssignPartnerGroup,
    DeclinePartner,
    FileTaxForm,
    LinkPayoutAccount,
    PausePartnerPayouts,
    ReinstatePartner,
    ResumePartnerPayouts,
    ReviewPartner,
    SeePayoutAccount,
    SuspendPartner,
)
from ledger.events.base import Fact
from ledger.events.partner import (
    PartnerApplied,
    PartnerApproved,
    PartnerDeclined,
    PartnerGroupAssigned,
    PartnerLocaleChanged,
    PartnerPayoutsPaused,
    PartnerPayoutsResumed,
    PartnerReinstated,
    PartnerReviewStarted,
    PartnerSuspended,
    PayoutAccountChanged,
    PayoutAccountLinked,
)
from ledger.events.program import PartnerGroupCreated, ProgramCreated
from ledger.partner_commands import ChangePartnerLocale
from ledger.refusals import (
    AlreadyExists,
    IllegalTransition,
    InvalidField,
    NotFound,
    Refusal,
    UnknownPartner,
    UnknownProgram,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ID, PROGRAM = uuid4(), uuid4()
APPLY = ApplyAsPartner(reference="acme", name="Acme Ltd", email="hi@acme.example", country="GB")
APPLIED = PartnerApplied(reference="acme", name="Acme Ltd", email="hi@acme.example", country="GB")
APPROVED = PartnerApproved(note=None)
SUSPENDED = PartnerSuspended(reason="fraud?", effective_at=NOW)

REVIEW = ReviewPartner(partner_id=ID)
APPROVE = ApprovePartner(partner_id=ID)
DECLINE = DeclinePartner(partner_id=ID, reason="no fit")
SUSPEND = SuspendPartner(partner_id=ID, reason="fraud?")
REINSTATE = ReinstatePartner(partner_id=ID, reason="cleared")
HISTORIES: dict[str, list[Fact]] = {
    "applied": [APPLIED],
    "in_review": [APPLIED, PartnerReviewStarted(note=None)],
    "approved": [APPLIED, APPROVED],
    "declined": [APPLIED, PartnerDeclined(reason="no fit")],
    "suspended": [APPLIED, APPROVED, SUSPENDED],
}
STEPS: dict[tuple[str, Any], list[Fact]] = {
    ("applied", REVIEW): [PartnerReviewStarted(note=None)],
    ("applied", APPROVE): [PartnerApproved(note=None)],
    ("applied", DECLINE): [PartnerDeclined(reason="no fit")],
    ("in_review", REVIEW): [],
    ("in_review", APPROVE): [PartnerApproved(note=None)],
    ("in_review", DECLINE): [PartnerDeclined(reason="no fit")],
    ("approved", APPROVE): [],
    ("approved", SUSPEND): [SUSPENDED],
    ("declined", DECLINE): [],
    ("suspended", SUSPEND): [],
    ("suspended", REINSTATE): [PartnerReinstated(reason="cleared", effective_at=NOW)],
}


def replay(facts: Iterable[Fact]) -> Any:
    """The partner after facts."""
    state = partner.INITIAL
    for fact in facts:
        state = partner.evolve(state, fact)
    return state


def decide(given, wish, program_state=None):
    """Facts, a wish, new facts."""
    return partner.decide(wish, replay(given), now=NOW, program_state=program_state)


def test_a_partner_applies_once():
    """Global: one reference is one partner, in all programs."""
    assert decide([], APPLY) == [APPLIED]
    assert decide([APPLIED, APPROVED], APPLY) == []


@pytest.mark.parametrize("change", [{"name": "Acme Inc"}, {"email": None}, {"country": "FR"}])
def test_the_same_reference_with_other_content_names_the_field(change):
    """And changes nothing."""
    with pytest.raises(AlreadyExists) as refused:
        decide([APPLIED], msgspec.structs.replace(APPLY, **change))

    assert refused.value.pointer == f"/{next(iter(change))}"


@pytest.mark.parametrize(
    "change", [{"reference": "a\nb"}, {"name": "\t"}, {"email": "nobody"}, {"country": "gb"}]
)
def test_what_a_partner_can_t_be(change):
    """Each refusal points at its field."""
    with pytest.raises(InvalidField) as refused:
        decide([], msgspec.structs.replace(APPLY, **change))

    assert refused.value.pointer == f"/{next(iter(change))}"


@pytest.mark.parametrize(
    "wish", [REVIEW, APPROVE, DECLINE, SUSPEND, REINSTATE], ids=lambda w: type(w).__name__
)
@pytest.mark.parametrize("status", HISTORIES)
def test_each_step_leads_on_from_some_states_alone(status, wish):
    """Elsewhere it is refused, naming the state; the same step again is nothing new."""
    given = HISTORIES[status]
    assert replay(given).status == status

    if (status, wish) in STEPS:
        assert decide(given, wish) == STEPS[status, wish]
    else:
        with pytest.raises(IllegalTransition, match=status) as refused:
            decide(given, wish)
        assert refused.value.details == {"status": status}


def test_the_same_step_for_another_reason_is_refused():
    """What was said first stands."""
    with pytest.raises(IllegalTransition):
        decide(HISTORIES["suspended"], SuspendPartner(partner_id=ID, reason="other"))
    with pytest.raises(IllegalTransition):
        decide(HISTORIES["approved"], ApprovePartner(partner_id=ID, note="other"))


def test_reinstated_twice_is_reinstated_once():
    """For the same reason."""
    given = [*HISTORIES["suspended"], PartnerReinstated(reason="cleared", effective_at=NOW)]

    assert decide(given, REINSTATE) == []


def test_reasons_are_not_blank():
    """Nor made of control characters."""
    for reason in ("", " \n", "a\x00b"):
        with pytest.raises(InvalidField) as refused:
            decide(HISTORIES["approved"], SuspendPartner(partner_id=ID, reason=reason))
        assert refused.value.pointer == "/reason"


def test_nobody_can_be_reviewed():
    """An unknown partner has no state."""
    for wish in (REVIEW, SUSPEND, LinkPayoutAccount(partner_id=ID, destination="acct_1")):
        with pytest.raises(UnknownPartner):
            decide([], wish)


def test_a_partner_earns_outside_of_its_suspensions():
    """A suspension begins at its own time and ends before that of the reinstatement."""
    state = replay(
        [
            *HISTORIES["suspended"],
            PartnerReinstated(reason="r", effective_at=NOW + 2 * DAY),
            PartnerSuspended(reason="again", effective_at=NOW + 5 * DAY),
        ]
    )

    days = {day: partner.approved_at(state, NOW + day * DAY) for day in (-9, 0, 1, 2, 4, 5, 99)}

    assert days == {-9: True, 0: False, 1: False, 2: True, 4: True, 5: False, 99: False}


@pytest.mark.parametrize(
    ("status", "earns"),
    [("applied", False), ("in_review", False), ("declined", False), ("approved", True)],
)
def test_only_an_approved_partner_earns(status, earns):
    """Whenever; and nobody is no partner."""
    assert partner.approved_at(replay(HISTORIES[status]), NOW) is earns
    assert not partner.approved_at(None, NOW)


def test_groups_are_those_of_the_program():
    """In, over, out; the same again is nothing new."""
    created = ProgramCreated(reference="p", name="P", type="referral_network", currency="EUR")
    gold = PartnerGroupCreated(partner_group="gold", name="Gold")
    state: Any = program.evolve(program.evolve(None, created), gold)
    into = AssignPartnerGroup(partner_id=ID, program_id=PROGRAM, partner_group="gold")
    assigned = PartnerGroupAssigned(program_id=PROGRAM, partner_group="gold")
    out = AssignPartnerGroup(partner_id=ID, program_id=PROGRAM)

    assert decide([APPLIED], into, state) == [assigned]
    assert decide([APPLIED, assigned], into, state) == []
    assert decide([APPLIED], out, state) == []
    left = decide([APPLIED, assigned], out, state)
    assert replay([APPLIED, assigned, *left]).groups == {}
    with pytest.raises(NotFound) as refused:
        decide([APPLIED], msgspec.structs.replace(into, partner_group="silver"), state)
    assert refused.value.pointer == "/partner_group"
    with pytest.raises(UnknownProgram):
        decide([APPLIED], into, None)


def test_a_partner_has_a_language_or_none():
    """The same again is nothing new; what is no tag is refused."""
    german = ChangePartnerLocale(partner_id=ID, locale="de-AT")
    told = PartnerLocaleChanged(locale="de-AT")

    assert decide([APPLIED], german) == [told]
    assert decide([APPLIED, told], german) == []
    assert replay([APPLIED, told]).locale == "de-AT"
    none = decide([APPLIED, told], msgspec.structs.replace(german, locale=None))
    assert replay([APPLIED, told, *none]).locale is None
    for wrong in ("", "German", "de_AT", "DE", "de-at", "de-AT-x", "d", "de\n"):
        with pytest.raises(InvalidField) as refused:
            decide([APPLIED], msgspec.structs.replace(german, locale=wrong))
        assert refused.value.pointer == "/locale"


def test_money_goes_to_an_account_of_a_provider_we_know():
    """The newest account of a provider counts."""
    link = LinkPayoutAccount(partner_id=ID, destination="acct_1A")
    linked = PayoutAccountLinked(provider="stripe", destination="acct_1A")

    assert decide([APPLIED], link) == [linked]
    assert decide([APPLIED, linked], link) == []
    moved = decide([APPLIED, linked], msgspec.structs.replace(link, destination="acct_2B"))
    assert replay([APPLIED, linked, *moved]).payout_accounts == {"stripe": "acct_2B"}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"provider": "cheque"}, "/provider"),
        ({"destination": "ba_1"}, "/destination"),
        ({"destination": "acct_"}, "/destination"),
        ({"destination": "acct_1\n"}, "/destination"),
    ],
)
def test_money_goes_nowhere_else(change, pointer):
    """Each refusal points at its field."""
    wish = LinkPayoutAccount(partner_id=ID, destination="acct_1A")

    with pytest.raises(InvalidField) as refused:
        decide([APPLIED], msgspec.structs.replace(wish, **change))

    assert refused.value.pointer == pointer


def test_facts_of_other_rooms_change_nothing():
    """evolve never refuses, not even before there is a partner."""
    assert partner.evolve(None, APPROVED) is None
    assert partner.evolve(replay([APPLIED]), Fact()) == replay([APPLIED])
    reinstated = PartnerReinstated(reason="r", effective_at=NOW)
    assert partner.evolve(replay([APPLIED]), reinstated) == replay([APPLIED])


HOLD = PausePartnerPayouts(partner_id=ID, reason="address under review")
HELD = PartnerPayoutsPaused(cause="finance", reason="address under review", effective_at=NOW)
CLOSED = PartnerPayoutsPaused(cause="account_closed", reason="Stripe: closed", effective_at=NOW)
LIFT = ResumePartnerPayouts(partner_id=ID)


def test_payouts_are_held_for_a_reason_and_go_on_when_it_is_lifted():
    """Whatever the partner's status; the same again is nothing new, another reason is told."""
    other = msgspec.structs.replace(HOLD, reason="by the auditor")
    lifted = PartnerPayoutsResumed(cause="finance", effective_at=NOW)

    assert decide([APPLIED], HOLD) == [HELD]
    assert decide([APPLIED, HELD], HOLD) == []
    assert decide([APPLIED, HELD], other) == [msgspec.structs.replace(HELD, reason="by the auditor")]
    assert decide([APPLIED, HELD], LIFT) == [lifted]
    assert decide([APPLIED, HELD, lifted], LIFT) == []
    assert decide([APPLIED, HELD, lifted], HOLD) == [HELD]


def test_each_cause_is_lifted_by_itself():
    """A partner is paid again when none is left; who is held for two reasons is told both."""
    given = [APPLIED, HELD, CLOSED]
    lifted = PartnerPayoutsResumed(cause="finance", effective_at=NOW)

    assert partner.payouts_held(replay(given)) == (
        "address under review (finance); Stripe: closed (account closed)"
    )
    assert replay([*given, lifted]).payout_holds == {"account_closed": "Stripe: closed"}
    assert partner.payouts_held(replay([APPLIED])) is None


@pytest.mark.parametrize(
    "wish", [msgspec.structs.replace(HOLD, reason=" "), msgspec.structs.replace(LIFT, note="\x00")]
)
def test_a_hold_has_a_reason_of_text(wish):
    """Neither blank nor made of control characters."""
    with pytest.raises(InvalidField):
        decide([APPLIED, HELD], wish)


# How the account stands, and tax forms

SEE = SeePayoutAccount(
    partner_id=ID,
    provider="stripe",
    destination="acct_1",
    transfers_active=False,
    payouts_enabled=False,
    disabled_reason=None,
    currently_due=("external_account",),
    country="GB",
    default_currency="gbp",
    effective_at=NOW,
)
LINKED = PayoutAccountLinked(provider="stripe", destination="acct_1")
SEEN = PayoutAccountChanged(
    **{name: getattr(SEE, name) for name in PayoutAccountChanged.__struct_fields__}  # no field is left out
)
FILE = FileTaxForm(partner_id=ID, form="w-8ben", reference="vault/7", effective_at=NOW)


def test_a_look_at_the_account_is_stored_where_it_differs():
    """The same state at a later time says nothing new; another one does."""
    active = msgspec.structs.replace(SEE, transfers_active=True, effective_at=NOW + DAY)

    assert decide([APPLIED, LINKED], SEE) == [SEEN]
    assert decide([APPLIED, LINKED, SEEN], msgspec.structs.replace(SEE, effective_at=NOW + DAY)) == []
    [changed] = decide([APPLIED, LINKED, SEEN], active)
    assert (changed.transfers_active, changed.effective_at) == (True, NOW + DAY)


def test_a_look_that_comes_too_late_says_nothing():
    """Whoever looked first and was slow to tell does not undo what was seen since."""
    late = msgspec.structs.replace(SEE, transfers_active=True, effective_at=NOW - DAY)

    assert decide([APPLIED, LINKED, SEEN], late) == []


def test_only_the_linked_account_is_looked_at():
    """A new account begins with nothing seen."""
    moved = PayoutAccountLinked(provider="stripe", destination="acct_2")

    with pytest.raises(NotFound):
        decide([APPLIED, LINKED, moved], SEE)
    assert replay([APPLIED, LINKED, SEEN]).account_seen("stripe") == SEEN
    assert replay([APPLIED, LINKED, SEEN, moved]).account_seen("stripe") is None


def test_a_tax_form_is_filed_once_and_replaced_by_the_next():
    """With the day from which it counts no more."""
    [filed] = decide([APPLIED], FILE)
    again = msgspec.structs.replace(FILE, reference="vault/8")

    assert filed.expires_at == datetime(2030, 1, 1, tzinfo=UTC)
    assert decide([APPLIED, filed], FILE) == []
    [newer] = decide([APPLIED, filed], again)
    assert replay([APPLIED, filed, newer]).tax_forms == {"w-8ben": newer}


@pytest.mark.parametrize(
    "change", [{"reference": ""}, {"effective_at": NOW + DAY}], ids=["no place", "in the future"]
)
def test_a_form_that_can_t_be_filed(change):
    with pytest.raises(Refusal):
        decide([APPLIED], msgspec.structs.replace(FILE, **change))
