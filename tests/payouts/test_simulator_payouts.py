"""The other side of a transfer in the stand-in: payments, payouts to banks, expanded objects."""

import threading

import pytest
import stripe

from payouts.simulator.company import Company
from payouts.simulator.faults import Fault, Faults
from payouts.simulator.store import Store, Transaction
from tests.support.in_process_stripe import START
from tests.support.stripe_schemas import fixtures
from tests.support.stripe_sdk import a_transfer, an_account, error_of

DAY_S = 24 * 3600


@pytest.fixture
def client(in_process_client: stripe.StripeClient) -> stripe.StripeClient:
    return in_process_client


def of(account: stripe.Account) -> stripe.RequestOptions:
    return {"stripe_account": account.id}


def kinds_of_events(client: stripe.StripeClient, prefix: str) -> list[tuple[str, str | None]]:
    """Types and accounts of events, oldest first."""
    events = client.v1.events.list({"type": f"{prefix}.*", "limit": 100}).data
    return [(event.type, event.to_dict().get("account")) for event in reversed(events)]


def test_a_payout_is_paid_two_days_later(client, standin):
    account = an_account(client)
    a_transfer(client, account.id)
    payout = client.v1.payouts.create({"amount": 1000, "currency": "gbp"}, of(account))
    told = [payout.status]
    for _ in range(2):
        standin.advance(DAY_S)
        told.append(client.v1.payouts.retrieve(payout.id, options=of(account)).status)

    assert told == ["pending", "in_transit", "paid"]
    assert payout.arrival_date == START + 2 * DAY_S
    assert set(payout.to_dict()) == set(fixtures()["payout"])
    assert standin.held(account.id) == {"gbp": 250}
    listed = client.v1.payouts.list({"status": "paid"}, of(account)).data
    assert [one.id for one in listed] == [payout.id]
    assert client.v1.payouts.list().data == []
    assert kinds_of_events(client, "payout") == [
        ("payout.created", account.id),
        ("payout.updated", account.id),
        ("payout.paid", account.id),
    ]
    paid = client.v1.events.list({"type": "payout.paid"}).data[0]
    assert paid.created == payout.arrival_date


@pytest.mark.parametrize(
    ("kind", "said"), [("payout_fails", ["paid", "failed"]), ("payout_fails_unpaid", [])]
)
def test_a_failed_payout_is_back_in_the_connected_account(client, standin, kind, said):
    """Up to five business days after it said `paid`; nothing comes back to the platform."""
    account = an_account(client)
    a_transfer(client, account.id)
    platform = standin.held("platform")["gbp"]
    standin.play(Fault("payout", kind, seconds=5 * DAY_S))
    payout = client.v1.payouts.create({"amount": 1250, "currency": "gbp"}, of(account))
    standin.advance(2 * DAY_S)
    first = client.v1.payouts.retrieve(payout.id, options=of(account)).status
    held_then = standin.held(account.id)
    standin.advance(5 * DAY_S)
    failed = client.v1.payouts.retrieve(payout.id, {"expand": ["failure_balance_transaction"]}, of(account))

    assert [first, failed.status] == (said or ["failed", "failed"])
    assert held_then == {"gbp": 0 if said else 1250}
    assert standin.held(account.id) == {"gbp": 1250}
    assert standin.held("platform")["gbp"] == platform
    assert failed.failure_code == "account_closed"
    back = failed.failure_balance_transaction
    assert isinstance(back, stripe.BalanceTransaction)
    assert (back.type, back.amount, back.source) == ("payout_failure", 1250, payout.id)
    paid_told = [kind for kind, _ in kinds_of_events(client, "payout") if kind == "payout.paid"]
    assert len(paid_told) == (1 if said else 0)


def test_an_automatic_payout_names_the_transfers_in_it(client, standin):
    """By its balance transactions, expanded down to the transfer: the way from a payout to our metadata."""
    account = an_account(client)
    sent = [a_transfer(client, account.id, metadata={"payout_id": f"p-{n}"}) for n in range(3)]
    standin.set(automatic_payouts=True)
    standin.advance(DAY_S)
    (payout,) = client.v1.payouts.list({}, of(account)).data
    later = a_transfer(client, account.id)
    legs = client.v1.balance_transactions.list(
        {"payout": payout.id, "type": "payment", "expand": ["data.source.source_transfer"]}, of(account)
    ).data

    assert payout.automatic
    assert (payout.amount, payout.status) == (3750, "pending")
    names = [leg.to_dict()["source"]["source_transfer"]["metadata"]["payout_id"] for leg in legs]
    assert sorted(names) == ["p-0", "p-1", "p-2"]
    assert later.id not in {leg.to_dict()["source"]["source_transfer"]["id"] for leg in legs}
    assert len(sent) == len(legs)
    standin.advance(DAY_S)
    assert len(client.v1.payouts.list({}, of(account)).data) == 2


def test_what_failed_is_in_the_next_automatic_payout(client, standin):
    account = an_account(client)
    transfer = a_transfer(client, account.id)
    standin.play(Fault("payout", "payout_fails", seconds=DAY_S))
    (first,) = standin.pay_out(account.id)
    standin.advance(4 * DAY_S)
    (second,) = standin.pay_out(account.id)
    of_payouts = [
        [
            leg.source
            for leg in client.v1.balance_transactions.list(
                {"payout": payout, "type": "payment"}, of(account)
            ).data
        ]
        for payout in (first, second)
    ]

    assert of_payouts == [[], [transfer.destination_payment]]
    assert client.v1.payouts.retrieve(second, options=of(account)).amount == 1250


