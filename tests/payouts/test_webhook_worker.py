"""The webhook worker: looks before anything changes; any order, doubled, late or about nothing of ours."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from ledger.desk import PARTNER
from ledger.events.payout import PayoutReversed
from ledger.payout_commands import RecordWithholdingRemitted
from ledger.postings import postings
from payouts import eligibility
from payouts.batches import PAYOUT
from payouts.connected import Contents
from tests.support.connected import Connected


def holds(connected: Connected, partner_id: Any) -> list[str]:
    """The causes that hold a partner's payouts."""
    state = connected.ledger.load(partner_id, PARTNER).state
    assert state is not None
    return sorted(state.payout_holds)


# What an event says


@pytest.mark.parametrize(
    ("kind", "about"),
    [
        ("account.application.deauthorized", ("acct_1", "acct_1")),
        ("v2.core.account.closed", ("acct_1", "acct_1")),
        ("capability.updated", ("transfers", "acct_1")),
        ("payout.paid", ("po_1", "acct_1")),
        ("payout.failed", ("po_1", "acct_1")),
        ("payout.paid", ("po_404", "acct_1")),
        ("transfer.reversed", ("tr_1", None)),
    ],
)
def test_what_an_event_claims_counts_for_nothing(connected, kind, about):
    """Only what is found when it is asked for does: here, that nothing has changed."""
    acme = connected.partner()
    connected.transferred(acme, 1_000)
    connected.provider.stands("acct_1")
    connected.event("account.updated", "acct_1", "acct_1")
    connected.provider.pays_out("po_1", "acct_1", 1_000, "in_transit", connected.seconds, Contents({"py_1"}))
    connected.work()
    before = connected.world.log()
    connected.provider.asked.clear()
    connected.event(kind, *about)

    assert connected.work() == 1
    assert connected.provider.asked
    assert connected.world.log() == before


# Accounts


@pytest.mark.parametrize(
    ("kind", "about"),
    [
        ("account.updated", ("acct_1", "acct_1")),
        ("capability.updated", ("transfers", "acct_1")),
        ("account.external_account.deleted", ("ba_1", "acct_1")),
        ("v1.account.updated", ("acct_1", None)),
        ("v2.core.account.updated", ("acct_1", None)),
        ("v2.core.account[requirements].updated", ("acct_1", "acct_1")),
        ("v2.core.account[configuration.recipient].capability_status_updated", ("acct_1", None)),
    ],
)
def test_a_word_about_an_account_lets_us_look_at_it(quick, kind, about):
    """v1 and v2: how it stands is asked, whatever the event held."""
    acme = quick.partner()
    quick.provider.stands("acct_1")
    quick.event(kind, *about)

    assert quick.work() == 1
    state = quick.ledger.load(acme, PARTNER).state
    assert state.account_seen("stripe").transfers_active
    assert eligibility.obstacles(state, "stripe", now=quick.world.now) == ()


def test_an_account_pauses_and_resumes_its_partner(connected):
    """Restricted, active again, closed, gone from our hands."""
    acme = connected.partner()
    told = []
    for change in (
        {"active": False, "disabled_reason": "requirements.past_due", "currently_due": ("owners.email",)},
        {"active": True},
        {"active": False, "disabled_reason": "rejected.fraud"},
        {"active": True},
        None,
    ):
        connected.later(timedelta(minutes=10))
        if change is None:
            del connected.provider.accounts["acct_1"]
        else:
            connected.provider.stands("acct_1", **change)
        connected.event("account.updated", "acct_1", "acct_1")
        connected.work()
        told.append(holds(connected, acme))

    assert told == [["account_restricted"], [], ["account_closed"], [], ["account_closed"]]


def test_the_reason_of_a_hold_names_what_is_due(quick):
    """For the partner and whoever helps it."""
    acme = quick.partner()
    quick.provider.stands("acct_1", active=False, currently_due=("owners.email",))
    quick.event("account.updated", "acct_1", "acct_1")
    quick.work()

    state = quick.ledger.load(acme, PARTNER).state
    assert state.payout_holds == {
        "account_restricted": "transfers are not active: onboarding is not finished; still due: owners.email"
    }


def test_an_account_is_found_by_what_we_wrote_into_it(quick):
    """Before the view knows whom it was linked to."""
    acme = quick.world.partner("acme")
    quick.provider.stands("acct_9", reference=str(acme))
    quick.event("account.updated", "acct_9", "acct_9")
    assert quick.work() == 0
    quick.partner("acct_9")
    quick.later(timedelta(minutes=1))

    assert quick.work() == 1
    assert quick.ledger.load(acme, PARTNER).state.account_seen("stripe") is not None


