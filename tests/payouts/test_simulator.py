"""The stand-in for Stripe as the unmodified SDK sees it: a process, its errors, lists, books and memory."""

import json
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
import requests
import stripe

from payouts.simulator import books as own_books
from payouts.simulator.app import fund_platform
from payouts.simulator.books import Leg, Unbalanced
from payouts.simulator.company import Company
from payouts.simulator.faults import Faults
from payouts.simulator.store import Store
from tests.support.stripe_process import books, held, running_stripe
from tests.support.stripe_schemas import PUBLISHED, answer_mistakes, fixtures, mistakes
from tests.support.stripe_sdk import KEY, a_transfer, an_account, connect, error_of

# The answers


def test_every_answer_has_the_members_of_the_published_fixtures(client):
    """Not one more and not one less, where the fixture's kind is one that the stand-in makes whole."""
    account = an_account(client)
    transfer = a_transfer(client, account.id, metadata={"payout_id": "7"})
    reversal = client.v1.transfers.reversals.create(transfer.id, {"amount": 50})
    topup = client.v1.topups.create({"amount": 5, "currency": "gbp", "description": "Test money"})
    event = client.v1.events.list({"type": "transfer.created", "limit": 1}).data[0]
    whole = {
        "transfer": transfer,
        "transfer_reversal": reversal,
        "topup": topup,
        "balance": client.v1.balance.retrieve(),
        "balance_transaction": client.v1.balance_transactions.retrieve(transfer.balance_transaction),
        "event": event,
    }
    for kind, answer in whole.items():
        assert set(answer.to_dict()) == set(fixtures()[kind]), kind
    assert set(account.to_dict()) <= set(fixtures()["account"])
    for kind in ("transfer", "transfer_reversal", "balance", "balance_transaction", "event"):
        assert mistakes(PUBLISHED, kind, whole[kind].to_dict(), closed=False) == []


def test_every_address_answers_as_the_sdk_types_it(client):
    """Every route of the stand-in once; the client's fixture checks each answer."""
    account = an_account(client)
    transfer = a_transfer(client, account.id)
    reversal = client.v1.transfers.reversals.create(transfer.id)
    topup = client.v1.topups.create({"amount": 5, "currency": "gbp"})
    accounts, transfers = client.v1.accounts, client.v1.transfers

    changed = accounts.update(account.id, {"metadata": {"reference": "P-1"}, "email": "new@example.com"})
    described = transfers.update(transfer.id, {"description": "January", "metadata": {"a": "1", "b": "2"}})
    cleared = transfers.update(transfer.id, {"metadata": {"a": ""}})
    emptied = transfers.update(transfer.id, {"metadata": ""})

    assert (changed.metadata.to_dict(), changed.email) == ({"reference": "P-1"}, "new@example.com")
    assert described.description == "January"
    assert (cleared.metadata.to_dict(), emptied.metadata.to_dict()) == ({"b": "2"}, {})
    assert accounts.retrieve(account.id).email == "new@example.com"
    assert account.id in [one.id for one in accounts.list().data]
    assert transfers.retrieve(transfer.id).reversed
    assert [one.id for one in transfers.reversals.list(transfer.id).data] == [reversal.id]
    assert transfers.reversals.retrieve(transfer.id, reversal.id).amount == 1250
    assert client.v1.topups.retrieve(topup.id).status == "succeeded"
    assert topup.id in [one.id for one in client.v1.topups.list({"status": "succeeded", "amount": 5}).data]
    event = client.v1.events.list({"types": ["transfer.reversed", "topup.created"], "limit": 2}).data[1]
    assert client.v1.events.retrieve(event.id).data.object["id"] == transfer.id


def test_an_answer_that_drifts_from_the_types_would_be_seen():
    """The check itself: a made-up member, a text for a number and a missing member are all found."""
    response = requests.Response()
    response.status_code = 200
    response.request = requests.Request("GET", "http://stripe.invalid/v1/transfers/tr_1").prepare()
    transfer = fixtures()["transfer"]
    bent = (
        {**transfer, "status": "paid"},
        {**transfer, "amount": "1100"},
        {key: value for key, value in transfer.items() if key != "reversals"},
    )
    response._content = json.dumps(transfer).encode()
    assert answer_mistakes(response) == []
    for answer in bent:
        response._content = json.dumps(answer).encode()
        assert len(answer_mistakes(response)) == 2  # by the kept types, and by the installed ones


