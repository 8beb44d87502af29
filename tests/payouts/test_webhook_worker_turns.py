"""The webhook worker itself: batches, a provider that is away, what goes wrong, its death and its stop."""

import threading
from datetime import timedelta

import pytest

from ledger.desk import PARTNER
from payouts.outcomes import GatewayError, NotSent, Rejected, RetryLater, Unknown
from payouts.webhooks.worker import ATTEMPTS_MAX, WebhookWorker


def test_several_events_about_one_thing_are_one_look(quick):
    """In a batch."""
    quick.partner()
    quick.provider.stands("acct_1")
    for _ in range(10):
        quick.event("account.updated", "acct_1", "acct_1")

    assert quick.work() == 10
    assert quick.provider.asked == ["account acct_1"]


@pytest.mark.parametrize(
    "outcome", [Unknown(reason="connection"), NotSent(reason="AuthenticationError"), RetryLater(after_s=30)]
)
def test_a_provider_that_is_away_costs_no_attempt(quick, outcome):
    """However long: an event is never given up for it, and the questions become fewer."""
    quick.partner()
    quick.provider.stands("acct_1")
    away = [True]

    def before(_question: str) -> None:
        if away[0]:
            raise GatewayError(outcome)

    quick.provider.before = before
    quick.event("account.updated", "acct_1", "acct_1", event_id="evt_1")
    for _ in range(80):
        quick.work()
        quick.later(timedelta(minutes=15))
    assert quick.ends()["evt_1"][0] == "waiting"
    assert 20 < len(quick.provider.asked) < 40
    away[0] = False
    quick.later(timedelta(hours=2))

    assert quick.work() == 1


def test_a_provider_that_is_too_busy_is_left_alone(quick):
    """The rest of the batch is not even tried."""
    for number in (1, 2, 3):
        quick.provider.stands(f"acct_{number}")
        quick.event("account.updated", f"acct_{number}", f"acct_{number}")

    def before(_question: str) -> None:
        raise GatewayError(RetryLater(after_s=60))

    quick.provider.before = before
    assert quick.work() == 0
    assert len(quick.provider.asked) == 1
    quick.later(timedelta(seconds=59))
    assert quick.work() == 0
    assert len(quick.provider.asked) == 1


@pytest.mark.parametrize(
    "error", [GatewayError(Rejected("parameter_invalid", "No.")), ZeroDivisionError("x")]
)
def test_what_goes_wrong_with_us_ends_with_a_human(quick, error):
    """After some tries with longer and longer pauses, with its reason; the others go on."""
    quick.partner()
    quick.provider.stands("acct_1")

    def before(question: str) -> None:
        if question.startswith("transfer "):
            raise error

    quick.provider.before = before
    quick.event("transfer.updated", "tr_1", event_id="evt_poison")
    quick.event("account.updated", "acct_1", "acct_1", event_id="evt_good")
    for _ in range(ATTEMPTS_MAX + 2):
        quick.work()
        quick.later(timedelta(hours=1))

    status, reason = quick.ends()["evt_poison"]
    assert status == "held"
    assert f"{ATTEMPTS_MAX} attempts failed" in reason
    assert type(error).__name__ in reason
    assert quick.ends()["evt_good"] == ("done", None)
    assert len([one for one in quick.provider.asked if one == "transfer tr_1"]) == ATTEMPTS_MAX


def test_an_event_whose_worker_died_is_taken_up_by_another(quick):
    """After its lease; that counts as an attempt, so that one that kills workers ends, too."""
    quick.partner()
    quick.provider.stands("acct_1")
    quick.event("account.updated", "acct_1", "acct_1", event_id="evt_1")

    def before(_question: str) -> None:
        raise KeyboardInterrupt

    quick.provider.before = before
    with pytest.raises(KeyboardInterrupt):
        quick.work()
    quick.provider.before = lambda _question: None
    other = WebhookWorker(quick.ledger, quick.provider, reminders=False)
    assert other.step() == 0
    quick.later(timedelta(minutes=6))

    assert other.step() == 1
    assert quick.ends()["evt_1"] == ("done", None)


def test_events_of_the_other_mode_change_nothing(quick):
    """A test event at a live installation, or the other way round."""
    quick.provider.livemode = True
    quick.partner()
    quick.event("account.updated", "acct_1", "acct_1", event_id="evt_1")
    quick.work()

    assert quick.ends()["evt_1"][0] == "noted"
    assert quick.provider.asked == []


def test_a_stop_leaves_the_rest_for_the_next_start(quick):
    """Nothing waits for a lease to end."""
    quick.provider.stands("acct_1")
    quick.partner()
    quick.event("account.updated", "acct_1", "acct_1")
    stop = threading.Event()
    stop.set()

    assert quick.worker.step(stop) == 0
    assert quick.work() == 1


def test_accounts_that_nobody_has_looked_at_are_looked_at_at_the_start(connected):
    """And every day: else their partners would never be paid. Once they are known, no more."""
    acme = connected.partner("acct_1", "acme")
    bolt = connected.partner("acct_2", "bolt")
    connected.provider.stands("acct_1")
    connected.provider.stands("acct_2", active=False)
    connected.worker = WebhookWorker(connected.ledger, connected.provider)
    connected.worker.step()
    seen = [connected.ledger.load(one, PARTNER).state.account_seen("stripe") for one in (acme, bolt)]
    assert [one.transfers_active for one in seen] == [True, False]

    late = connected.partner("acct_3", "cove")
    connected.provider.stands("acct_3")
    connected.provider.asked.clear()
    connected.later(timedelta(days=1))
    connected.work()
    assert connected.ledger.load(late, PARTNER).state.account_seen("stripe") is not None
    assert "account acct_1" not in connected.provider.asked
