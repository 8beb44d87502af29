"""As-of queries at random points equal a replay of the log from zero up to there, told in plain numbers."""

import itertools
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import ids
from ledger.events import account, payout, reward
from ledger.events.base import Fact
from ledger.events.payout import PayoutProvider
from ledger.store.application import Ledger
from ledger.store.database import Database
from projections import folios, queries
from projections.rebuild import rebuild
from projections.runner import Runner
from tests.projections.world import BEGIN, World
from tests.support.databases import postgresql_database, sqlite_copy

AMOUNTS = ("pending", "available", "in_transit", "paid", "clawback", "withheld", "earned")
NAMES = (
    *("accrued", "accrued", "reversed", "matured", "matured", "taken_back"),
    *("offset", "written_off", "reserved", "released", "confirmed", "credited"),
)
PROVIDERS: tuple[PayoutProvider, ...] = ("stripe", "bank")
HOURS = st.integers(0, 60)
FACTS = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from([1, 1, 1, 2]),
        st.integers(1, 10_000),
        HOURS,  # how far back it is dated
        st.integers(-2, 5),  # how much later than the one before it was recorded: clocks differ
    ),
    min_size=1,
    max_size=70,
)
TIMES = st.one_of(st.none(), st.integers(-65, 200))


@pytest.fixture(scope="module", autouse=True)
def _small_folios() -> Iterator[None]:
    """Folios of so few movements that random stories fill many, of every level."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folios, "ENTRIES", 2)
        patch.setattr(folios, "FANOUT", 2)
        yield


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """One database for all examples: each has a program of its own."""
    if request.param == "sqlite":
        folder = request.getfixturevalue("tmp_path_factory").mktemp("as-of")
        made = Ledger(Database(sqlite_copy(request.getfixturevalue("migrated_sqlite"), folder)))
        yield made
        made.close()
        return
    template = request.getfixturevalue("migrated_postgresql")
    with postgresql_database(request.getfixturevalue("postgres_url"), template=template) as url:
        made = Ledger(Database(url))
        yield made
        made.close()


class Story:
    """Random facts of a program's accounts, told late, dated back, some by a clock that is behind."""

    def __init__(self, ledger: Ledger) -> None:
        self.world = World(ledger)
        self.program = uuid4()
        self.numbers = itertools.count(1)
        self.rewards: dict[int, list[tuple[UUID, UUID]]] = {1: [], 2: []}
        self.now = BEGIN

    def partner(self, number: int) -> UUID:
        """A partner of this story."""
        return ids.partner_id(f"{self.program}-{number}")

    def some_rewards(self) -> list[UUID]:
        """A few rewards of both partners."""
        return [reward_id for owned in self.rewards.values() for _, reward_id in owned[:3]]

    def tell(self, name: str, of: int, amount: int, back: int, later: int) -> None:
        """Append one fact."""
        self.now += timedelta(hours=later)
        common: dict[str, Any] = {
            "program_id": self.program,
            "partner_id": self.partner(of),
            "currency": "GBP",
            "effective_at": self.now - timedelta(hours=back),
        }
        if name != "accrued" and not self.rewards[of]:
            return
        stream = ids.account_id(self.program, self.partner(of), "GBP")
        if name in ("accrued", "reversed"):
            stream, fact = self._held(name, of, amount, common)
        elif name == "confirmed":
            stream = uuid4()
            fact = payout.TransferConfirmed(
                attempt=1,
                transfer_id="tr_1",
                account_id=stream,
                net_minor=amount,
                provider=PROVIDERS[amount % 2],
                **common,
            )
        else:
            fact = self._account(name, of, amount, common)
        self.world.add(stream, fact, at=self.now)

    def _held(self, name: str, of: int, amount: int, common: dict[str, Any]) -> tuple[UUID, Fact]:
        owner = ids.account_id(self.program, self.partner(of), "GBP")
        if name == "accrued":
            conversion = ids.conversion_id(self.program, "shop", str(next(self.numbers)))
            reward_id = ids.reward_id(conversion, self.partner(of), 1)
            self.rewards[of].append((conversion, reward_id))
            return ids.rewards_id(conversion), reward.RewardAccrued(
                reward_id=reward_id,
                account_id=owner,
                conversion_id=conversion,
                customer_id=uuid4(),
                amount_minor=amount,
                basis_minor=amount,
                gross_minor=amount,
                share_bps=10_000,
                terms_version=1,
                rule=0,
                matures_at=common["effective_at"],
                reason="all of it",
                cause_position=1,
                rate_bps=10_000,
                **common,
            )
        conversion, reward_id = self.rewards[of][amount % len(self.rewards[of])]
        return ids.rewards_id(conversion), reward.RewardReversed(
            reward_id=reward_id,
            account_id=owner,
            conversion_id=conversion,
            amount_minor=amount,
            reason="refund",
            cause_position=1,
            **common,
        )

    def _account(self, name: str, of: int, amount: int, common: dict[str, Any]) -> Fact:
        conversion, reward_id = self.rewards[of][amount % len(self.rewards[of])]
        about = {**common, "reward_id": reward_id, "conversion_id": conversion}
        paid = {**common, "payout_id": uuid4()}
        match name:
            case "matured":
                return account.RewardMatured(amount_minor=amount, **about)
            case "taken_back":
                return account.MaturedRewardReversed(
                    payable_minor=amount,
                    clawback_minor=amount % 7,
                    reason="refund",
                    cause_position=1,
                    **about,
                )
            case "offset":
                return account.ClawbackOffset(amount_minor=amount, **common)
            case "written_off":
                return account.ClawbackWrittenOff(
                    write_off_id=uuid4(), amount_minor=amount, reason="small", **common
                )
            case "reserved":
                return account.PayoutReserved(attempt=1, net_minor=amount, withheld_minor=amount % 5, **paid)
            case "released":
                return account.PayoutReleased(
                    attempt=1, net_minor=amount, withheld_minor=amount % 5, reason="rejected", **paid
                )
            case _:
                return account.TransferReversalCredited(
                    reference="trr_1",
                    amount_minor=amount,
                    withheld_minor=amount % 3,
                    provider=PROVIDERS[amount % 2],
                    **paid,
                )