def test_an_account_of_nobody_is_kept_and_noted(quick):
    """After a moment in which the view may still learn of it."""
    quick.provider.stands("acct_7")
    quick.event("account.updated", "acct_7", "acct_7", event_id="evt_7")
    quick.work()
    assert quick.ends()["evt_7"][0] == "waiting"
    quick.later(timedelta(minutes=5))
    quick.work()

    assert quick.ends()["evt_7"] == ("noted", "no partner has the account acct_7")


def test_a_held_account_is_looked_at_every_hour_though_no_event_comes(quick):
    """Webhooks get lost: what is restricted resumes all the same. What was heeded of ours is not kept."""
    acme = quick.partner()
    quick.provider.stands("acct_1", active=False)
    quick.event("account.updated", "acct_1", "acct_1", event_id="evt_1")
    quick.work()
    quick.provider.stands("acct_1")
    assert holds(quick, acme) == ["account_restricted"]
    quick.later(timedelta(hours=1))
    quick.work()

    assert holds(quick, acme) == []
    assert list(quick.ends()) == ["evt_1"]


# Transfers that come back


def test_a_reversal_that_the_list_does_not_show_yet_is_waited_for(connected):
    """Lists lag: an event is done once all that the transfer says came back was seen."""
    acme = connected.partner()
    payout_id = connected.transferred(acme, 1_000)
    connected.provider.reverses("trr_1", "tr_1", 300, connected.seconds)
    listed = connected.provider.back.pop("tr_1")
    connected.event("transfer.reversed", "tr_1", event_id="evt_1")
    connected.work()
    assert (connected.status(payout_id), connected.ends()["evt_1"][0]) == ("confirmed", "waiting")
    connected.provider.back["tr_1"] = listed
    connected.later(timedelta(minutes=1))
    connected.work()

    assert connected.ends()["evt_1"][0] == "done"
    assert connected.ledger.load(payout_id, PAYOUT).state.reversals == {"trr_1": 300}
    assert connected.payable_minor(acme) == 300


def test_reversals_are_recorded_and_payable_again_once_each(connected):
    """Partial ones, by whomever: the account is credited what came back, and the books stay balanced."""
    acme = connected.partner()
    payout_id = connected.transferred(acme, 1_000)
    connected.provider.reverses("trr_1", "tr_1", 300, connected.seconds)
    for _ in range(2):
        connected.event("transfer.reversed", "tr_1")
        connected.work()
    connected.provider.reverses("trr_2", "tr_1", 700, connected.seconds)
    connected.event("transfer.updated", "tr_1")
    connected.work()

    back = [one.fact for one in connected.ledger.history(payout_id) if isinstance(one.fact, PayoutReversed)]
    assert [(one.reference, one.amount_minor, one.origin) for one in back] == [
        ("trr_1", 300, "provider"),
        ("trr_2", 700, "provider"),
    ]
    assert connected.payable_minor(acme) == 1_000
    assert sum(leg.amount_minor for one in connected.world.log() for leg in postings(one.fact)) == 0


def test_of_what_came_back_in_part_the_rest_is_followed(connected):
    """A cent is taken back; the bank gets the rest and gives it back, and gets it again. Then all is back."""
    acme = connected.partner()
    payout_id = connected.transferred(acme, 30_00)
    connected.provider.reverses("trr_1", "tr_1", 1, connected.seconds)
    connected.event("transfer.reversed", "tr_1")
    connected.work()
    told = [connected.status(payout_id)]
    for number, inside, status in ((1, {"py_1"}, "paid"), (1, {"py_1"}, "failed"), (2, {"po_1"}, "paid")):
        connected.later(timedelta(hours=1))
        contents = Contents(inside) if number == 1 else Contents((), inside)
        connected.provider.pays_out(f"po_{number}", "acct_1", 29_99, status, connected.seconds, contents)
        connected.event(f"payout.{status}", f"po_{number}", "acct_1")
        connected.work()
        told.append(connected.status(payout_id))
    connected.provider.reverses("trr_2", "tr_1", 29_99, connected.seconds)
    connected.event("transfer.reversed", "tr_1")
    connected.work()

    assert [*told, connected.status(payout_id)] == ["confirmed", "paid", "returned", "paid", "reversed"]
    assert connected.payable_minor(acme) == 30_00
    assert sum(leg.amount_minor for one in connected.world.log() for leg in postings(one.fact)) == 0


def books_of(connected):
    """What stands on each account of the books."""
    books: Counter[str] = Counter()
    for one in connected.world.log():
        for leg in postings(one.fact):
            books[leg.account] += leg.amount_minor
    return {name: amount for name, amount in books.items() if amount}


