"""Payouts: each fact of the transfer's life is a state that finance can see."""

from typing import Any

import pytest

from ledger import ids
from ledger.events import payout as facts
from projections import queries
from projections.rebuild import rebuild
from projections.runner import Runner
from tests.projections.world import PROGRAM, conversion, day, partner

BATCH = conversion(77)
ACCOUNT = ids.account_id(PROGRAM, partner(1), "GBP")
PAYOUT = ids.payout_id(BATCH, ACCOUNT)


def intent(attempt):
    return facts.PayoutIntentRecorded(
        attempt=attempt,
        idempotency_key=f"payout-{PAYOUT}-{attempt}",
        body="amount=2000",
        api_version="2024",
        effective_at=day(50),
    )


CONFIRMED = facts.TransferConfirmed(
    attempt=2,
    transfer_id="tr_1",
    account_id=ACCOUNT,
    program_id=PROGRAM,
    partner_id=partner(1),
    net_minor=1_800,
    currency="GBP",
    effective_at=day(52),
)


def reversed_by(number, amount_minor, *, left_minor):
    """A part of the transfer comes back, or all of it."""
    return facts.PayoutReversed(
        amount_minor=amount_minor,
        left_minor=left_minor,
        effective_at=day(55),
        origin="us",
        reference=f"trr_{number}",
    )


STEPS = [
    (facts.PayoutApproved(approved_by="key:bob", content_hash="h"), "approved"),
    (intent(1), "intent"),
    (facts.TransferSent(attempt=1, effective_at=day(50)), "sent"),
    (facts.TransferUnknown(attempt=1, reason="timeout", effective_at=day(50)), "unknown"),
    (
        facts.TransferRejected(attempt=1, code="no_such_account", message="No.", effective_at=day(51)),
        "rejected",
    ),
    (intent(2), "intent"),
    (facts.TransferSent(attempt=2, effective_at=day(52)), "sent"),
    (CONFIRMED, "confirmed"),
    (facts.PayoutPaid(effective_at=day(53)), "paid"),
    (facts.PayoutReturned(effective_at=day(54), reason="closed"), "returned"),
    (reversed_by(1, 300, left_minor=1_500), "returned"),
    (facts.PayoutPaid(effective_at=day(53)), "paid"),
    (reversed_by(2, 500, left_minor=1_000), "paid"),
    (reversed_by(3, 1_000, left_minor=0), "reversed"),
]


OF_VERSION_1 = reversed_by(1, 300, left_minor=None)


@pytest.fixture
def drafted(world):
    """A batch of one payout, over the first two facts of the account."""
    world.accrue(1, 2_000)
    world.mature(1, 1_500)
    world.mature(1, 500)
    draft = facts.PayoutDrafted(
        batch_id=BATCH,
        program_id=PROGRAM,
        partner_id=partner(1),
        account_id=ACCOUNT,
        account_from_version=0,
        account_to_version=2,
        amount_minor=2_000,
        currency="GBP",
        destination="acct_1",
        made_by="key:ann",
        provider="stripe",
        withheld_minor=200,
        withholding_bps=1_000,
        hash_version=2,
    )
    batch = facts.PayoutBatchDrafted(
        program_id=PROGRAM,
        currency="GBP",
        payout_ids=(PAYOUT,),
        total_minor=2_000,
        made_by="key:ann",
        content_hash="h",
    )
    world.add(BATCH, batch)
    world.add(PAYOUT, draft)
    return world


def test_a_payout_shows_each_step(drafted, ledger):
    """Its state, the number of the attempt, and what became of each attempt."""
    runner = Runner(ledger)
    found: Any
    for fact, state in STEPS:
        drafted.add(PAYOUT, fact, by="payouts")
        runner.catch_up()
        with ledger.database.read() as connection:
            found = queries.payout(connection, PAYOUT)
        assert found["state"] == state
        if state in ("paid", "returned"):
            assert found["reason"] == {"paid": None, "returned": "closed"}[state]

    shown = ("amount_minor", "withheld_minor", "withholding_bps", "net_minor", "provider")
    assert [found[name] for name in shown] == [2_000, 200, 1_000, 1_800, "stripe"]
    assert (found["attempt"], found["transfer_id"], found["approved_by"]) == (2, "tr_1", "key:bob")
    assert (found["intent_at"], found["confirmed_at"], found["paid_at"]) == (day(50), day(52), day(53))
    assert found["reversed_minor"] == 1_800
    assert [(a["attempt"], a["state"], a["code"]) for a in found["attempts"]] == [
        (1, "rejected", "no_such_account"),
        (2, "confirmed", None),
    ]
    assert [leg["account"] for leg in found["legs"]] == ["payout_clearing", "stripe_balance"]


def test_a_part_that_came_back_before_that_was_told_apart_shows_as_it_did(drafted, ledger):
    """Version 1 of the fact ended the payout, and goes on doing so."""
    drafted.add(PAYOUT, *[fact for fact, _ in STEPS[:9]], OF_VERSION_1)
    Runner(ledger).catch_up()
    found: Any
    with ledger.database.read() as connection:
        found = queries.payout(connection, PAYOUT)

    assert (found["state"], found["reversed_minor"]) == ("reversed", 300)


def test_a_payout_in_one_batch_of_the_log_is_the_same(drafted, ledger):
    """However the facts fall into batches."""
    Runner(ledger, batch_events=2).catch_up()
    drafted.add(PAYOUT, *[fact for fact, _ in STEPS])
    Runner(ledger, batch_events=3).catch_up()

    assert rebuild(ledger, ["payouts"]).differences == ()


def test_a_batch_counts_its_payouts_by_state(drafted, ledger):
    """Approved or canceled by whom, and how far its payouts are."""
    drafted.add(BATCH, facts.PayoutBatchApproved(approved_by="key:bob", content_hash="h"))
    Runner(ledger).catch_up()
    found: Any
    with ledger.database.read() as connection:
        found = queries.payout_batch(connection, BATCH)
        drafts = queries.list_payouts(connection, batch_id=BATCH, state="draft")
        batches = queries.list_payout_batches(connection, state="approved")
    assert (found["total_minor"], found["withheld_minor"]) == (2_000, 200)
    assert (found["state"], found["approved_by"], found["states"]) == ("approved", "key:bob", {"draft": 1})
    assert [row["payout_id"] for row in drafts.rows] == [PAYOUT]
    assert [row["batch_id"] for row in batches.rows] == [BATCH]


def test_the_lines_of_a_payout_are_the_facts_of_its_account(drafted, ledger):
    """Those after the version before, up to its own."""
    drafted.mature(2, 100)
    Runner(ledger).catch_up()
    found: Any
    with ledger.database.read() as connection:
        found = queries.payout(connection, PAYOUT)
    lines: Any = queries.payout_lines(ledger, found)

    assert [(line.originator_version, line.fact.amount_minor) for line in lines] == [(1, 1_500), (2, 500)]
