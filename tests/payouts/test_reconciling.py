"""Reconciling against the stand-in: seeded disagreements of every kind, times, reasons, what is stored."""

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from ledger.events.account import TransferReversalCredited
from ledger.events.reconciliation import ReconciliationCompleted
from ledger.refusals import ContentConflict, InvalidField, NotFound
from ledger.store.application import Change
from payouts import reconciliations
from payouts.gateway import GatewayError, StripeGateway
from payouts.outcomes import Confirmed, TransferIntent, Unknown
from payouts.reconciling import reconcile
from tests.support.finance import CURRENCY, Cut
from tests.support.reconciled import finance_and_stripe
from tests.support.transfers import intent


@pytest.fixture
def finance(database_url):
    """Paid through a stand-in of its own: what others paid there would be theirs only."""
    with finance_and_stripe(database_url) as (department, _):
        yield department


@pytest.fixture
def run(finance):
    """Reconciles the hours around now, everything old enough."""

    def reconciled(**changes):
        finance.later(seconds=1)  # what is as young as the bound is no longer in time
        wish = {"in_time": timedelta(0), "by": "cli", **around(finance), **changes}
        return reconcile(finance.ledger, finance.gateway, **wish)

    return reconciled


def around(finance):
    """A time around now."""
    now = finance.ledger.clock()
    return {"start": now - timedelta(hours=3), "end": now + timedelta(hours=3)}


def lost(_outcome):
    """The answer never came."""
    return Unknown("connection")


def verdicts(found):
    """Verdict and what differs of each payout item."""
    return sorted((i.verdict, *i.differs) for i in found.items if i.kind != "topup")


def paid(finance, partner_id):
    """Pay what the partner is due."""
    batch = finance.approved()
    finance.pay()
    return finance.payout(batch, partner_id)


def test_books_that_agree_are_clean_and_both_sides_sum_to_the_same(finance, run):
    """Two transfers; the platform's top-ups are theirs and nobody's concern."""
    acme = finance.partner("acme", available_minor=30_00)
    finance.partner("bolt", available_minor=12_34)
    paid(finance, acme)

    found = run()

    assert verdicts(found) == [("matched",), ("matched",)]
    assert found.is_clean
    [total] = [t for t in found.totals if t.verdict == "matched"]
    assert (total.theirs_minor, total.ours_minor, total.items) == (-42_34, -42_34, 2)
    assert {t.kind for t in found.totals if t.verdict == "theirs_only"} == {"topup"}


def test_each_kind_of_disagreement_is_found_under_its_name(finance, run):
    """Missing, extra, another amount, currency or destination, paid twice: all in one run."""
    names = ("good", "missing", "amount", "currency", "destination", "twice")
    partners = {name: finance.partner(name, available_minor=20_00) for name in names}
    other = finance.partner("other")
    elsewhere = finance.world.desk.partner(other).payout_accounts["stripe"]
    of = {finance.world.desk.partner(p).payout_accounts["stripe"]: name for name, p in partners.items()}
    batch = finance.approved()

    class Crooked:
        """A provider that does something else than it was asked, and says that it did it."""

        def create_transfer(self, asked):
            body = reconcile_body(asked)
            match of[body["destination"]]:
                case "missing":
                    return Confirmed("tr_never_made")
                case "amount":
                    body["amount"] += 1
                case "currency":
                    body["currency"] = "eur"
                case "destination":
                    body["destination"] = elsewhere
                case "twice":
                    finance.gateway.create_transfer(intent_of(asked, body, "second"))
            return finance.gateway.create_transfer(intent_of(asked, body))

    finance.pay(finance.worker(Crooked()))
    finance.gateway.create_transfer(intent(elsewhere, metadata={"payout_id": str(uuid4())}))

    found = run()

    assert verdicts(found) == [
        ("different", "amount"),
        ("different", "currency"),
        ("different", "destination"),
        ("duplicate",),
        ("matched",),
        ("matched",),
        ("ours_only",),
        ("theirs_only",),
    ]
    assert found.differences == 6
    missing = next(i for i in found.items if i.verdict == "ours_only")
    assert missing.reference == "tr_never_made"
    assert missing.ours.payout_id == finance.payout(batch, partners["missing"]).payout_id


