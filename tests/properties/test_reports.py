"""Reports over random facts, told late and dated back, equal sums over the journal's legs in plain Python."""

from collections import Counter
from datetime import date, datetime, timedelta
from typing import Any
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import ids
from ledger.events import account
from ledger.month import Month, months
from ledger.postings import MONEY_FACTS
from ledger.store.application import Ledger
from projections import queries
from projections.months import Zones
from projections.reports.ageing import AGED, BUCKETS, Aged, ageing, open_parts
from projections.reports.calendars import of_zones
from projections.reports.roll_forward import MOVEMENTS, roll_forward
from projections.reports.scope import Scope
from projections.reports.trial_balance import trial_balance
from projections.runner import Runner
from tests.projections.world import BEGIN
from tests.properties.test_as_of import HOURS, NAMES, TIMES, Story, everything, ledger, replay, told

__all__ = ["ledger"]
FACTS = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from([1, 1, 1, 2]),
        st.integers(1, 10_000),
        HOURS,
        st.integers(-2, 5),
    ),
    min_size=25,
    max_size=60,
)
"""So many that most stories have most kinds of facts."""
STORIES = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


def story_of(ledger: Ledger, steps: list[Any]) -> Story:
    """A story that was told, and read by the views."""
    story = Story(ledger)
    for step in steps:
        story.tell(*step)
    Runner(ledger).catch_up()
    return story


def moment(hours: int | None) -> Any:
    """A time of a story."""
    return None if hours is None else BEGIN + timedelta(hours=hours)


def test_a_trial_balance_is_the_sum_of_the_legs_and_sums_to_zero(ledger: Ledger) -> None:
    """At any two times, by account, by program and by partner."""

    @STORIES
    @given(steps=FACTS, point=st.tuples(TIMES, TIMES))
    def holds(steps: list[Any], point: tuple[int | None, int | None]) -> None:
        story = story_of(ledger, steps)
        times = {"effective_as_of": moment(point[0]), "recorded_as_of": moment(point[1])}
        with ledger.database.read() as connection:
            legs = everything(connection, queries.list_journal, 1_000, program_id=story.program, **times)
            scope = Scope(program_id=story.program, **times)
            total, by_partner = (list(trial_balance(connection, scope, by)) for by in ("account", "partner"))
        debits: Counter[str] = Counter()
        credits_: Counter[str] = Counter()
        partners: Counter[Any] = Counter()
        for leg in legs:
            (debits if leg["amount_minor"] > 0 else credits_)[leg["account"]] += abs(leg["amount_minor"])
            partners[leg["account"], leg["partner_id"]] += leg["amount_minor"]

        assert {row["account"]: row["debit_minor"] for row in total if row["debit_minor"]} == debits
        assert {row["account"]: row["credit_minor"] for row in total if row["credit_minor"]} == credits_
        assert {(row["account"], row["partner_id"]): row["balance_minor"] for row in by_partner} == partners
        for rows in (total, by_partner):
            assert sum(row["balance_minor"] for row in rows) == 0
        for partner in {row["partner_id"] for row in by_partner}:
            assert sum(r["balance_minor"] for r in by_partner if r["partner_id"] == partner) == 0

    holds()


ZONES = st.sampled_from(["UTC", "Pacific/Auckland", "America/New_York"])
# What each kind of fact does to each balance, told once more: by the words of the facts, not by accounts.
EFFECTS = {
    "RewardAccrued": lambda f: {("accrued", "accrued"): f["amount_minor"]},
    "RewardReversed": lambda f: {("accrued", "reversed"): -f["amount_minor"]},
    "RewardMatured": lambda f: {
        ("accrued", "matured"): -f["amount_minor"],
        ("payable", "matured"): f["amount_minor"],
    },
    "MaturedRewardReversed": lambda f: {
        ("payable", "reversed"): -f["payable_minor"],
        ("clawback", "clawed_back"): f["clawback_minor"],
    },
    "ClawbackOffset": lambda f: {
        ("payable", "set_off"): -f["amount_minor"],
        ("clawback", "set_off"): -f["amount_minor"],
    },
    "ClawbackWrittenOff": lambda f: {("clawback", "written_off"): -f["amount_minor"]},
    "PayoutReserved": lambda f: {
        ("payable", "reserved"): -f["net_minor"] - f["withheld_minor"],
        ("in_transit", "reserved"): f["net_minor"],
        ("withheld", "withheld"): f["withheld_minor"],
    },
    "PayoutReleased": lambda f: {
        ("payable", "released"): f["net_minor"] + f["withheld_minor"],
        ("in_transit", "released"): -f["net_minor"],
        ("withheld", "withheld"): -f["withheld_minor"],
    },
    "TransferConfirmed": lambda f: {("in_transit", "paid"): -f["net_minor"]},
    "TransferReversalCredited": lambda f: {
        ("payable", "returned"): f["amount_minor"] + f["withheld_minor"],
        ("withheld", "returned"): -f["withheld_minor"],
    },
}


def test_every_fact_that_moves_money_is_a_movement() -> None:
    """A new kind has to be told here first; until then the roll-forward refuses it by its position."""
    assert {kind.__name__ for kind in MONEY_FACTS} == EFFECTS.keys()


