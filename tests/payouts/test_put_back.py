"""The database is put back under running payouts: by a failover that loses commits, or by a restore."""

import threading

import pytest

from ledger import ids
from ledger.commands import PausePartnerPayouts, ResumePartnerPayouts
from ledger.events.reconciliation import DatabasePutBack
from ledger.refusals import DatabaseOlderThanProvider
from ledger.store.database import DatabaseUnavailable
from payouts import restore_check
from payouts.gate import Gate
from payouts.sighting import Sighting
from payouts.taking_in import take_in
from payouts.turn import DecidedUponLost
from tests.support.backup import Backup
from tests.support.finance import Cut
from tests.support.reconciled import finance_and_stripe

REASON = "Restored from last night's backup."


@pytest.fixture
def both(database_url):
    """Finance and its stand-in, on one clock."""
    with finance_and_stripe(database_url) as made:
        yield made


def turn(finance, gate):
    """One turn of a gated worker, with the views caught up around it."""
    finance.runner.catch_up()
    waited = gate._turn(threading.Event(), 0.5)
    finance.runner.catch_up()
    return waited


def opened(finance):
    """A gate that is open, and will be while the process lives."""
    gate = Gate(finance.ledger, finance.gateway, finance.worker())
    turn(finance, gate)
    return gate


def pay_and_put_back(both, gate, tmp_path):
    """What is approved is paid, and the database is that of before: the transfer that it lost."""
    finance, stripe = both
    backup = Backup(finance.ledger.database, tmp_path)
    turn(finance, gate)
    [transfer] = stripe.objects("transfer")
    backup.put_back()
    return transfer["id"]


def refusal_of(gate):
    """Why the gate is closed now."""
    return gate.refusal


def hold(finance, partner_id):
    """Let a partner's payouts wait."""
    finance.world.desk.execute(PausePartnerPayouts(partner_id=partner_id, reason="Not yet."), by="cli")


def put_back_facts(finance):
    """What the gate's stream says of it."""
    found = [r.fact for r in finance.ledger.history(ids.payout_gate_id())]
    return [fact for fact in found if isinstance(fact, DatabasePutBack)]


def test_a_gate_that_lives_through_a_restore_pays_nothing_twice(both, tmp_path):
    """Its key is forgotten by then; it goes on by itself once the transfer is taken in and all is shown."""
    finance, stripe = both
    gate = opened(finance)
    acme = finance.partner("acme", available_minor=30_00)
    batch = finance.approved()
    transfer_id = pay_and_put_back(both, gate, tmp_path)
    finance.later(hours=30)

    for _ in range(3):
        turn(finance, gate)
        finance.later(minutes=1)

    assert isinstance(gate.refusal, DatabaseOlderThanProvider)
    assert finance.payout(batch).status == "approved"
    assert len(stripe.objects("transfer")) == 1
    take_in(finance.ledger, finance.gateway, transfer_id, REASON, by="cli")
    turn(finance, gate)
    assert isinstance(gate.refusal, DatabaseOlderThanProvider), "the lists may still hide another one"
    finance.later(hours=1)
    finance.earn(acme, 20_00)
    finance.approved()
    turn(finance, gate)
    assert refusal_of(gate) is None
    assert len(stripe.objects("transfer")) == 2
    assert finance.balance(acme) == {"paid": 50_00, "earned": 50_00}
    assert len(put_back_facts(finance)) == 1


def test_new_facts_where_the_lost_ones_stood_hide_nothing(both, tmp_path):
    """By the time that anybody looks the log is as long as it was, and longer."""
    finance, stripe = both
    gate = opened(finance)
    finance.partner("acme", available_minor=30_00)
    finance.approved()
    pay_and_put_back(both, gate, tmp_path)
    lost = gate._seen.position
    finance.partner("bolt", available_minor=20_00)
    with finance.ledger.database.read() as connection:
        assert finance.ledger.log.head(connection) > lost
    finance.later(hours=30)

    turn(finance, gate)

    assert isinstance(gate.refusal, DatabaseOlderThanProvider)
    assert [fact.seen_position for fact in put_back_facts(finance)] == [lost]
    assert len(stripe.objects("transfer")) == 1


def test_nothing_is_sent_before_the_lists_show_what_was_sent_just_before(both, tmp_path):
    """A failover: the transfer is a minute old, and the list shows it after 50."""
    finance, stripe = both
    gate = opened(finance)
    finance.partner("acme", available_minor=30_00)
    finance.approved()
    stripe.set(list_lag_s=3_000)
    transfer_id = pay_and_put_back(both, gate, tmp_path)
    finance.later(minutes=1)

    turn(finance, gate)

    assert isinstance(gate.refusal, DatabaseOlderThanProvider)
    assert gate.refusal.details["transfer_ids"] == []
    finance.later(hours=1)
    turn(finance, gate)
    assert gate.refusal.details["transfer_ids"] == [transfer_id]
    assert len(stripe.objects("transfer")) == 1