# Money


def test_a_transfer_moves_money_and_shows_on_both_sides(client, address):
    account = an_account(client)
    before = held(address, "platform")["gbp"]
    transfer = a_transfer(client, account.id, metadata={"payout_id": "p-1"})
    theirs = client.v1.balance_transactions.list(options={"stripe_account": account.id}).data
    ours = client.v1.balance_transactions.list({"source": transfer.id}).data

    assert held(address, account.id) == {"gbp": 1250}
    assert held(address, "platform")["gbp"] == before - 1250
    assert [(one.type, one.amount) for one in ours] == [("transfer", -1250)]
    assert [(one.type, one.amount, one.source) for one in theirs] == [
        ("payment", 1250, transfer.destination_payment)
    ]
    available = client.v1.balance.retrieve(options={"stripe_account": account.id}).available
    assert [(part.currency, part.amount) for part in available] == [("gbp", 1250)]
    assert transfer.metadata.to_dict() == {"payout_id": "p-1"}


def test_reversals_add_up_and_never_exceed_the_transfer(client, address):
    account = an_account(client)
    transfer = a_transfer(client, account.id)
    client.v1.transfers.reversals.create(transfer.id, {"amount": 250})
    half = client.v1.transfers.retrieve(transfer.id)
    with pytest.raises(stripe.InvalidRequestError, match="greater than"):
        client.v1.transfers.reversals.create(transfer.id, {"amount": 1001})
    client.v1.transfers.reversals.create(transfer.id)
    whole = client.v1.transfers.retrieve(transfer.id)
    with pytest.raises(stripe.InvalidRequestError, match="already fully reversed"):
        client.v1.transfers.reversals.create(transfer.id)

    assert (half.amount_reversed, half.reversed) == (250, False)
    assert (whole.amount_reversed, whole.reversed, len(whole.reversals.data)) == (1250, True, 2)
    assert held(address, account.id) == {"gbp": 0}


def test_a_movement_that_does_not_sum_to_zero_is_not_written(tmp_path):
    store = Store(tmp_path / "books.db")
    fund_platform(Company(store, Faults(), lambda: 1), {"gbp": 100})
    for legs in ([Leg("a", "gbp", 1), Leg("b", "usd", -1)], [Leg("a", "gbp", 1)], []):
        with pytest.raises(Unbalanced), store.write() as tx:
            own_books.move(tx.connection, "crooked", legs, 1)
    with store.write() as tx, pytest.raises(Exception, match="append-only"):
        tx.connection.execute("UPDATE book SET amount = 1")

    with store.read() as tx:
        trial = own_books.trial_balance(tx.connection)
    assert (trial["balanced"], trial["movements"]) == (True, 1)


def test_the_trial_balance_tells_on_a_tampered_book(tmp_path):
    store = Store(tmp_path / "books.db")
    fund_platform(Company(store, Faults(), lambda: 1), {"gbp": 100})
    with store.write() as tx:
        tx.connection.execute(
            "INSERT INTO book (movement, account, currency, amount, created)"
            " VALUES ('x', 'acct', 'gbp', 5, 1)"
        )
    with store.read() as tx:
        trial = own_books.trial_balance(tx.connection)

    assert trial["balanced"] is False
    assert trial["unbalanced_movements"] == [["x", "gbp", 5]]


