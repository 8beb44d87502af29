"""What a seed decides at the start: how many take part, what goes wrong in this schedule, and how often."""

from datetime import timedelta
from random import Random
from typing import Final, NamedTuple

from tests.simulation.faults import FAULTS

HAPPENINGS: Final = (
    "earn",
    "refund",
    "draft",
    "draft unseen",
    "suspend",
    "reinstate",
    "capability lost",
    "capability back",
    "top up",
)
"""What people and partners do meanwhile."""
BANKS: Final = ("bank pays", "bank returns")

PACES: Final = (
    (timedelta(milliseconds=50), timedelta(seconds=3)),
    (timedelta(seconds=5), timedelta(minutes=4)),
    (timedelta(minutes=5), timedelta(hours=6)),
    (timedelta(hours=6), timedelta(hours=30)),
    (timedelta(hours=30), timedelta(days=9)),
)
"""How far the clock goes at once, from a breath to a laptop that was closed over the holidays."""


COMMON: Final = ("rate_limit", "drop_after_commit")
"""What is met on most bad days."""


class Plan(NamedTuple):
    """The character of a schedule. Rates are chances at each request, edge or tick."""

    partners: int
    workers: int
    ticks: int
    faults: tuple[str, ...]
    fault_rate: float
    crash_rate: float
    sleep_rate: float
    switch_rate: float
    outage_rate: float
    happening_rate: float
    happenings: tuple[str, ...]
    bank_rate: float
    pace_weights: tuple[int, ...]
    funds_percent: int
    """Of what is payable at the start, how much the platform's balance holds."""


def plan(rng: Random) -> Plan:
    """Some schedules are calm, some have one kind of trouble, and some have all of it at once."""
    kinds = rng.choice((0, 1, 3, 6, len(FAULTS)))
    return Plan(
        partners=rng.choice((1, 1, 2, 2, 3)),
        workers=rng.choice((1, 1, 2, 3)),
        ticks=rng.choice((20, 40, 60)),
        faults=(*rng.sample(FAULTS, kinds), *(COMMON if kinds < 2 or rng.random() < 0.3 else ())),
        fault_rate=rng.choice((0.1, 0.3, 0.6, 0.9)),
        crash_rate=rng.choice((0.0, 0.0, 0.01, 0.04)),
        sleep_rate=rng.choice((0.0, 0.0, 0.02)),
        switch_rate=rng.choice((0.05, 0.2, 0.5)),
        outage_rate=rng.choice((0.0, 0.0, 0.02)),
        happening_rate=rng.choice((0.05, 0.2, 0.35)),
        happenings=tuple(rng.sample(HAPPENINGS, rng.choice((1, 3, len(HAPPENINGS))))),
        bank_rate=rng.choice((0.0, 0.1, 0.3)),
        pace_weights=rng.choice(
            ((10, 3, 0, 0, 0), (6, 4, 2, 1, 0), (4, 3, 2, 2, 1), (2, 2, 2, 6, 0), (8, 0, 0, 1, 0))
        ),
        funds_percent=rng.choice((100, 100, 100, 60, 10)),
    )


def span(rng: Random, weights: tuple[int, ...]) -> timedelta:
    """How much time passes at a tick."""
    least, most = rng.choices(PACES, weights)[0]
    return least + (most - least) * rng.random()
