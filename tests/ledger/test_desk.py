"""The desk on both databases: wishes in, facts and states out, the same wish again changes nothing."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID, uuid4

import msgspec
import pytest

from ledger import bank_commands, commands, ids, partner, partner_commands, payout_commands, refusals
from ledger.account import Holder, mature, reverse
from ledger.commands import (
    AcceptAgreement,
    ApplyAsPartner,
    ApprovePartner,
    AssignPartnerGroup,
    Command,
    ConversionCommand,
    CreatePartnerGroup,
    CreateProgram,
    EndAgreement,
    IssueApiKey,
    IssueReferralCode,
    LinkPayoutAccount,
    PublishTerms,
    ReattributeCustomer,
    RecordReferral,
    ReinstatePartner,
    RevokeApiKey,
    Share,
    SuspendPartner,
    TouchReferralLink,
    WriteOffClawback,
)
from ledger.desk import ACCOUNT, HANDLERS, Desk
from ledger.partner_commands import ChangePartnerLocale
from ledger.store.application import Change, Ledger
from ledger.store.database import Database

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
TERMS = {
    "language": 1,
    "rules": [{"kinds": ["sale"], "reward": {"rate_bps": 2000}}],
    "holding_days": 30,
    "attribution": {"model": "first_touch", "window_days": 90},
    "minimum_payout_minor": 0,
}
PROGRAM = ids.program_id("shop")
ACME, BOLT = ids.partner_id("acme"), ids.partner_id("bolt")


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock():
    """The ledger's clock."""
    return Clock()


@pytest.fixture
def desk(database_url, clock):
    """A desk with one program and two partners, of which acme is approved."""
    database = Database(database_url)
    ledger = Ledger(database, clock=clock)
    desk = Desk(ledger)
    for wish in (
        CreateProgram(reference="shop", name="Shop", type="revenue_share", currency="GBP"),
        PublishTerms(program_id=PROGRAM, terms=TERMS),
        CreatePartnerGroup(program_id=PROGRAM, partner_group="gold", name="Gold"),
        ApplyAsPartner(reference="acme", name="Acme Ltd"),
        ApplyAsPartner(reference="bolt", name="Bolt Ltd"),
        ApprovePartner(partner_id=ACME),
    ):
        desk.execute(wish, by="cli")
    yield desk
    ledger.close()
    database.close()


def told(desk: Desk, *wishes: Command) -> list:
    """What came of the wishes."""
    return [desk.execute(wish, by="cli") for wish in wishes]


def length(desk: Desk) -> int:
    """How many facts there are."""
    return len(desk.ledger.log.select_notifications(start=None, limit=1_000))


TWICE = [
    CreateProgram(reference="shop", name="Shop", type="revenue_share", currency="GBP"),
    PublishTerms(program_id=PROGRAM, terms=TERMS),
    PublishTerms(program_id=PROGRAM, terms=TERMS | {"holding_days": 7}, partner_group="gold"),
    CreatePartnerGroup(program_id=PROGRAM, partner_group="gold", name="Gold"),
    ApplyAsPartner(reference="acme", name="Acme Ltd"),
    ApprovePartner(partner_id=BOLT, note="fine"),
    SuspendPartner(partner_id=ACME, reason="fraud"),
    AssignPartnerGroup(partner_id=ACME, program_id=PROGRAM, partner_group="gold"),
    ChangePartnerLocale(partner_id=ACME, locale="de-AT"),
    LinkPayoutAccount(partner_id=ACME, destination="acct_1ABC"),
    AcceptAgreement(program_id=PROGRAM, partner_id=ACME, terms_version=1, accepted_by="A. Person"),
    IssueReferralCode(program_id=PROGRAM, partner_id=ACME, code="ACME-1"),
    RecordReferral(program_id=PROGRAM, customer="c1", partner="acme", note="met at a fair"),
    RecordReferral(program_id=PROGRAM, customer="c1", partner_id=ACME, reference="crm-7"),
    ReattributeCustomer(
        program_id=PROGRAM,
        customer="c1",
        shares=(Share(partner_id=ACME, share_bps=4_000), Share(partner_id=BOLT, share_bps=6_000)),
        reason="agreed on the phone",
    ),
]


@pytest.mark.parametrize("wish", TWICE, ids=lambda wish: type(wish).__name__)
def test_the_same_wish_again_answers_the_same_and_adds_nothing(desk, clock, wish):
    """However much later it comes."""
    first = desk.execute(wish, by="cli")
    facts = length(desk)
    clock.now += timedelta(days=2)

    again = desk.execute(wish, by="key:other")

    assert (again.id, again.state) == (first.id, first.state)
    assert not again.new
    assert again.recorded == ()
    assert length(desk) == facts