# Refusals


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"amount": 12.5}, "parameter_invalid_integer", "amount"),
        ({"amount": "1e3"}, "parameter_invalid_integer", "amount"),
        ({"amount": 0}, "parameter_invalid_integer", "amount"),
        ({"amount": -1}, "parameter_invalid_integer", "amount"),
        ({"amount": 2**63}, "parameter_invalid_integer", "amount"),
        ({"amount": "9" * 5000}, "parameter_invalid_integer", "amount"),
        ({"currency": "xxx"}, None, "currency"),
        ({"currency": ""}, "parameter_invalid_empty", "currency"),
        ({"destination": "acct_nobody"}, "resource_missing", "destination"),
        ({"colour": "blue"}, "parameter_unknown", "colour"),
        ({"expand": ["colour"]}, None, "expand"),
        ({"metadata": {"k" * 41: "v"}}, None, f"metadata[{'k' * 41}]"),
        ({"metadata": {"k": "v" * 501}}, None, "metadata[k]"),
        ({"amount": 10**15}, "balance_insufficient", None),
    ],
)
def test_a_bad_transfer_is_refused_and_moves_nothing(client, address, params, code, param):
    account = an_account(client)
    movements = books(address)["movements"]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        a_transfer(client, params.pop("destination", account.id), **params)

    assert (refused.value.http_status, refused.value.code, refused.value.param) == (400, code, param)
    assert books(address)["movements"] == movements


def test_a_required_parameter_is_missed(client):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.transfers.create({"currency": "gbp", "destination": an_account(client).id})

    assert (refused.value.code, refused.value.param) == ("parameter_missing", "amount")


def test_an_account_without_the_capability_receives_nothing(client, address):
    account = an_account(client)
    client.v1.accounts.update(account.id, {"capabilities": {"transfers": {"requested": False}}})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        a_transfer(client, account.id)

    assert refused.value.code == "insufficient_capabilities_for_transfer"
    assert held(address, account.id) == {}


def test_what_is_not_there_is_not_found(client):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.transfers.retrieve("tr_nothing")
    with pytest.raises(stripe.PermissionError) as forbidden:
        client.v1.accounts.retrieve("acct_nothing")

    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")
    assert error_of(forbidden.value).code == "account_invalid"


@pytest.mark.parametrize("key", ["sk_live_secret", "pk_test_1", "nonsense"])
def test_only_test_keys_open_the_door(address, key):
    wrong: list[str] = []
    with pytest.raises(stripe.AuthenticationError) as refused:
        connect(address, wrong, key).v1.balance.retrieve()

    assert "secret" not in str(refused.value)
    assert wrong == []


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/v1/coupons", {"auth": (KEY, "")}, 404),
        ("POST", "/v1/balance", {"auth": (KEY, "")}, 404),
        ("DELETE", "/v1/transfers", {"auth": (KEY, "")}, 404),
        ("GET", "/v1/balance", {}, 401),
        ("GET", "/v1/balance", {"auth": (KEY, "")}, 200),
        ("POST", "/v1/topups", {"auth": (KEY, ""), "json": {"amount": 1, "currency": "gbp"}}, 400),
        ("POST", "/v1/topups", {"auth": (KEY, ""), "data": {"amount[a]": "1"}}, 400),
        ("POST", "/v1/topups", {"auth": (KEY, ""), "data": "amount=%ff&currency=gbp"}, 400),
        ("POST", "/v1/topups", {"auth": (KEY, ""), "data": "amount]=1&currency=gbp"}, 400),
        ("POST", "/v1/topups", {"auth": (KEY, ""), "data": "a=1&a[b]=2"}, 400),
        ("GET", "/v1/transfers?limit=101", {"auth": (KEY, "")}, 400),
        ("GET", "/v1/transfers?starting_after=tr_no", {"auth": (KEY, "")}, 400),
        ("GET", "/v1/transfers?colour=blue", {"auth": (KEY, "")}, 400),
        ("POST", "/_sim/faults", {"json": [{"on": "*", "do": "nonsense"}]}, 400),
    ],
)
def test_odd_requests_get_stripes_error_shape(address, method, path, options, status):
    data = options.get("data")
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if isinstance(data, str) else {}
    response = requests.request(method, address + path, headers=headers, timeout=10, **options)

    assert response.status_code == status
    assert response.headers["Request-Id"].startswith("req_")
    assert status == 200 or mistakes(PUBLISHED, "error", response.json(), closed=False) == []


# Lists