# The replay: the log's JSON, and what each fact does to plain numbers


def told(ledger: Ledger, program: UUID) -> list[tuple[str, dict[str, Any], datetime, int]]:
    """Name, content, time of recording and position of each fact of a program, as the log holds them."""
    with ledger.database.read() as connection:
        found = connection.execute(
            sa.text("SELECT topic, state, notification_id FROM stored_events ORDER BY notification_id")
        ).all()
    facts = []
    for topic, state, position in found:
        body = json.loads(bytes(state))
        if body["fact"].get("program_id") == str(program):
            at = datetime.fromisoformat(body["recorded_at"])
            facts.append((topic.partition("@")[0], body["fact"], at, position))
    return facts


def moved(name: str, fact: dict[str, Any]) -> dict[str, int]:
    """By how much a fact changes each number."""
    amount, net, tax = (fact.get(f"{word}_minor", 0) for word in ("amount", "net", "withheld"))
    match name:
        case "RewardAccrued":
            return {"pending": amount, "earned": amount}
        case "RewardReversed":
            return {"pending": -amount, "earned": -amount}
        case "RewardMatured":
            return {"pending": -amount, "available": amount}
        case "MaturedRewardReversed":
            payable, owed = fact["payable_minor"], fact["clawback_minor"]
            return {"available": -payable, "clawback": owed, "earned": -payable - owed}
        case "ClawbackOffset":
            return {"available": -amount, "clawback": -amount}
        case "ClawbackWrittenOff":
            return {"clawback": -amount, "earned": amount}
        case "PayoutReserved":
            return {"available": -net - tax, "in_transit": net, "withheld": tax}
        case "PayoutReleased":
            return {"available": net + tax, "in_transit": -net, "withheld": -tax}
        case "TransferConfirmed":
            return {"in_transit": -net, "paid": net}
        case "TransferReversalCredited":
            return {"paid": -amount, "withheld": -tax, "available": amount + tax}
    raise AssertionError(f"no rule for {name}")


def replay(facts: list[Any], effective: datetime | None, recorded: datetime | None) -> list[Any]:
    """The facts that were true by one time, as far as they were known by another."""
    return [
        (name, fact, position)
        for name, fact, at, position in facts
        if (effective is None or datetime.fromisoformat(fact["effective_at"]) <= effective)
        and (recorded is None or at <= recorded)
    ]


def replayed_balances(facts: list[Any]) -> dict[str, tuple[int, ...]]:
    """Each partner's numbers, and the position that moved them last."""
    totals: dict[str, dict[str, int]] = {}
    for name, fact, position in facts:
        total = totals.setdefault(fact["partner_id"], dict.fromkeys((*AMOUNTS, "position"), 0))
        for word, amount in moved(name, fact).items():
            total[word] += amount
        total["position"] = position
    return {partner: tuple(total.values()) for partner, total in totals.items()}


