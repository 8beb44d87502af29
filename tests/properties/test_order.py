"""The same facts in any order end in the same balances, for terms without running totals."""

import random
from collections.abc import Callable, Iterator
from datetime import datetime
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.world import World, day, shuffled, terms

Wish = Callable[[World], object]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """One database for all examples: each sets up a program of its own."""
    from tests.support.databases import postgresql_database, sqlite_copy

    if request.param == "sqlite":
        folder = request.getfixturevalue("tmp_path_factory").mktemp("order")
        made = World(sqlite_copy(request.getfixturevalue("migrated_sqlite"), folder))
        yield made
        made.close()
        return
    template = request.getfixturevalue("migrated_postgresql")
    with postgresql_database(request.getfixturevalue("postgres_url"), template=template) as url:
        made = World(url)
        yield made
        made.close()


class Story:
    """Facts about two customers and three partners, as groups of wishes that must keep their order inside."""

    def __init__(self, seed: int, model: str, window_days: int | None) -> None:
        self.random = random.Random(seed)
        self.document = terms(
            rules=[
                {"kinds": ["sale"], "products": ["flat"], "reward": {"flat_minor": 700}},
                {"kinds": ["sale"], "reward": {"rate_bps": 1_750}, "duration": {"months": 3}},
            ],
            attribution={"model": model, "window_days": window_days},
        )

    def wishes(self, partners: list[UUID]) -> list[list[Wish]]:
        """The groups; a dispute's end stands behind its opening, everything else is free."""
        groups: list[list[Wish]] = [[_agree(partner, self._day(-300, -150))] for partner in partners]
        for customer in ("a", "b"):
            for _ in range(self.random.randint(0, 4)):
                groups.append([_touch(customer, self.random.choice(partners), self._day(-250, -60))])
            for number in range(self.random.randint(1, 4)):
                groups += self._sale(f"{customer}{number}", customer)
            if self.random.random() < 0.4:
                one, other = self.random.sample(partners, 2)
                share = self.random.randint(1, 9_999)
                shares = {one: share, other: 10_000 - share}
                groups.append([_reattribute(customer, shares, self._day(-200, -20))])
        return groups

    def _sale(self, name: str, customer: str) -> list[list[Wish]]:
        amount, sold = self.random.randint(1, 5_000), self._day(-200, -2)
        groups: list[list[Wish]] = [[lambda w: w.send(w.sale(name, customer, amount, sold))]]
        rest = amount
        for number in range(self.random.choice([0, 0, 1, 2, 3])):
            part = self.random.randint(1, rest) if rest else 0
            rest -= part
            if part:
                groups.append([_refund(name, f"{name}r{number}", part, self._day(-150, -1))])
        kind = self.random.random()
        if kind < 0.15:
            groups.append(
                [lambda w: w.send(w.open_dispute(name, sold)), lambda w: w.send(w.lose_dispute(name, sold))]
            )
        elif kind < 0.3:
            groups.append(
                [lambda w: w.send(w.open_dispute(name, sold)), lambda w: w.send(w.win_dispute(name, sold))]
            )
        elif kind < 0.4:
            groups.append([lambda w: w.send(w.cancellation(name, sold))])
        return groups

    def _day(self, first: int, last: int) -> datetime:
        return day(self.random.randint(first, last), hours=self.random.randint(0, 23))


def _agree(partner: UUID, at: datetime) -> Wish:
    return lambda w: w.agree(partner, at)


def _touch(customer: str, partner: UUID, at: datetime) -> Wish:
    return lambda w: w.touch(customer, partner, at)


def _reattribute(customer: str, shares: dict[UUID, int], at: datetime) -> Wish:
    return lambda w: w.reattribute(customer, shares, at)


def _refund(name: str, refund_id: str, amount: int, at: datetime) -> Wish:
    return lambda w: w.send(w.refund(name, refund_id, amount, at))


def in_some_order(groups: list[list[Wish]], seed: int) -> list[Wish]:
    """All wishes in an order that the seed tells, each group's in its own."""
    slots = shuffled([index for index, group in enumerate(groups) for _ in group], seed)
    taken = [iter(group) for group in groups]
    return [next(taken[index]) for index in slots]


def outcome(world: World, story: Story, order: int, reference: str) -> list[dict[str, int]]:
    """The balances per partner after all facts in an order, the engine stepping in between."""
    world.now = day(0)
    world.program(story.document, reference=reference)
    partners = [world.applicant(f"partner-{n}") for n in range(3)]
    story.random.seed(reference.rpartition(":")[0])
    steps = random.Random(order)
    for wish in in_some_order(story.wishes(partners), order):
        wish(world)
        if steps.random() < 0.3:
            world.engine.step()
    world.engine.drain()
    world.now = day(90)
    world.engine.drain()
    found = world.balances_of(world.program_id)
    return [found.get(partner, {}) for partner in partners]


@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    seed=st.integers(0, 2**32),
    model=st.sampled_from(["first_touch", "last_touch"]),
    window_days=st.sampled_from([None, 20, 90]),
)
def test_the_order_of_facts_does_not_matter(
    world: World, seed: int, model: str, window_days: int | None
) -> None:
    runs = []
    for order in (1, 2):
        story = Story(seed, model, window_days)
        runs.append(
            outcome(world, story, order + seed, f"{seed}{model}{window_days}:{order}-{len(world.log())}")
        )

    assert runs[0] == runs[1]