def test_lists_page_through_everything_newest_first(client):
    account, group = an_account(client), str(uuid.uuid4())
    made = [a_transfer(client, account.id, transfer_group=group).id for _ in range(7)]
    a_transfer(client, account.id, transfer_group="another")
    lists = client.v1.transfers
    paged = lists.list({"transfer_group": group, "destination": account.id, "limit": 3})
    middle = lists.list({"transfer_group": group, "limit": 2, "ending_before": made[2]})

    assert (len(paged.data), paged.has_more, paged.url) == (3, True, "/v1/transfers")
    assert [one.id for one in paged.auto_paging_iter()] == made[::-1]
    assert [one.id for one in middle.data] == [made[4], made[3]]
    assert middle.has_more
    last = lists.list({"transfer_group": group, "starting_after": made[1]})
    assert ([one.id for one in last.data], last.has_more) == ([made[0]], False)


def test_lists_filter_by_time(client):
    account = an_account(client)
    transfer = a_transfer(client, account.id)
    by = {"destination": account.id}
    found = [
        len(client.v1.transfers.list({**by, "created": created}).data)
        for created in (transfer.created, {"gte": transfer.created}, {"gt": transfer.created}, {"lt": 1})
    ]

    assert found == [1, 1, 0, 0]


def test_rows_that_come_while_paging_do_not_disturb(client):
    account, group = an_account(client), str(uuid.uuid4())
    made = [a_transfer(client, account.id, transfer_group=group).id for _ in range(4)]
    seen = []
    for transfer in client.v1.transfers.list({"transfer_group": group, "limit": 2}).auto_paging_iter():
        seen.append(transfer.id)
        a_transfer(client, account.id, transfer_group=group)

    assert seen == made[::-1]


# The process


def test_everything_outlives_the_process(tmp_path):
    wrong: list[str] = []
    with running_stripe(tmp_path, platform_balance=["gbp=10000"]) as address:
        client = connect(address, wrong)
        account = an_account(client)
        first = a_transfer(client, account.id, "once")
    with running_stripe(tmp_path, platform_balance=["gbp=10000"]) as address:
        client = connect(address, wrong)
        again = a_transfer(client, account.id, "once")

        assert again.last_response.body == first.last_response.body
        assert client.v1.accounts.retrieve(account.id).id == account.id
        assert held(address, account.id) == {"gbp": 1250}
        assert held(address, "platform") == {"gbp": 8750}
        assert books(address)["balanced"] is True
        assert wrong == []


def test_it_ends_with_the_process_that_started_it(tmp_path):
    """The parent is killed, so nothing but the stand-in's own watch can end it: then it is silent."""
    start = (
        "import subprocess, sys; subprocess.Popen([sys.executable, '-m', 'payouts.simulator',"
        f" '--with-parent', '--port', '0', '--database', {str(tmp_path / 'stripe.db')!r}]); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", start], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        address = parent.stdout.readline().split()[-1]
        assert books(address)["balanced"] is True
        parent.kill()

        # Both held the other end of this pipe: it is at its end only when both are gone.
        assert parent.stdout.read() == ""
    with pytest.raises(requests.ConnectionError):
        books(address)


def test_a_taken_port_is_said_plainly(address, tmp_path, capsys):
    from payouts.simulator.__main__ import main

    port = address.rpartition(":")[2]

    assert main(["--port", port, "--database", str(tmp_path / "other.db")]) == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err


@pytest.mark.parametrize("money", ["gbp", "gbp=1.5", "xxx=5", "gbp=0", "gbp=-1"])
def test_odd_test_money_is_refused_at_the_start(tmp_path, money):
    from payouts.simulator.__main__ import main

    with pytest.raises(SystemExit):
        main(["--database", str(tmp_path / "stripe.db"), "--platform-balance", money])
    assert not Path(tmp_path / "stripe.db").exists()


def test_the_books_balance_after_all_of_this(address, client):
    """What the tests before did here may be little, when several processes share them: some more, then."""
    account = an_account(client)
    for _ in range(5):
        transfer = a_transfer(client, account.id)
        client.v1.transfers.reversals.create(transfer.id, {"amount": 1})
        client.v1.topups.create({"amount": 5, "currency": "gbp", "description": "Test money"})

    trial = books(address)

    assert trial["balanced"] is True
    assert trial["movements"] > 10
    assert set(trial["sum_by_currency"].values()) == {0}