def test_a_payout_that_is_not_covered_allowed_or_pending_is_refused(client, standin):
    account = an_account(client)
    a_transfer(client, account.id)
    with pytest.raises(stripe.InvalidRequestError) as uncovered:
        client.v1.payouts.create({"amount": 1251, "currency": "gbp"}, of(account))
    with pytest.raises(stripe.InvalidRequestError, match="method"):
        client.v1.payouts.create({"amount": 1, "currency": "gbp", "method": "instant"}, of(account))
    payout = client.v1.payouts.create({"amount": 1250, "currency": "gbp"}, of(account))
    canceled = client.v1.payouts.cancel(payout.id, options=of(account))
    with pytest.raises(stripe.InvalidRequestError, match="pending"):
        client.v1.payouts.cancel(payout.id, options=of(account))
    described = client.v1.payouts.update(payout.id, {"metadata": {"a": "b"}}, of(account))
    standin.tweak(account.id, payouts_enabled=False)
    with pytest.raises(stripe.InvalidRequestError) as disabled:
        client.v1.payouts.create({"amount": 1, "currency": "gbp"}, of(account))
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payouts.retrieve(payout.id)
    with pytest.raises(stripe.InvalidRequestError, match="on behalf of"):
        client.v1.topups.create({"amount": 1, "currency": "gbp"}, of(account))
    standin.advance(5 * DAY_S)

    assert (uncovered.value.code, disabled.value.code) == ("balance_insufficient", "payouts_not_allowed")
    assert canceled.status == "canceled"
    assert described.to_dict()["metadata"] == {"a": "b"}
    assert client.v1.payouts.retrieve(payout.id, options=of(account)).status == "canceled"
    assert standin.held(account.id) == {"gbp": 1250}


def test_a_key_is_the_accounts_own(client):
    """The same key with another `Stripe-Account` is another request."""
    ids = []
    for country in ("GB", "FR"):
        account = an_account(client, country=country)
        a_transfer(client, account.id)
        for _ in range(2):
            options: stripe.RequestOptions = {**of(account), "idempotency_key": "the-same"}
            ids.append(client.v1.payouts.create({"amount": 1, "currency": "gbp"}, options).id)

    assert ids[0] == ids[1] != ids[2] == ids[3]


def test_the_other_side_of_transfers_and_reversals_can_be_read(client):
    account = an_account(client)
    transfer = a_transfer(client, account.id)
    reversal = client.v1.transfers.reversals.create(
        transfer.id, {"amount": 250, "expand": ["transfer", "destination_payment_refund"]}
    )
    payment = client.v1.charges.retrieve(str(transfer.destination_payment), {}, of(account))
    expanded = client.v1.transfers.retrieve(
        transfer.id, {"expand": ["destination", "balance_transaction", "destination_payment"]}
    )
    refund = client.v1.balance_transactions.list(
        {"type": "payment_refund", "expand": ["data.source"]}, of(account)
    ).data[0]

    assert (payment.amount, payment.amount_refunded, payment.refunded) == (1250, 250, False)
    assert payment.source_transfer == transfer.id
    assert set(payment.to_dict()) <= set(fixtures()["charge"])
    assert [one.id for one in client.v1.charges.list({}, of(account)).data] == [payment.id]
    shown = expanded.to_dict()
    assert shown["destination"]["id"] == account.id
    assert shown["balance_transaction"]["amount"] == -1250
    assert shown["destination_payment"]["id"] == payment.id
    assert reversal.to_dict()["transfer"]["id"] == transfer.id
    assert reversal.to_dict()["destination_payment_refund"]["amount"] == 250
    assert refund.to_dict()["source"]["source_transfer_reversal"] == reversal.id


@pytest.mark.parametrize("path", ["metadata", "balance_transaction.source.transfer.destination.metadata", ""])
def test_what_cannot_be_expanded_is_refused(client, path):
    account = an_account(client)
    transfer = a_transfer(client, account.id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.transfers.retrieve(transfer.id, {"expand": [path]})

    assert error_of(refused.value).param in ("expand", "expand[0]")


def test_an_expanded_answer_is_the_one_that_is_given_again(client):
    """What was asked for is part of the request: the same key without `expand` is another request."""
    account = an_account(client)
    given = {"expand": ["destination"]}
    first = a_transfer(client, account.id, "k", **given)
    again = a_transfer(client, account.id, "k", **given)
    with pytest.raises(stripe.IdempotencyError):
        a_transfer(client, account.id, "k")

    assert first.last_response.body == again.last_response.body
    assert first.to_dict()["destination"]["id"] == account.id


def test_what_is_scheduled_while_it_looks_is_not_forgotten(tmp_path, monkeypatch):
    """A payout made in the very moment in which the stand-in looked when something is due never arrived."""
    store = Store(tmp_path / "books.db")
    company = Company(store, Faults(), lambda: 100)
    seen = Transaction.next_due
    others: list[threading.Thread] = []

    def schedule() -> None:
        with company.acting() as work:
            work.schedule(100, "payout paid", "po_1")

    def looked(tx: Transaction, never: int) -> int:
        found = seen(tx, never)
        others.append(threading.Thread(target=schedule))
        others[-1].start()
        others[-1].join(0.3)  # it has done it by now, or it waits for us
        return found

    monkeypatch.setattr(Transaction, "next_due", looked)

    company.look_when_due()
    others[0].join()

    assert company.is_due()
    store.close()