def reconcile_body(asked):
    """The body of an intent, to be changed."""
    return json.loads(asked.body)


def intent_of(asked, body, suffix=""):
    """An intent with another body."""
    return TransferIntent(asked.idempotency_key + suffix, json.dumps(body), asked.api_version)


def test_entries_that_cannot_be_read_are_shown_and_hide_no_other(database_url):
    """Others use the account, too. A transfer of theirs is a difference as any other, in whatever units."""
    with finance_and_stripe(database_url) as (finance, stripe):
        acme = finance.partner("acme", available_minor=30_00)
        ours = paid(finance, acme)
        sdk: Any = stripe.sdk().v1
        wish = {"amount": 500, "currency": "gbp", "destination": ours.destination}
        odd, reversed_ = sdk.transfers.create(wish), sdk.transfers.create(wish)
        back = sdk.transfers.reversals.create(reversed_.id)
        stripe.distort("transfer", odd.id, destination=None)
        units = {"currency": "isk", "amount": -505}
        for transaction_id in (odd.balance_transaction, back.balance_transaction):
            stripe.distort("balance_transaction", transaction_id, **units)
        top_up = next(t for t in stripe.objects("balance_transaction") if t["type"] == "topup")
        stripe.distort("balance_transaction", top_up["id"], **units)
        finance.later(hours=2)

        found = reconcile(finance.ledger, finance.gateway, by="cli")

        assert {
            (i.reference, i.verdict, i.currency, i.theirs and i.theirs.amount_minor, i.is_difference)
            for i in found.items
            if i.currency == "ISK" or i.kind != "topup"
        } == {
            (ours.transfer_id, "matched", "GBP", -30_00, False),
            (odd.id, "theirs_only", "ISK", 0, True),
            (reversed_.id, "theirs_only", "GBP", -5_00, True),
            (back.id, "theirs_only", "GBP", 5_00, True),
            (top_up["source"], "theirs_only", "ISK", 0, False),
        }


def test_a_reversal_is_matched_by_its_id(finance, run):
    """One that only the provider has is a difference until its fact is there."""
    acme = finance.partner(available_minor=30_00)
    payout = paid(finance, acme)
    reversal = finance.gateway._client.v1.transfers.reversals.create(payout.transfer_id, {"amount": 10_00})

    before = run()
    credited = TransferReversalCredited(
        payout_id=payout.payout_id,
        reference=reversal.id,
        program_id=finance.world.program_id,
        partner_id=acme,
        amount_minor=10_00,
        withheld_minor=0,
        currency=CURRENCY,
        effective_at=finance.ledger.clock(),
    )
    version = len(finance.ledger.history(payout.account_id))
    assert finance.ledger.append([Change(payout.account_id, version, [credited])], by="payouts")
    after = run()

    assert verdicts(before) == [("matched",), ("theirs_only",)]
    assert verdicts(after) == [("matched",), ("matched",)]


def test_an_outcome_that_was_lost_is_theirs_only_until_the_worker_learns_it(finance, run):
    """In time while it is young; afterwards it has to be looked at."""

    acme = finance.partner(available_minor=30_00)
    batch = finance.approved()
    finance.pay(finance.worker(Cut(finance.gateway, after=lost)))

    assert verdicts(run(in_time=timedelta(hours=1))) == [("in_time",)]
    assert verdicts(run()) == [("theirs_only",)]
    finance.later(minutes=1)
    finance.pay()
    assert finance.payout(batch, acme).status == "confirmed"
    assert verdicts(run()) == [("matched",)]


