"""Idempotency in the stand-in: what is kept under a key, what is not, and that money moves once."""

import threading
import time
import uuid

import pytest
import stripe

from payouts.simulator.app import create_app
from payouts.simulator.faults import Faults
from payouts.simulator.store import Store
from tests.support.stripe_process import held, play_faults
from tests.support.stripe_sdk import KEY, a_transfer, an_account, connect, error_of, replayed


def test_the_same_key_gives_the_same_transfer_and_moves_money_once(client, address):
    account = an_account(client)
    first = a_transfer(client, account.id, key := str(uuid.uuid4()))
    second = a_transfer(client, account.id, key)

    assert second.id == first.id
    assert second.last_response.body == first.last_response.body
    assert second.last_response.headers["Idempotent-Replayed"] == "true"
    assert second.last_response.headers["Original-Request"] == first.last_response.request_id
    assert "Idempotent-Replayed" not in first.last_response.headers
    assert held(address, account.id) == {"gbp": 1250}


def test_the_same_key_with_other_parameters_is_refused(client, address):
    account = an_account(client)
    a_transfer(client, account.id, key := str(uuid.uuid4()))
    with pytest.raises(stripe.IdempotencyError) as refused:
        a_transfer(client, account.id, key, amount=1251)
    with pytest.raises(stripe.IdempotencyError):
        client.v1.topups.create({"amount": 1, "currency": "gbp"}, {"idempotency_key": key})

    assert (refused.value.http_status, error_of(refused.value).type) == (400, "idempotency_error")
    assert held(address, account.id) == {"gbp": 1250}


def test_what_fails_validation_is_not_kept_under_the_key(client):
    account, key = an_account(client), str(uuid.uuid4())
    with pytest.raises(stripe.InvalidRequestError):
        a_transfer(client, account.id, key, amount=0)

    assert a_transfer(client, account.id, key).amount == 1250


def test_a_refusal_in_execution_is_kept_under_the_key(client):
    account, key = an_account(client, country="JP"), str(uuid.uuid4())
    for _ in range(2):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            a_transfer(client, account.id, key, currency="jpy")
        assert refused.value.code == "balance_insufficient"
        client.v1.topups.create({"amount": 5000, "currency": "jpy"})

    assert replayed(refused.value) == "true"
    assert a_transfer(client, account.id, currency="jpy").currency == "jpy"


def test_a_500_is_kept_under_the_key_with_or_without_money_moved(client, address):
    for kind, moved in (("stored_500", {}), ("stored_500_after_commit", {"gbp": 1250})):
        account, key = an_account(client), str(uuid.uuid4())
        play_faults(address, {"on": "POST /v1/transfers", "do": kind})
        for _ in range(2):
            with pytest.raises(stripe.APIError) as failed:
                a_transfer(client, account.id, key)

        assert (failed.value.http_status, replayed(failed.value)) == (500, "true")
        assert held(address, account.id) == moved


def test_a_key_in_use_is_a_conflict_that_is_not_kept(client, address):
    account, key = an_account(client), str(uuid.uuid4())
    play_faults(address, {"on": "POST /v1/transfers", "do": "delay", "seconds": 1.0})
    slow = threading.Thread(target=a_transfer, args=(connect(address, []), account.id, key))
    slow.start()
    while play_faults(address):
        time.sleep(0.01)
    with pytest.raises(stripe.APIError) as conflict:
        a_transfer(client, account.id, key)
    slow.join()

    assert (conflict.value.http_status, error_of(conflict.value).code) == (409, "idempotency_key_in_use")
    assert held(address, account.id) == {"gbp": 1250}
    assert a_transfer(client, account.id, key).last_response.headers["Idempotent-Replayed"] == "true"


def test_many_at_once_with_one_key_move_money_once(client, address):
    account, key = an_account(client), str(uuid.uuid4())
    seen: list[str] = []

    def send() -> None:
        try:
            seen.append(a_transfer(connect(address, []), account.id, key).id)
        except stripe.APIError as conflict:
            seen.append(str(conflict.http_status))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(seen) == 8
    assert len(set(seen) - {"409"}) == 1
    assert held(address, account.id) == {"gbp": 1250}


def test_a_key_is_forgotten_after_a_day(tmp_path):
    """With a clock that the test moves; the process cannot be told the time."""
    from falcon import testing

    now = [1_700_000_000]
    store = Store(tmp_path / "stripe.db")
    api = testing.TestClient(create_app(store, Faults(), lambda: now[0]))
    headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": "k"}
    form = {"body": b"amount=5&currency=gbp", "content_type": "application/x-www-form-urlencoded"}
    first, again = (api.simulate_post("/v1/topups", headers=headers, **form).json["id"] for _ in range(2))
    now[0] += 24 * 3600
    later = api.simulate_post("/v1/topups", headers=headers, **form).json["id"]

    assert first == again != later


def test_a_key_has_at_most_255_characters(client):
    account = an_account(client)
    assert a_transfer(client, account.id, "k" * 255).amount == 1250
    with pytest.raises(stripe.IdempotencyError):
        a_transfer(client, account.id, "k" * 256)