def test_the_withheld_tax_of_what_comes_back_is_the_partner_s_again(connected):
    """In proportion, and all of it in the end: nothing is owed to the tax office for what was not paid."""
    acme = connected.partner()
    payout_id = connected.transferred(acme, 800, withheld_minor=201)
    connected.provider.reverses("trr_1", "tr_1", 300, connected.seconds)
    connected.event("transfer.reversed", "tr_1")
    connected.work()
    assert connected.payable_minor(acme) == 300 + 75  # 201 × 300 ÷ 800 is 75.4
    assert books_of(connected)["withholding_payable"] == -126

    connected.provider.reverses("trr_2", "tr_1", 500, connected.seconds)
    for _ in range(2):
        connected.event("transfer.updated", "tr_1")
        connected.work()

    assert connected.ledger.load(payout_id, PAYOUT).state.status == "reversed"
    assert connected.payable_minor(acme) == 1_001
    assert books_of(connected) == {"commission_accrued": 1_001, "commission_payable": -1_001}


def test_tax_that_is_remitted_does_not_come_back(connected):
    """The tax office has it; what was withheld after that comes back with its transfer."""
    acme = connected.partner()
    connected.transferred(acme, 800, withheld_minor=200)
    wish = RecordWithholdingRemitted(
        program_id=connected.world.program_id, through=connected.world.now, reference="Q1 filing"
    )
    connected.world.now += timedelta(hours=1)
    connected.world.desk.execute(wish, by="finance")
    connected.transferred(acme, 400, withheld_minor=100)
    for number, amount in ((1, 800), (2, 400)):
        connected.provider.reverses(f"trr_{number}", f"tr_{number}", amount, connected.seconds)
        connected.event("transfer.reversed", f"tr_{number}")
        connected.work()

    assert connected.payable_minor(acme) == 800 + 400 + 100
    assert books_of(connected)["withholding_payable"] == -200


def test_a_transfer_that_our_worker_has_not_heard_of_yet_is_waited_for(quick):
    """A webhook may overtake the answer to the request that caused it."""
    payout_id = quick.transferred(quick.partner(), 1_000, confirmed=False)
    quick.provider.reverses("trr_1", "tr_1", 1_000, quick.seconds)
    quick.event("transfer.created", "tr_1", event_id="evt_1")
    assert quick.work() == 0
    quick.confirm(payout_id, "tr_1")
    quick.later(timedelta(minutes=1))
    quick.work()

    assert quick.ends()["evt_1"] == ("done", None)
    assert quick.status(payout_id) == "reversed"


def test_a_payout_that_never_settles_ends_with_a_human(quick):
    """After four days, a day longer than its key and than Stripe's tries."""
    quick.transferred(quick.partner(), 1_000, confirmed=False)
    quick.event("transfer.created", "tr_1", event_id="evt_1")
    for _ in range(60):
        quick.work()
        quick.later(timedelta(hours=2))

    status, reason = quick.ends()["evt_1"]
    assert status == "held"
    assert "not confirmed yet" in reason


def test_what_a_program_may_not_decide_is_left_to_a_human(quick):
    """A second transfer of a payout; a payout that the ledger never heard of, as after a restore."""
    acme = quick.partner()
    quick.transferred(acme, 1_000)
    twin = quick.provider.transfers["tr_1"]
    quick.provider.transfers["tr_8"] = type(twin)(
        "tr_8", "py_8", "acct_1", twin.payout_id, 1_000, 0, "GBP", twin.created
    )
    stranger = "9e0c2b1c-5a1f-5d0e-8b3a-0f6f0f6b2a11"
    quick.provider.transfers["tr_9"] = type(twin)(
        "tr_9", "py_9", "acct_1", stranger, 1_000, 0, "GBP", twin.created
    )
    quick.event("transfer.created", "tr_8", event_id="evt_8")
    quick.event("transfer.created", "tr_9", event_id="evt_9")
    quick.work()

    found = quick.ends()
    assert found["evt_8"][0] == found["evt_9"][0] == "held"
    assert "paid twice?" in found["evt_8"][1]
    assert "does not know" in found["evt_9"][1]


@pytest.mark.parametrize("metadata", [None, "", "order-7"])
def test_transfers_of_others_are_noted(quick, metadata):
    """The platform may send money for other reasons; what is unknown to the provider, or to us, is kept."""
    twin = quick.transferred(quick.partner(), 1_000) and quick.provider.transfers["tr_1"]
    quick.provider.transfers["tr_5"] = type(twin)("tr_5", "py_5", "acct_1", metadata, 1, 0, "GBP", 1)
    quick.event("transfer.created", "tr_5", event_id="evt_5")
    quick.event("transfer.created", "tr_404", event_id="evt_404")
    strange = (
        "charge.succeeded",
        "v2.money_management.payout.posted",
        "tomorrow's.kind",
        "transfer",
        "payout.",
    )
    for number, kind in enumerate(strange):
        quick.event(kind, "ch_1", "acct_9", event_id=f"evt_strange_{number}")
    quick.work()

    found = quick.ends()
    assert found["evt_5"] == found["evt_404"] == ("noted", "no transfer of ours")
    assert {found[f"evt_strange_{number}"][0] for number in range(len(strange))} == {"noted"}