def test_every_wish_but_those_of_other_rooms_is_on_the_contents_page():
    """Conversions come in through ledger.intake, payouts through the room of that name."""
    elsewhere = {
        *get_args(ConversionCommand),
        commands.DraftPayouts,
        commands.ApprovePayouts,
        commands.CancelPayouts,
        commands.CancelPayout,
        commands.ResolvePayout,
        bank_commands.TellBankOutcome,
        bank_commands.WithdrawBankRejection,
        Share,
    }
    wishes = {
        value
        for module in (commands, partner_commands, payout_commands, bank_commands)
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Command) and not name.startswith("_")
    }

    assert set(HANDLERS) == wishes - elsewhere - {Command}


def test_an_outcome_says_what_was_recorded_and_by_whom(desk):
    """The envelopes carry the author, the time and the position in the log."""
    outcome = desk.execute(ApplyAsPartner(reference="new", name="New Ltd"), by="key:k1")

    [recorded] = outcome.recorded
    assert outcome.new
    assert outcome.id == ids.partner_id("new")
    assert (recorded.by, recorded.recorded_at) == ("key:k1", START)
    assert recorded.position > 0
    assert outcome.state == desk.partner(outcome.id)


def test_terms_answer_with_their_version(desk):
    """The version that was published, or that is the same already, not merely the newest."""
    dated = START - timedelta(days=30)
    wishes = [
        PublishTerms(program_id=PROGRAM, terms=TERMS, effective_at=dated),
        PublishTerms(program_id=PROGRAM, terms=TERMS | {"holding_days": 0}),
        PublishTerms(program_id=PROGRAM, terms=TERMS, effective_at=dated),
    ]

    versions = [outcome.state.terms_version for outcome in told(desk, *wishes)]

    assert versions == [2, 3, 2]


def test_an_agreement_is_for_an_approved_partner_of_the_version_s_group(desk):
    """bolt is not approved; version 2 is for gold partners alone."""
    told(desk, PublishTerms(program_id=PROGRAM, terms=TERMS, partner_group="gold"))
    accept = AcceptAgreement(program_id=PROGRAM, partner_id=ACME, terms_version=2, accepted_by="A")

    with pytest.raises(refusals.PartnerNotApproved):
        told(desk, AcceptAgreement(program_id=PROGRAM, partner_id=BOLT, terms_version=1, accepted_by="B"))
    with pytest.raises(refusals.UnknownTermsVersion) as refused:
        told(desk, accept)
    told(desk, AssignPartnerGroup(partner_id=ACME, program_id=PROGRAM, partner_group="gold"), accept)

    assert refused.value.pointer == "/terms_version"
    assert desk.agreement(PROGRAM, ACME).timeline[0].terms_version == 2


def test_suspension_and_end_take_their_time_from_the_clock(desk, clock):
    """Where the wish names none."""
    clock.now = START + timedelta(days=1)
    told(desk, SuspendPartner(partner_id=ACME, reason="look"))
    clock.now = START + timedelta(days=2)
    told(desk, ReinstatePartner(partner_id=ACME, reason="fine"))
    accept = AcceptAgreement(program_id=PROGRAM, partner_id=ACME, terms_version=1, accepted_by="A")
    told(desk, accept, EndAgreement(program_id=PROGRAM, partner_id=ACME, reason="moved"))

    state = desk.partner(ACME)
    assert partner.approved_at(state, START)
    assert not partner.approved_at(state, START + timedelta(days=1))
    assert partner.approved_at(state, START + timedelta(days=2))
    assert desk.agreement(PROGRAM, ACME).ended_at == START + timedelta(days=2)


def test_a_referral_by_touch_is_true_when_the_link_was_followed(desk, clock):
    """The touch's own time, not the time of the registration that brings it."""
    touch_id = uuid4()
    told(desk, IssueReferralCode(program_id=PROGRAM, partner_id=ACME, code="ACME-1"))
    desk.execute(TouchReferralLink(touch_id=touch_id, code="ACME-1"), by="link")
    clock.now += timedelta(days=3)

    wish = RecordReferral(program_id=PROGRAM, customer="c1", via="link", touch_id=touch_id)
    outcome = desk.execute(wish, by="cli")

    assert outcome.state.effective_at == START
    assert outcome.state.partner_id == ACME
    assert desk.customer(PROGRAM, "c1").referrals == {outcome.id: outcome.state}


UNKNOWN = [
    (PublishTerms(program_id=uuid4(), terms=TERMS), "/program_id"),
    (ApprovePartner(partner_id=uuid4()), "/partner_id"),
    (AssignPartnerGroup(partner_id=ACME, program_id=PROGRAM, partner_group="none"), "/partner_group"),
    (PublishTerms(program_id=PROGRAM, terms=TERMS, partner_group="none"), "/partner_group"),
    (EndAgreement(program_id=PROGRAM, partner_id=ACME, reason="none there"), "/partner_id"),
    (IssueReferralCode(program_id=uuid4(), partner_id=ACME, code="AA"), "/program_id"),
    (IssueReferralCode(program_id=PROGRAM, partner_id=uuid4(), code="AA"), "/partner_id"),
    (TouchReferralLink(touch_id=uuid4(), code="none"), "/code"),
    (RecordReferral(program_id=uuid4(), customer="c", partner="acme"), "/program_id"),
    (RecordReferral(program_id=PROGRAM, customer="c", partner="none"), "/partner"),
    (RecordReferral(program_id=PROGRAM, customer="c", partner_id=uuid4()), "/partner_id"),
    (RecordReferral(program_id=PROGRAM, customer="c", code="none"), "/code"),
    (RecordReferral(program_id=PROGRAM, customer="c", touch_id=uuid4()), "/touch_id"),
    (
        ReattributeCustomer(
            program_id=PROGRAM,
            customer="c",
            shares=(Share(partner_id=ACME, share_bps=5_000), Share(partner_id=UUID(int=7), share_bps=5_000)),
            reason="r",
        ),
        "/shares/1/partner_id",
    ),
    (IssueApiKey(name="k", scopes=("partner:read",), partner_id=uuid4()), "/partner_id"),
    (RevokeApiKey(key_id=uuid4()), "/key_id"),
]


