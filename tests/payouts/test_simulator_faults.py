"""Every fault of the stand-in, over a socket and in the test's own process: what is said, what moved."""

from collections.abc import Callable, Iterator
from typing import NamedTuple, get_args

import msgspec
import pytest

from payouts.gateway import Confirmed, Outcome, Rejected, RetryLater, StripeGateway, Unknown
from payouts.simulator.faults import CallFault, Fault, FaultKind, Faults
from tests.support.in_process_stripe import ADDRESS, InProcessStripe
from tests.support.stripe_process import held, play_faults, running_stripe
from tests.support.transfers import intent

KEY = "sk_test_faults"
TRANSFER = "POST /v1/transfers"


class Surroundings(NamedTuple):
    """A stand-in of either kind: the way to it, to its faults, and to its books."""

    gateway: StripeGateway
    play: Callable[[Fault], object]
    held: Callable[[str], dict[str, int]]


@pytest.fixture(scope="module", params=["process", "in process"])
def stripe_in(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Surroundings]:
    if request.param == "in process":
        standin = InProcessStripe()
        gateway = StripeGateway(KEY, ADDRESS, http_client=standin.http_client())
        yield Surroundings(gateway, standin.play, standin.held)
        return
    with running_stripe(tmp_path_factory.mktemp("stripe")) as address:
        yield Surroundings(
            StripeGateway(KEY, address, read_timeout_s=0.3),
            lambda fault: play_faults(address, msgspec.to_builtins(fault)),
            lambda account: held(address, account),
        )


ODD: list[tuple[FaultKind, Outcome, int, type[Outcome]]] = [
    ("drop_before", Unknown("connection"), 0, Confirmed),
    ("drop_after_commit", Unknown("connection"), 1250, Confirmed),
    ("hang_after_commit", Unknown("connection"), 1250, Confirmed),
    ("truncate_after_commit", Unknown("connection"), 1250, Confirmed),
    ("stored_500", Unknown("server_error"), 0, Unknown),
    ("stored_500_after_commit", Unknown("server_error"), 1250, Unknown),
    ("html_502", Unknown("server_error"), 0, Confirmed),
    ("html_502_after_commit", Unknown("server_error"), 1250, Confirmed),
    ("no_json_after_commit", Unknown("server_error"), 1250, Confirmed),
    ("rate_limit", RetryLater(7), 0, Confirmed),
    ("lock_timeout", RetryLater(7), 0, Confirmed),
    ("key_in_use", Unknown("conflict"), 0, Confirmed),
    ("list_lag", Confirmed("", None, 0), 1250, Confirmed),
    ("insufficient_balance", Rejected("balance_insufficient", "", 400), 0, Rejected),
    ("capability_lost", Rejected("insufficient_capabilities_for_transfer", "", 400), 0, Rejected),
]


def short(outcome: Outcome) -> tuple[object, ...]:
    """What an outcome says, without words for humans and without ids."""
    match outcome:
        case Unknown(reason=reason):
            return (Unknown, reason)
        case RetryLater(after_s=after_s):
            return (RetryLater, after_s)
        case Rejected(code=code, http_status=status):
            return (Rejected, code, status)
        case _:
            return (type(outcome),)


@pytest.mark.parametrize(("kind", "said", "moved", "then"), ODD)
def test_a_fault_says_one_thing_and_the_same_key_tells_the_truth(stripe_in, kind, said, moved, then):
    """The first call meets the fault; the same bytes under the same key move nothing a second time."""
    gateway = stripe_in.gateway
    account = gateway.create_account("P-1", "GB", "partner@example.com", f"account-{kind}")
    wish = intent(account)
    stripe_in.play(Fault(TRANSFER, kind, seconds=5.0, retry_after_s=7))
    first = gateway.create_transfer(wish)
    moved_at_first = stripe_in.held(account)
    again = gateway.create_transfer(wish)

    assert short(first) == short(said)
    assert moved_at_first == ({"gbp": moved} if moved else {})
    assert isinstance(again, then)
    assert stripe_in.held(account) == ({"gbp": 1250} if moved or then is Confirmed else {})


def test_every_kind_of_fault_is_in_the_table_above():
    shown_below = {"delay", "drain_platform", "insert_while_paging"}

    assert set(get_args(CallFault)) - {kind for kind, *_ in ODD} == shown_below


def test_a_drained_platform_has_no_money_until_it_is_topped_up():
    """Not only said: the books show where it went, and a new key works once it is back."""
    standin = InProcessStripe(platform_balance={"gbp": 5000})
    gateway = StripeGateway(KEY, ADDRESS, http_client=standin.http_client())
    account = gateway.create_account("P-1", "GB", "partner@example.com", "k")
    first = gateway.create_transfer(intent(account))
    standin.play(Fault(TRANSFER, "drain_platform"))
    refused = gateway.create_transfer(intent(account))
    still = gateway.create_transfer(intent(account))
    gateway.top_up_test_balance("GBP", 5000, "more")

    assert isinstance(first, Confirmed)
    assert isinstance(refused, Rejected)
    assert isinstance(still, Rejected)
    assert (refused.code, still.code) == ("balance_insufficient", "balance_insufficient")
    assert isinstance(gateway.create_transfer(intent(account)), Confirmed)
    assert standin.held("platform") == {"gbp": 3750}
    assert [payout["amount"] for payout in standin.objects("payout")] == [3750]
    assert standin.books()["balanced"] is True