def test_what_another_attempt_records_does_not_move_the_time_from_which_is_looked(both, tmp_path):
    """A worker without memory opened one since: the lost transfer is older than an hour before that."""
    finance, _ = both
    gate = opened(finance)
    acme = finance.partner("acme", available_minor=30_00)
    bolt = finance.partner("bolt", available_minor=20_00)
    batch = finance.approved()
    hold(finance, bolt)
    transfer_id = pay_and_put_back(both, gate, tmp_path)
    turn(finance, gate)
    finance.later(hours=5)
    finance.world.desk.execute(ResumePartnerPayouts(partner_id=bolt), by="cli")
    hold(finance, acme)
    finance.pay()
    assert finance.payout(batch, bolt).status == "confirmed"

    turn(finance, Gate(finance.ledger, finance.gateway, finance.worker()))

    assert restore_check.gate(finance.ledger).unknown_transfers == (transfer_id,)


def test_after_the_database_was_away_the_provider_is_asked_again(both):
    """Whatever answers by then may have lost what nobody had seen yet."""
    finance, _ = both
    finance.partner("acme", available_minor=30_00)
    finance.approved()
    asked = []

    class Asked:
        """Counts the looks."""

        def transfers_since(self, since):
            asked.append(since)
            return finance.gateway.transfers_since(since)

    away = [True]

    class Away:
        """A worker whose database goes away once."""

        def turn(self, _stop=None, *, idle_s):
            if away:
                away.pop()
                raise DatabaseUnavailable("failing over")
            return idle_s

    gate = Gate(finance.ledger, Asked(), Away())
    with pytest.raises(DatabaseUnavailable):
        turn(finance, gate)
    turn(finance, gate)
    turn(finance, gate)

    assert len(asked) == 2
    assert put_back_facts(finance) == []


def test_a_step_ends_when_the_database_is_put_back_under_it(both, tmp_path, monkeypatch):
    """After the first of three payouts: the other two wait for the look."""
    finance, stripe = both
    for name in ("acme", "bolt", "crest"):
        finance.partner(name, available_minor=20_00)
    monkeypatch.setattr("payouts.gate.LOOK_S", 0.0)
    backups: list[Backup] = []

    def put_back(_intent):
        if backups:
            backups.pop().put_back()

    gate = Gate(finance.ledger, finance.gateway, finance.worker(Cut(finance.gateway, before=put_back)))
    turn(finance, gate)
    finance.approved()
    backups.append(Backup(finance.ledger.database, tmp_path))
    guarded = threading.Event()
    ended: list[int] = []
    monkeypatch.setattr(guarded, "wait", lambda _: guarded.set() if ended else ended.append(1))
    finance.runner.catch_up()

    gate.run(guarded)

    assert len(stripe.objects("transfer")) == 1
    assert isinstance(gate.refusal, DatabaseOlderThanProvider)


def test_an_outcome_is_not_recorded_upon_an_intent_that_was_lost(both, tmp_path):
    """Its lease was not lost with it: a stream would have a hole, and money would be paid that was never in
    transit."""
    finance, stripe = both
    acme = finance.partner("acme", available_minor=30_00)
    batch = finance.approved()
    backups: list[Backup] = []

    def reached(step):
        if step == "before the intent":
            backups.append(Backup(finance.ledger.database, tmp_path))
        if step == "answered":
            backups.pop().put_back()

    finance.runner.catch_up()
    with pytest.raises(DecidedUponLost):
        finance.worker(reached=reached).step()

    assert len(stripe.objects("transfer")) == 1
    assert finance.payout(batch).status == "approved"
    assert finance.balance(acme) == {"available": 30_00, "earned": 30_00}
    finance.pay()
    assert len(stripe.objects("transfer")) == 1, "its key is fresh: the same transfer is answered"
    assert finance.balance(acme) == {"paid": 30_00, "earned": 30_00}


def test_a_log_that_grows_stands(finance):
    """Empty, with the same end, and with a newer one."""
    seen = Sighting(finance.ledger)
    assert seen.still_stands()
    before = seen.position
    finance.partner("acme")

    assert seen.still_stands()

    assert seen.position > before > 0
    assert seen.still_stands()