@pytest.mark.parametrize(("wish", "pointer"), UNKNOWN, ids=lambda value: str(type(value).__name__))
def test_what_does_not_exist_is_named_and_nothing_is_stored(desk, wish, pointer):
    """Every refusal is a NotFound with the field that names what is missing."""
    facts = length(desk)

    with pytest.raises(refusals.NotFound) as refused:
        desk.execute(wish, by="cli")

    assert refused.value.pointer == pointer
    assert length(desk) == facts


def test_a_clawback_is_written_off_up_to_what_is_owed(desk):
    """In the program's currency; the rest stays owed."""
    holder = Holder(PROGRAM, ACME, "GBP")
    stream = ids.account_id(PROGRAM, ACME, "GBP")
    conversion, reward = uuid4(), uuid4()
    about: dict[str, Any] = {"reward_id": reward, "conversion_id": conversion, "effective_at": START}
    ledger = desk.ledger
    state = ledger.load(stream, ACCOUNT).state
    facts = mature(state, holder, amount_minor=100, **about)
    ledger.append([Change(stream, 0, facts)], by="engine")
    matured = ledger.load(stream, ACCOUNT).state
    facts = reverse(matured, holder, amount_minor=150, reason="refund", cause_position=1, **about)
    ledger.append([Change(stream, 1, facts)], by="engine")
    wish: dict[str, Any] = {"program_id": PROGRAM, "partner_id": ACME, "reason": "small"}

    first = WriteOffClawback(write_off_id=uuid4(), currency="GBP", amount_minor=20, **wish)
    outcome = desk.execute(first, by="cli")
    again = desk.execute(first, by="cli")

    assert (outcome.new, outcome.state.clawback_minor) == (True, 30)
    assert (again.new, again.state.clawback_minor) == (False, 30)
    with pytest.raises(refusals.ContentConflict):
        told(desk, msgspec.structs.replace(first, amount_minor=21))
    for currency, amount, refusal in (
        ("GBP", 31, refusals.InsufficientBalance),
        ("EUR", 1, refusals.WrongCurrency),
        ("GBP", -1, refusals.InvalidField),
    ):
        with pytest.raises(refusal):
            told(
                desk,
                WriteOffClawback(write_off_id=uuid4(), currency=currency, amount_minor=amount, **wish),
            )


def test_a_key_opens_until_it_is_revoked(desk):
    """Its token is told once; neither token nor secret is in the log."""
    outcome = desk.execute(IssueApiKey(name="ci", scopes=("conversions:write",)), by="cli")
    token = outcome.secret
    secret = token[len("rs_") + 33 :]

    assert desk.authenticate(token) == outcome.state
    assert desk.authenticate(token[:-1] + ("A" if token[-1] != "A" else "B")) is None
    assert desk.authenticate(f"rs_{uuid4().hex}_{secret}") is None
    assert desk.authenticate("rs_") is None
    assert desk.authenticate(token + "\n") is None
    stored = desk.ledger.log.select_notifications(start=None, limit=1_000)
    assert not any(secret.encode() in event.state for event in stored)

    told(desk, RevokeApiKey(key_id=outcome.id, reason="leaked"), RevokeApiKey(key_id=outcome.id))

    assert desk.authenticate(token) is None
    assert desk.api_key(outcome.id).revoked


def test_who_has_no_key_makes_us_read_one_fact_at_the_most(desk, monkeypatch):
    """Whatever stream a made-up token names, and however wrong its secret is."""
    issued = desk.execute(IssueApiKey(name="ci", scopes=("admin",)), by="cli")
    told(desk, RevokeApiKey(key_id=issued.id))
    assert len(desk.ledger.history(ACME)) > 1
    assert len(desk.ledger.history(issued.id)) > 1
    select, read = desk.ledger.log.select_events, []

    def counted(*args, **kwargs):
        found = select(*args, **kwargs)
        read.append(len(found))
        return found

    monkeypatch.setattr(desk.ledger.log, "select_events", counted)

    for stream in (ACME, issued.id, uuid4()):
        assert desk.authenticate(f"rs_{stream.hex}_{'A' * 43}") is None

    assert read == [1, 1, 0]