def test_an_entry_belongs_to_the_time_in_which_the_provider_made_it(finance, run):
    """Learned hours later it is in the earlier run, and in no other."""
    finance.partner(available_minor=30_00)
    batch = finance.approved()

    finance.pay(finance.worker(Cut(finance.gateway, after=lost)))
    times = around(finance)
    finance.later(hours=5)
    finance.pay()
    assert finance.payout(batch).status == "confirmed"

    first = run(**times)
    second = run(start=times["end"], end=times["end"] + timedelta(hours=6))

    assert verdicts(first) == [("matched",)]
    assert verdicts(second) == []


def test_a_reason_ends_a_difference_for_later_runs(finance, run):
    """The same reason again changes nothing; another one is refused; an unknown reference, too."""
    acme = finance.partner(available_minor=30_00)
    destination = finance.world.desk.partner(acme).payout_accounts["stripe"]
    made = finance.gateway.create_transfer(intent(destination, metadata={"payout_id": str(uuid4())}))
    before = run()

    assert reconciliations.resolve(finance.ledger, made.transfer_id, "A goodwill payment.", by="key:a")
    again = reconciliations.resolve(finance.ledger, made.transfer_id, "A goodwill payment.", by="key:b")
    with pytest.raises(ContentConflict):
        reconciliations.resolve(finance.ledger, made.transfer_id, "A mistake.", by="key:b")
    with pytest.raises(NotFound):
        reconciliations.resolve(finance.ledger, "tr_unheard_of", "Why not.", by="key:b")

    assert not again
    assert (before.differences, run().differences) == (1, 0)
    assert [i.resolution for i in run().items if i.kind == "transfer"] == ["A goodwill payment."]


def test_a_run_is_kept_with_its_items_and_as_a_fact(finance, run):
    """Totals, counts and hash are the same in the table and in the log."""
    acme = finance.partner(available_minor=30_00)
    payout = paid(finance, acme)

    found = run()

    with finance.ledger.database.read() as connection:
        stored = reconciliations.load(connection, found.reconciliation_id)
        items = reconciliations.all_items(connection, found.reconciliation_id)
        listed = reconciliations.list_runs(connection).rows
    [fact] = [r.fact for r in finance.ledger.history(found.reconciliation_id)]
    assert isinstance(fact, ReconciliationCompleted)
    assert (fact.matched, fact.differences, fact.items_hash) == (1, 0, stored["items_hash"])
    assert stored["counts"] == found.counts
    assert [row["reconciliation_id"] for row in listed] == [found.reconciliation_id]
    row = next(row for row in items if row["verdict"] == "matched")
    assert (row["theirs_minor"], row["ours_minor"]) == (-30_00, -30_00)
    assert (row["payout_id"], row["transfer_id"]) == (payout.payout_id, payout.transfer_id)
    assert row["theirs_destination"] == row["ours_destination"] == payout.destination


def test_without_a_start_it_goes_on_where_the_last_clean_run_ended(finance):
    """Less the time in which entries are too young; a run with differences is gone over again."""
    acme = finance.partner()
    first = reconcile(finance.ledger, finance.gateway, by="cli", in_time=timedelta(minutes=10))
    finance.later(hours=1)
    second = reconcile(finance.ledger, finance.gateway, by="cli", in_time=timedelta(0))
    destination = finance.world.desk.partner(acme).payout_accounts["stripe"]
    finance.gateway.create_transfer(intent(destination, metadata={"payout_id": str(uuid4())}))
    finance.later(hours=1)
    third = reconcile(finance.ledger, finance.gateway, by="cli", in_time=timedelta(0))
    finance.later(hours=1)
    fourth = reconcile(finance.ledger, finance.gateway, by="cli", in_time=timedelta(0))

    assert second.period_from == first.period_to - timedelta(minutes=10)
    assert (third.differences, third.period_from) == (1, second.period_to)
    assert fourth.period_from == second.period_to
    ahead = reconcile(finance.ledger, finance.gateway, by="cli", end=fourth.period_to + timedelta(days=365))
    assert ahead.period_from == second.period_to
    with pytest.raises(InvalidField):
        reconcile(finance.ledger, finance.gateway, by="cli", start=fourth.period_to, end=fourth.period_to)


