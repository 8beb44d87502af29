"""A story's webhooks in any order, some twice, some three days late: always the same end."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.desk import PARTNER
from ledger.payout import PayoutState
from ledger.postings import postings
from payouts.batches import PAYOUT
from payouts.connected import Contents
from payouts.webhooks.worker import WebhookWorker
from tests.support.connected import Connected
from tests.support.databases import postgresql_database, sqlite_copy

HOUR: Final = timedelta(hours=1)
Fresh = Callable[[], AbstractContextManager[str]]
"""Makes a fresh, migrated database: its URL."""
Happening = tuple[str, Callable[[Connected, int], None], tuple[str, str, str | None]]


def _account(active: bool, why: str | None = None) -> Callable[[Connected, int], None]:
    def happen(world: Connected, _at: int) -> None:
        world.provider.stands("acct_1", active=active, disabled_reason=why)

    return happen


def _bank(
    number: int, amount_minor: int, status: Any, contents: Contents | None
) -> Callable[[Connected, int], None]:
    def happen(world: Connected, at: int) -> None:
        known = world.provider.payouts.get(f"po_{number}")
        created = known[1].created if known else at
        world.provider.pays_out(f"po_{number}", "acct_1", amount_minor, status, created, contents)

    return happen


def _back(number: int, transfer: str, amount_minor: int) -> Callable[[Connected, int], None]:
    def happen(world: Connected, at: int) -> None:
        world.provider.reverses(f"trr_{number}", transfer, amount_minor, at)

    return happen


def story(automatic: bool) -> list[Happening]:
    """What happens at the provider, hour by hour, and the event that each tells of."""
    first = Contents({"py_1", "py_2"}) if automatic else None
    again = Contents((), {"po_1"}) if automatic else None
    third = Contents({"py_3"}) if automatic else None
    of_account = ("account.updated", "acct_1", "acct_1")
    return [
        ("restricted", _account(False, "requirements.past_due"), of_account),
        ("active", _account(True), of_account),
        ("out", _bank(1, 1_500, "paid", first), ("payout.paid", "po_1", "acct_1")),
        ("failed", _bank(1, 1_500, "failed", first), ("payout.failed", "po_1", "acct_1")),
        ("part back", _back(1, "tr_3", 100), ("transfer.reversed", "tr_3", None)),
        ("out again", _bank(2, 1_500, "paid", again), ("payout.paid", "po_2", "acct_1")),
        ("third out", _bank(3, 150, "in_transit", third), ("payout.updated", "po_3", "acct_1")),
        ("rest back", _back(2, "tr_3", 150), ("transfer.reversed", "tr_3", None)),
        ("third fails", _bank(3, 150, "failed", third), ("payout.failed", "po_3", "acct_1")),
        ("v2", _account(True), ("v2.core.account[requirements].updated", "acct_1", None)),
        ("restricted again", _account(False, "listed"), of_account),
        ("a cent back", _back(3, "tr_2", 1), ("transfer.reversed", "tr_2", None)),
    ]


@contextmanager
def fresh_sqlite(template: Path) -> Iterator[str]:
    """A fresh database for one play."""
    with tempfile.TemporaryDirectory() as folder:
        yield sqlite_copy(template, Path(folder))


@contextmanager
def world(fresh: Fresh) -> Iterator[tuple[Connected, list[Any]]]:
    """A partner with three transfers on a fresh database."""
    with fresh() as url:
        made = Connected(url)
        # Events alone must do: what reminders find later is another matter.
        made.worker = WebhookWorker(made.ledger, made.provider, reminders=False)
        acme = made.partner()
        made.provider.stands("acct_1")
        payouts = [made.transferred(acme, amount) for amount in (1_000, 500, 250)]
        yield made, [acme, *payouts]
        made.close()


def end(made: Connected, ids: list[Any]) -> dict[str, Any]:
    """How everything stands: payouts, what came back, holds, the account, the books."""
    acme, *payouts = ids
    partner = made.ledger.load(acme, PARTNER).state
    assert partner is not None
    states: list[PayoutState] = [made.ledger.load(one, PAYOUT).state for one in payouts]
    seen = partner.account_seen("stripe")
    assert sum(leg.amount_minor for one in made.world.log() for leg in postings(one.fact)) == 0
    return {
        "payouts": [(one.status, dict(one.reversals)) for one in states],
        "holds": dict(partner.payout_holds),
        "active": seen is not None and seen.transfers_active,
        "payable": made.payable_minor(acme),
        "transfers": len(made.provider.transfers),
    }


def play(fresh: Fresh, happenings: list[Happening], deliveries: list[tuple[int, int]]) -> dict[str, Any]:
    """Let the story happen; each delivery is (hour, number of the event). The worker works every hour."""
    with world(fresh) as (made, ids):
        begin = made.world.now
        for hour in sorted({*range(len(happenings)), *(hour for hour, _ in deliveries)}):
            made.world.now = begin + HOUR * (hour + 1)
            if hour < len(happenings):
                happenings[hour][1](made, made.seconds)
            for due, number in deliveries:
                if due == hour:
                    kind, about, account = happenings[number][2]
                    made.event(kind, about, account, event_id=f"evt_{number}")
            made.work()
        return end(made, ids)


@st.composite
def delivered(draw: st.DrawFn) -> list[tuple[int, int]]:
    """When each event is delivered: never before it happened, up to three days late, once to thrice."""
    found = []
    for number in range(len(story(True))):
        late = draw(st.lists(st.integers(0, 72), min_size=1, max_size=3))
        found += [(number + hours, number) for hours in late]
    return draw(st.permutations(found))


_AT_ONCE: Final[dict[tuple[str, bool], dict[str, Any]]] = {}


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest) -> Fresh:
    """Makes fresh databases of a kind."""
    if request.param == "sqlite":
        return partial(fresh_sqlite, request.getfixturevalue("migrated_sqlite"))
    server, template = (request.getfixturevalue(name) for name in ("postgres_url", "migrated_postgresql"))
    return partial(postgresql_database, server, template=template)


@pytest.mark.parametrize("automatic", [True, False])
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(when=delivered())
def test_any_order_doubled_and_late_ends_the_same(request, fresh, automatic, when):
    """As if each had come at once, in order, one time. Nothing is paid again, nothing counted twice."""
    happenings = story(automatic)
    of = (request.node.name, automatic)
    if of not in _AT_ONCE:
        in_order = [(number, number) for number in range(len(happenings))]
        _AT_ONCE[of] = play(fresh, happenings, in_order)
    at_once = _AT_ONCE[of]

    assert play(fresh, happenings, when) == at_once
    assert at_once["payouts"] == [
        ("paid", {}),
        ("paid", {"trr_3": 1}),
        ("reversed", {"trr_1": 100, "trr_2": 150}),
    ]
    assert at_once["holds"].keys() == {"account_restricted"}
    assert at_once["payable"] == 251
    assert at_once["transfers"] == 3