def replayed(facts: list[Any], periods: list[Month], zone: str) -> Counter[tuple[str, str, str, str]]:
    """By partner, period, balance and movement, what the facts come to; before the first period: opening."""
    found: Counter[tuple[str, str, str, str]] = Counter()
    for name, fact, _ in facts:
        month = Month.of(datetime.fromisoformat(fact["effective_at"]), zone)
        if month > periods[-1]:
            continue
        for (balance, movement), amount in EFFECTS[name](fact).items():
            column = (
                (str(periods[0]), balance, "opening")
                if month < periods[0]
                else (str(month), balance, movement)
            )
            found[fact["partner_id"], *column] += amount
    return Counter({key: amount for key, amount in found.items() if amount})


def test_a_roll_forward_is_a_replay_by_kind_and_its_months_chain(ledger: Ledger) -> None:
    """Every kind of movement in its column; closing is opening and movements, and the next opening."""

    @STORIES
    @given(steps=FACTS, zone=ZONES, stretch=st.integers(1, 24), recorded=TIMES)
    def holds(steps: list[Any], zone: str, stretch: int, recorded: int | None) -> None:
        # Two and a half days of a story become up to two months, so that they lie in several.
        story = story_of(ledger, [(*step[:3], step[3] * stretch, step[4] * stretch) for step in steps])
        facts = replay(told(ledger, story.program), None, moment(recorded))
        periods = months(Month(2024, 1), Month(2024, 4))
        scope = Scope(program_id=story.program, recorded_as_of=moment(recorded))
        with ledger.database.read() as connection:
            rows = list(
                roll_forward(
                    connection, scope, periods[0], periods[-1], of_zones(Zones({story.program: zone}))
                )
            )
        columns = Counter(
            {
                (str(row["partner_id"]), row["period"], row["balance"], movement): row[f"{movement}_minor"]
                for row in rows
                for movement in MOVEMENTS
                if row[f"{movement}_minor"] and row["balance"] != "owed"
            }
        )
        wanted = replayed(facts, periods, zone)

        assert columns == {key: amount for key, amount in wanted.items() if key[3] != "opening"}
        before: dict[Any, int] = {
            (key[0], key[2]): amount for key, amount in wanted.items() if key[3] == "opening"
        }
        for row in rows:
            place = (str(row["partner_id"]), row["balance"])
            movements = sum(row[f"{movement}_minor"] for movement in MOVEMENTS)
            assert row["closing_minor"] == row["opening_minor"] + movements
            if row["balance"] != "owed":
                assert row["opening_minor"] == before.get(place, 0)
            before[place] = row["closing_minor"]
        owed = Counter(
            {
                (row["partner_id"], row["period"]): row["closing_minor"]
                for row in rows
                if row["balance"] == "owed"
            }
        )
        parts: Counter[Any] = Counter()
        for row in rows:
            if row["balance"] in ("accrued", "payable", "in_transit"):
                parts[row["partner_id"], row["period"]] += row["closing_minor"]
        assert {key: amount for key, amount in owed.items() if amount} == {
            key: amount for key, amount in parts.items() if amount
        }

    holds()


def test_a_roll_forward_ends_where_the_balances_are(ledger: Ledger) -> None:
    """The closing of a month that holds everything is what the balances' own table says."""

    @STORIES
    @given(steps=FACTS)
    def holds(steps: list[Any]) -> None:
        story = story_of(ledger, steps)
        words = {"pending": "accrued", "available": "payable", "in_transit": "in_transit"}
        words |= {"clawback": "clawback", "withheld": "withheld"}
        with ledger.database.read() as connection:
            scope = Scope(program_id=story.program)
            rows = roll_forward(connection, scope, Month(2020, 1), Month(2029, 12), of_zones(Zones({})))
            closing = {(row["partner_id"], row["balance"]): row["closing_minor"] for row in rows}
            kept = queries.balances(connection, story.program)
        for balance in kept:
            for word, name in words.items():
                assert getattr(balance, f"{word}_minor") == closing.get((balance.partner_id, name), 0)

    holds()


# Ageing


def first_in_first_out(legs: list[dict[str, Any]], aged: str) -> list[tuple[date, int]]:
    """The rule of docs/accounting.md, leg by leg: what is left of each credit, by its day."""
    account, sign = ("clawback_receivable", 1) if aged == "clawback" else ("commission_payable", -1)
    lots: dict[Any, list[tuple[datetime, int]]] = {}
    for leg in legs:
        if leg["account"] == account:
            subject = leg["position"] if aged == "clawback" else leg["reward_id"] or leg["payout_id"]
            lots.setdefault(subject or leg["position"], []).append(
                (leg["effective_at"], sign * leg["amount_minor"])
            )
    nets = [
        (
            min(at for at, amount in lot if amount > 0 or all(each < 0 for _, each in lot)),
            sum(a for _, a in lot),
        )
        for lot in lots.values()
    ]
    taken = -sum(net for _, net in nets if net < 0)
    left = []
    for since, net in sorted(each for each in nets if each[1] > 0):
        part = min(taken, net)
        taken -= part
        left.append((since.date(), net - part))
    assert taken == 0, "of a balance that is not below zero"
    return left