def test_a_clean_run_by_hand_hides_no_older_difference(finance):
    """Only clean runs that join up count: not one over another time, nor one that a later run contradicts."""

    def later(**wish):
        finance.later(hours=1)
        return reconcile(finance.ledger, finance.gateway, by="cli", in_time=timedelta(0), **wish)

    acme = finance.partner()
    clean = later()
    destination = finance.world.desk.partner(acme).payout_accounts["stripe"]
    made = finance.gateway.create_transfer(intent(destination, metadata={"payout_id": str(uuid4())}))
    dirty = later()
    by_hand = later(start=dirty.period_to)
    again = later()

    assert [r.differences for r in (clean, dirty, by_hand, again)] == [0, 1, 0, 1]
    assert again.period_from == dirty.period_from == clean.period_to
    reconciliations.resolve(finance.ledger, made.transfer_id, "A goodwill payment.", by="key:a")
    assert later().is_clean
    stale = later(start=dirty.period_from)
    finance.gateway.create_transfer(intent(destination, metadata={"payout_id": str(uuid4())}))
    assert later().period_from == stale.period_to
    assert later(start=by_hand.period_from).differences == 1
    assert later().period_from == by_hand.period_from


def test_what_an_earlier_run_took_for_too_young_is_looked_at_again(finance):
    """By that run's own bound, whatever the next one's is."""
    acme = finance.partner()
    first = reconcile(finance.ledger, finance.gateway, by="cli", in_time=timedelta(0))
    destination = finance.world.desk.partner(acme).payout_accounts["stripe"]
    finance.later(minutes=1)
    finance.gateway.create_transfer(intent(destination, metadata={"payout_id": str(uuid4())}))
    finance.later(minutes=1)
    young = reconcile(finance.ledger, finance.gateway, by="cli", in_time=timedelta(hours=1))
    finance.later(minutes=1)
    strict = reconcile(finance.ledger, finance.gateway, by="cli", in_time=timedelta(0))

    assert (first.is_clean, young.is_clean, strict.differences) == (True, True, 1)


def test_a_provider_that_does_not_answer_leaves_nothing_behind(finance):
    """The question failed: no run is stored."""
    deaf = StripeGateway("sk_test_standin", "http://127.0.0.1:9")

    with pytest.raises(GatewayError):
        reconcile(finance.ledger, deaf, by="cli")

    with finance.ledger.database.read() as connection:
        assert reconciliations.list_runs(connection).rows == []


def test_rows_that_come_in_while_we_page_are_seen_once(finance, run):
    """More than two pages; between pages somebody transfers more."""
    acme = finance.partner()
    destination = finance.world.desk.partner(acme).payout_accounts["stripe"]
    for number in range(205):
        finance.gateway.create_transfer(intent(destination, f"{finance.name}-{number}", amount=1))
    asked = finance.gateway._client.v1.balance_transactions.list
    pages = []

    class Paging:
        """The gateway's own list, interrupted at each page."""

        def __getattr__(self, name):
            return getattr(finance.gateway, name)

    def listed(params):
        first = asked(params)
        next_page = type(first).next_page

        def interrupted(self, *args, **kwargs):
            pages.append(finance.gateway.create_transfer(intent(destination, amount=2)))
            return next_page(self, *args, **kwargs)

        first.__class__ = type("Interrupted", (type(first),), {"next_page": interrupted})
        return first

    finance.gateway._client.v1.balance_transactions.list = listed
    try:
        found = run()
    finally:
        del finance.gateway._client.v1.balance_transactions.list

    seen = [i.theirs.transaction_id for i in found.items]
    amounts = [i.theirs.amount_minor for i in found.items if i.kind == "transfer"]
    assert pages
    assert len(seen) == len(set(seen))
    assert amounts.count(-1) == 205
