"""Why a number is what it is: from a reward down to the facts, each with its place in the audit log."""

from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger import ids
from ledger.audit.notes import Signer
from ledger.events.base import Fact
from ledger.events.referral import ReferralRecorded
from ledger.events.reward import RewardAccrued
from ledger.refusals import NotFound
from ledger.store.mapper import fact_types
from projections.audit_log import Sequencer
from projections.checkpoints import CheckpointMaker
from projections.runner import Runner
from projections.why import Because, Proof, Why
from projections.why_words import says
from tests.support.stored_events import sample
from tests.support.world import World, day


@pytest.fixture
def world(database_url):
    """A partner who brought a customer before a sale, and another one after it."""
    made = World(database_url)
    made.program()
    made.now = day(5)
    made.touch("customer", made.partner("brightside"), day(-1))
    made.touch("customer", made.partner("shade"), day(4))
    made.send(made.sale("order", "customer", 10_000, day(0)))
    made.engine.drain()
    yield made
    made.close()


def ask(world, kind, id_: UUID) -> Because:
    Runner(world.ledger).catch_up()
    with world.database.read() as connection:
        return getattr(Why(world.ledger, connection), kind)(id_)


def told(because: Because) -> list[tuple[str, str]]:
    """What stands right below: role and fact."""
    return [(each.role, each.fact) for each in because.because]


def reward_id(world) -> UUID:
    [accrued] = world.facts(RewardAccrued)
    return accrued.reward_id


def test_a_reward_rests_on_its_sale_its_partner_and_the_terms(world):
    found = ask(world, "reward", reward_id(world))

    assert (found.fact, found.words["amount_minor"]) == ("RewardAccrued", 2_000)
    assert found.says.startswith("20.00 GBP: ")
    assert told(found) == [
        ("conversion", "ConversionRecorded"),
        ("attribution", "ReferralRecorded"),
        ("agreement", "AgreementAccepted"),
        ("terms", "TermsVersionPublished"),
    ]
    assert "100.00 GBP" in found.because[0].says
    assert found.because[1].words["partner_id"] == found.words["partner_id"]


def test_what_was_taken_back_stands_with_its_causes(world):
    world.send(world.refund("order", "held", 2_500, day(2)))
    world.engine.drain()
    world.now = day(40)
    world.engine.drain()
    world.send(world.refund("order", "late", 2_500, day(39)))
    world.engine.drain()

    found = ask(world, "reward", reward_id(world))

    assert [each for each in told(found) if each[0] in ("about", "life")] == [
        ("about", "ConversionRefunded"),
        ("about", "ConversionRefunded"),
        ("life", "RewardReversed"),
        ("life", "RewardMatured"),
        ("life", "MaturedRewardReversed"),
    ]
    positions = [each.position for each in found.because if each.role == "life"]
    assert positions == sorted(positions)


def test_each_reversal_names_the_refund_that_led_to_it(world):
    for name, at in [("first", day(2)), ("second", day(3))]:
        world.send(world.refund("order", name, 2_500, at))
        world.engine.drain()

    found = ask(world, "reward", reward_id(world))

    reversed_ = [each for each in found.because if each.fact == "RewardReversed"]
    assert [told(each) for each in reversed_] == [[("cause", "ConversionRefunded")]] * 2
    assert [each.because[0].words["refund_id"] for each in reversed_] == ["first", "second"]


def test_a_reward_that_went_to_somebody_else_names_the_decision(world):
    shade = next(each.partner_id for each in world.facts(ReferralRecorded) if each.effective_at == day(4))
    [lost] = [reward_id(world)]
    world.reattribute("customer", {shade: 10_000}, day(-2))
    world.engine.drain()

    found = ask(world, "reward", lost)

    [reversed_] = [each for each in found.because if each.fact == "RewardReversed"]
    assert told(reversed_) == [("cause", "CustomerReattributed")]


def test_a_sale_that_earned_nothing_at_first_tells_so_beside_its_reward(world):
    world.send(world.sale("early", "latecomer", 10_000, day(0)))
    world.engine.drain()
    shade = next(each.partner_id for each in world.facts(ReferralRecorded) if each.effective_at == day(4))
    world.reattribute("latecomer", {shade: 10_000}, day(-2))
    world.engine.drain()

    found = ask(world, "conversion", world.conversion_id("early"))

    assert told(found) == [("reward", "RewardAccrued")]
    assert ("not_rewarded_before", "ConversionNotRewarded") in told(found.because[0])


def test_a_partner_without_an_agreement_beside_one_who_earned_still_earned_nothing(world):
    """Whoever's turn came first."""
    brightside, stranger = ids.partner_id("brightside"), world.applicant("stranger")
    for customer, shares in [("first", (stranger, brightside)), ("second", (brightside, stranger))]:
        world.reattribute(customer, dict.fromkeys(shares, 5_000), day(-2))
        world.send(world.sale(customer, customer, 10_000, day(0)))
        world.engine.drain()

        found = ask(world, "conversion", world.conversion_id(customer))

        assert told(found) == [("reward", "RewardAccrued"), ("not_rewarded", "ConversionNotRewarded")]
        assert "not_rewarded_before" not in [role for role, _ in told(found.because[0])]


def test_every_fact_names_its_leaf_once_a_checkpoint_covers_it(world):
    assert ask(world, "reward", reward_id(world)).proof is None
    Sequencer(world.ledger).catch_up()
    signer = Signer("log", Ed25519PrivateKey.from_private_bytes(b"k" * 32))
    head = CheckpointMaker(world.ledger, signer).step()
    assert head is not None

    found = ask(world, "reward", reward_id(world))

    places = [recorded.position for recorded in world.log()]
    for each in (found, *found.because):
        assert each.proof == Proof(places.index(each.position), head.size)


def test_a_conversion_tells_what_it_earned(world):
    found = ask(world, "conversion", world.conversion_id("order"))

    assert told(found) == [("reward", "RewardAccrued")]
    assert found.because[0] == ask(world, "reward", reward_id(world))


def test_a_conversion_of_nobodys_customer_tells_why_it_earned_nothing(world):
    world.send(world.sale("stranger", "nobody", 10_000, day(0)))
    world.engine.drain()

    found = ask(world, "conversion", world.conversion_id("stranger"))

    assert told(found) == [("not_rewarded", "ConversionNotRewarded")]
    assert found.because[0].says.startswith("Nothing was earned: ")


def test_a_conversion_before_the_engine_came_to_it_tells_whose_the_customer_is(world):
    world.send(world.sale("new", "customer", 10_000, day(0)))

    found = ask(world, "conversion", world.conversion_id("new"))

    assert told(found) == [("attribution", "ReferralRecorded")] * 2


@pytest.mark.parametrize("kind", ["payout", "reward", "conversion"])
def test_what_there_is_not_is_refused(world, kind):
    with pytest.raises(NotFound):
        ask(world, kind, UUID(int=7))


@pytest.mark.parametrize("kind", fact_types(), ids=lambda kind: kind.__name__)
def test_every_fact_has_a_sentence(kind: type[Fact]):
    assert len(says(sample(kind))) > 5