def test_ageing_consumes_the_oldest_first_and_sums_to_the_balance(ledger: Ledger) -> None:
    """As of any time, on both accounts: as the rule says, told leg by leg."""

    @STORIES
    @given(steps=FACTS, stretch=st.integers(1, 60), days=st.integers(0, 200), aged=st.sampled_from(AGED))
    def holds(steps: list[Any], stretch: int, days: int, aged: Aged) -> None:
        story = story_of(ledger, [(*step[:3], step[3] * stretch, step[4] * stretch) for step in steps])
        until = BEGIN + timedelta(days=days)
        with ledger.database.read() as connection:
            scope = Scope(program_id=story.program, effective_as_of=until)
            rows = {row["partner_id"]: row for row in ageing(connection, scope, Zones({}), BEGIN, [aged])}
            legs = everything(
                connection, queries.list_journal, 1_000, program_id=story.program, effective_as_of=until
            )
            balances = queries.balances_as_of(connection, story.program, effective_as_of=until)
        word = {"payable": "available", "accrued": "pending", "clawback": "clawback"}[aged]
        for balance in balances:
            total = getattr(balance, f"{word}_minor")
            row = rows.get(balance.partner_id, dict.fromkeys((*BUCKETS, "total_minor"), 0))
            assert row["total_minor"] == sum(row[name] for name in BUCKETS) == total
            if total < 0 or aged == "accrued":
                continue
            wanted = [0] * len(BUCKETS)
            ours = [leg for leg in legs if leg["partner_id"] == balance.partner_id]
            for since, amount in first_in_first_out(ours, aged):
                age = (until.date() - since).days
                wanted[0 if age <= 30 else 1 if age <= 60 else 2 if age <= 90 else 3] += amount
            assert [row[name] for name in BUCKETS] == wanted

    holds()


@given(
    st.lists(st.integers(0, 10**12), min_size=4, max_size=4),
    st.lists(st.integers(0, 10**12), min_size=4, max_size=4),
)
def test_open_parts_sum_to_the_balance_and_are_the_youngest(credits_: list[int], debits: list[int]) -> None:
    """No part is more than its side holds; an older one is left only where every younger one is whole."""
    total = sum(credits_) - sum(debits)
    parts = open_parts(total, credits_, debits)
    sides = credits_ if total >= 0 else debits

    assert sum(parts) == total
    for place, part in enumerate(parts):
        assert 0 <= abs(part) <= sides[place]
        assert not part or all(abs(parts[younger]) == sides[younger] for younger in range(place))


def test_a_reward_taken_back_consumes_itself_and_a_payout_that_came_back_nothing(ledger: Ledger) -> None:
    """Rewards of days 0 and 50; the younger is taken back by half; 30 are paid, 25 reserved and released."""
    story = Story(ledger)
    payout_id, held = uuid4(), uuid4()
    owner = ids.account_id(story.program, story.partner(1), "GBP")
    common: dict[str, Any] = {"program_id": story.program, "partner_id": story.partner(1), "currency": "GBP"}
    of: list[dict[str, Any]] = [{"reward_id": uuid4(), "conversion_id": uuid4(), **common} for _ in range(2)]
    on = [BEGIN + timedelta(days=day) for day in (0, 50, 55, 56, 57, 58)]
    paid: dict[str, Any] = {"attempt": 1, "withheld_minor": 0, **common}
    for fact in (
        account.RewardMatured(amount_minor=100, effective_at=on[0], **of[0]),
        account.RewardMatured(amount_minor=80, effective_at=on[1], **of[1]),
        account.MaturedRewardReversed(
            payable_minor=40, clawback_minor=7, reason="refund", cause_position=1, effective_at=on[2], **of[1]
        ),
        account.PayoutReserved(payout_id=payout_id, net_minor=30, effective_at=on[3], **paid),
        account.PayoutReserved(payout_id=held, net_minor=25, effective_at=on[4], **paid),
        account.PayoutReleased(payout_id=held, net_minor=25, reason="rejected", effective_at=on[5], **paid),
    ):
        story.world.add(owner, fact)
    Runner(ledger).catch_up()

    def aged(days: int) -> dict[str, list[int]]:
        scope = Scope(program_id=story.program, effective_as_of=BEGIN + timedelta(days=days))
        with ledger.database.read() as connection:
            rows = list(ageing(connection, scope, Zones({}), BEGIN))
        return {row["balance"]: [row[name] for name in BUCKETS] for row in rows}

    assert aged(50) == {"payable": [80, 100, 0, 0]}
    assert aged(55) == {"payable": [40, 100, 0, 0], "clawback": [7, 0, 0, 0]}
    assert aged(57) == {"payable": [40, 45, 0, 0], "clawback": [7, 0, 0, 0]}
    assert aged(58) == {"payable": [40, 70, 0, 0], "clawback": [7, 0, 0, 0]}
    assert aged(100) == {"payable": [0, 40, 0, 70], "clawback": [0, 7, 0, 0]}