def replayed_rewards(facts: list[Any]) -> dict[str, tuple[int, int, str, str | None]]:
    """Each reward's amount, what was taken back, its stage and when it matured."""
    rewards: dict[str, tuple[int, int, str, str | None]] = {
        fact["reward_id"]: (fact["amount_minor"], 0, "held", None)
        for name, fact, _ in facts
        if name == "RewardAccrued"
    }
    for name, fact, _ in facts:
        if fact.get("reward_id") not in rewards or name == "RewardAccrued":
            continue
        amount, back, stage, at = rewards[fact["reward_id"]]
        if name == "RewardMatured":
            stage, at = "matured", fact["effective_at"]
        else:
            back += fact.get("payable_minor", fact.get("amount_minor")) + fact.get("clawback_minor", 0)
        rewards[fact["reward_id"]] = amount, back, stage, at
    return rewards


# What the views answer, page by page


def everything(connection: sa.Connection, fetch: Any, limit: int, **asked: Any) -> list[dict[str, Any]]:
    """All rows of a list."""
    found, after = [], None
    while True:
        page = fetch(connection, after=after, limit=limit, **asked)
        assert len(page.rows) <= limit
        found += page.rows
        after = page.next
        if after is None:
            return found


def compare(story: Story, ledger: Ledger, facts: list[Any], times: dict[str, Any]) -> None:
    """Balances, rewards and journal at these two times; rewards one by one, too, and a partner's own."""
    known = replay(facts, times["effective_as_of"], times["recorded_as_of"])
    with ledger.database.read() as connection:
        asked = {"program_id": story.program, **times}
        found = everything(connection, queries.list_balances_as_of, 1, **asked)
        rewards = everything(connection, queries.list_rewards, 7, **asked)
        legs = everything(connection, queries.list_journal, 7, **asked)
        ours = everything(connection, queries.list_journal, 7, partner_id=story.partner(1), **asked)
        own = everything(connection, queries.list_rewards, 7, partner_id=story.partner(1), **times)
        alone = {each: queries.reward(connection, each, **times) for each in story.some_rewards()}
        assert found == [
            {name: getattr(row, name) for name in row.__struct_fields__}
            for row in queries.balances_as_of(connection, story.program, **times)
        ]
    shown = {
        str(row["partner_id"]): (*(row[f"{word}_minor"] for word in AMOUNTS), row["position"])
        for row in found
    }
    assert shown == replayed_balances(known)
    assert {
        str(row["reward_id"]): (
            row["amount_minor"],
            row["reversed_minor"],
            row["stage"],
            row["matured_at"] and row["matured_at"].isoformat().replace("+00:00", "Z"),
        )
        for row in rewards
    } == replayed_rewards(known)
    assert list(dict.fromkeys(leg["position"] for leg in legs)) == [position for _, _, position in known]
    assert [leg for leg in legs if leg["partner_id"] == story.partner(1)] == ours
    assert [row for row in rewards if row["partner_id"] == story.partner(1)] == own
    listed = {row["reward_id"]: row for row in rewards}
    for each, found_alone in alone.items():
        about = [leg for leg in legs if leg["reward_id"] == each]
        assert found_alone == ({**listed[each], "legs": about} if each in listed else None)


def test_as_of_equals_a_replay_up_to_that_point(ledger: Ledger) -> None:
    """Whatever was told when, dated when: each query at any two times, before and after a rebuild."""

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        steps=FACTS, points=st.lists(st.tuples(TIMES, TIMES), min_size=3, max_size=3), batch=st.integers(1, 9)
    )
    def holds(steps: list[Any], points: list[Any], batch: int) -> None:
        story = Story(ledger)
        runner = Runner(ledger, batch_events=batch)
        for number, step in enumerate(steps):
            story.tell(*step)
            if number % 5 == 0:
                runner.catch_up()
        runner.catch_up()
        facts = told(ledger, story.program)
        for effective, recorded in points:
            times = {
                "effective_as_of": None if effective is None else BEGIN + timedelta(hours=effective),
                "recorded_as_of": None if recorded is None else BEGIN + timedelta(hours=recorded),
            }
            compare(story, ledger, facts, times)

    holds()
    assert rebuild(ledger, ["journal", "balances", "conversions"]).differences == ()


def test_a_late_fact_shows_in_one_time_and_not_in_the_other(ledger: Ledger) -> None:
    """A sale of the first day, told on the fifth: true on the second, known on the fifth."""
    story = Story(ledger)
    story.tell("accrued", 1, 500, 0, 0)
    story.tell("accrued", 1, 70, back=24 * 5, later=24 * 5)
    Runner(ledger).catch_up()
    second = BEGIN + timedelta(days=1)

    def earned(**times: Any) -> int:
        with ledger.database.read() as connection:
            [balance] = queries.balances_as_of(connection, story.program, **times)
        return balance.earned_minor

    assert earned(effective_as_of=second) == 570
    assert earned(recorded_as_of=second) == 500
    assert earned(effective_as_of=second, recorded_as_of=second) == 500
    assert earned(effective_as_of=second, recorded_as_of=second + timedelta(days=5)) == 570