def test_lists_lag_behind_for_one_object_or_for_all():
    """A transfer that exists is not in its list yet; asked for by its id it is there."""
    standin = InProcessStripe()
    gateway = StripeGateway(KEY, ADDRESS, http_client=standin.http_client())
    account = gateway.create_account("P-1", "GB", "partner@example.com", "k")

    def listed() -> int:
        return len(gateway.find_transfers("batch-1", account))

    standin.play(Fault(TRANSFER, "list_lag", seconds=60))
    sent = gateway.create_transfer(intent(account))
    assert isinstance(sent, Confirmed)
    before = listed()
    standin.advance(59)
    almost = listed()
    standin.advance(1)
    after = listed()
    standin.set(list_lag_s=30)
    gateway.create_transfer(intent(account))

    assert (before, almost, after, listed()) == (0, 0, 1, 1)
    standin.advance(30)
    assert listed() == 2
    assert standin.sdk().v1.transfers.retrieve(sent.transfer_id).id == sent.transfer_id


def test_rows_inserted_while_paging_neither_hide_nor_repeat_any():
    standin = InProcessStripe()
    gateway = StripeGateway(KEY, ADDRESS, http_client=standin.http_client())
    account = gateway.create_account("P-1", "GB", "partner@example.com", "k")
    for _ in range(205):
        gateway.create_transfer(intent(account))
    standin.play(Fault("GET /v1/transfers", "insert_while_paging", times=None))
    found = gateway.find_transfers("batch-1", account)

    assert len(found) == len({transfer.id for transfer in found}) == 205
    assert len(standin.objects("transfer")) == 205 + 3
    assert standin.books()["balanced"] is True


def test_a_hanging_answer_costs_the_caller_its_patience():
    """In process the time is lost on the virtual clock: the SDK's own timeout ends it."""
    standin = InProcessStripe()
    gateway = StripeGateway(KEY, ADDRESS, http_client=standin.http_client())
    account = gateway.create_account("P-1", "GB", "partner@example.com", "k")
    before = standin.clock()
    standin.play(Fault(TRANSFER, "hang_after_commit"), Fault(TRANSFER, "delay", seconds=3.0))
    gateway.create_transfer(intent(account))
    hung = standin.clock()
    gateway.create_transfer(intent(account))

    assert (hung - before, standin.clock() - hung) == (80, 3)


def test_a_fault_strikes_the_nth_call_or_by_seeded_chance():
    nth = Faults()
    nth.add([Fault("*", "drop_before", nth=3)])
    struck = [nth.take("GET /v1/balance") is not None for _ in range(5)]
    by_chance = [Faults(7), Faults(7), Faults(8)]
    for faults in by_chance:
        faults.add([Fault("*", "drop_before", times=None, per_mille=250)])
    runs = [[faults.take("GET /v1/balance") is not None for _ in range(1000)] for faults in by_chance]

    assert struck == [False, False, True, False, False]
    assert runs[0] == runs[1] != runs[2]
    assert 200 < sum(runs[0]) < 300


def test_the_first_line_that_strikes_is_taken_and_each_counts_what_it_saw():
    faults = Faults()
    sure = faults.add(
        [
            Fault("POST /v1/topups", "rate_limit", times=2),
            Fault("*", "stored_500", nth=2),
            Fault("*", "delay", times=None),
        ]
    )
    seen = [faults.take(call) for call in ("GET /v1/events", "POST /v1/topups", "POST /v1/topups")]

    assert sure == 3
    assert [fault.do if fault else None for fault in seen] == ["delay", "rate_limit", "rate_limit"]
    assert faults.add([]) == 1  # the second call was another line's, so that line waits in vain


def test_a_reset_stand_in_begins_anew():
    """Same ids, same chances, no memory: what a schedule does depends on its seed alone."""
    standin = InProcessStripe()
    gateway = StripeGateway(KEY, ADDRESS, http_client=standin.http_client())
    told = []
    for _ in range(2):
        standin.reset(seed=5, platform_balance={"gbp": 10_000})
        standin.play(Fault(TRANSFER, "drop_after_commit", times=None, per_mille=500))
        account = gateway.create_account("P-1", "GB", "partner@example.com", "k")
        told.append([str(gateway.create_transfer(intent(account, f"key-{n}"))) for n in range(9)])
        standin.advance(3600)

    assert told[0] == told[1]
    assert "Confirmed" in str(told)
    assert "connection" in str(told)
    assert standin.held("platform") == {"gbp": 0}
    assert len(standin.objects("transfer")) == 8
    assert standin.books()["balanced"] is True
