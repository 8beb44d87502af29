"""Ratios: both sides alternate in one run; medians of the rounds; a table for people, lines for machines."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

ROUNDS = 5
GOALS: dict[str, tuple[float | None, float]] = {
    "single-post": (0.35, 0.65),
    "batch-vs-raw": (0.5, 0.9),
    "batch-vs-library": (3, 5),
    "rewards-vs-scan": (0.1, 0.3),
    "rebuild-vs-scan": (0.3, 0.6),
    "rebuild-journal-vs-scan": (0.3, 0.6),
    "rebuild-all-vs-scan": (0.3, 0.6),
    "verify-vs-scan": (None, 0.85),
    "hot-partner": (0.7, 0.95),
    "audit-log": (0.9, 0.97),
    "balance-p99": (3, 1.5),
    "as-of-vs-current": (5, 2),
    "payouts-vs-sdk": (0.5, 0.9),
}
"""The floor (where there is one) and the goal of each ratio. Ratios that are not here are only told."""
LESS_IS_BETTER = ("balance-p99", "as-of-vs-current")
TITLES = {
    "single-post": "durable single POST/s ÷ no-op POST/s",
    "batch-vs-raw": "batch endpoint events/s ÷ raw unnest insert",
    "batch-vs-library": "batch endpoint events/s ÷ the library's save of 1,000",
    "rewards-vs-scan": "conversions → rewards → balances ÷ raw scan",
    "rebuild-vs-scan": "projection rebuild ÷ raw scan: balances",
    "rebuild-journal-vs-scan": "projection rebuild ÷ raw scan: journal",
    "rebuild-all-vs-scan": "projection rebuild ÷ raw scan: all views",
    "verify-vs-scan": "verify ÷ raw scan: log and balances",
    "verify-all-vs-scan": "verify ÷ raw scan: with every view",
    "hot-partner": "one hot partner ÷ spread load",
    "audit-log": "ingest with the audit log ÷ without",
    "balance-p99": "balance GET p99 ÷ no-op GET p99",
    "as-of-vs-current": "as-of balance GET p99 ÷ current balance GET p99",
    "ours-vs-naive-save": "single POST/s ÷ one Application.save a request",
    "ours-vs-naive-orm": "single POST/s ÷ an ORM insert and a balance row",
    "payouts-vs-sdk": "payouts of one batch ÷ plain SDK calls, same stand-in",
}


class Ratio(NamedTuple):
    """A ratio of medians. `above` and `below` are the rounds of both sides, in `unit`."""

    name: str
    above: Sequence[float]
    below: Sequence[float]
    unit: str
    at: str = ""

    @property
    def value(self) -> float:
        """The median of the numerator over the median of the denominator."""
        return statistics.median(self.above) / statistics.median(self.below)

    @property
    def label(self) -> str:
        """Its name, and what it was measured at."""
        return self.name + (f"@{self.at}" if self.at else "")

    @property
    def floor(self) -> float | None:
        """The least that it may be; None if it is only told."""
        return GOALS[self.name][0] if self.name in GOALS else None

    @property
    def goal(self) -> float | None:
        """What it should be; None if it is only told."""
        return GOALS[self.name][1] if self.name in GOALS else None

    @property
    def of_goal(self) -> float:
        """How much of its goal it reached: 1 is all of it. A ratio that is only told has none: 0."""
        if self.goal is None:
            return 0
        return self.goal / self.value if self.name in LESS_IS_BETTER else self.value / self.goal

    @property
    def verdict(self) -> str:
        """Where the value stands; empty if it is only told, or has no floor and is not at its goal."""
        if self.goal is None:
            return ""
        sign = -1 if self.name in LESS_IS_BETTER else 1
        if self.value * sign >= self.goal * sign:
            return "goal"
        if self.floor is None:
            return ""
        return "floor" if self.value * sign >= self.floor * sign else "BELOW"

    def as_line(self, database: str) -> dict[str, Any]:
        """One line for machines."""
        return {
            "ratio": self.label,
            "value": round(self.value, 4),
            "floor": self.floor,
            "goal": self.goal,
            "database": database,
        }

    def as_text(self, database: str) -> str:
        """One line for people."""
        title = TITLES[self.name] + (f", at {self.at}" if self.at else "")
        above, below = statistics.median(self.above), statistics.median(self.below)
        floor, goal = ("" if bound is None else str(bound) for bound in (self.floor, self.goal))
        return (
            f"{title:<64} {database:<10} {self.value:>6.2f} {floor:>5} {goal:>5} {self.verdict:<5}"
            f"  {above:>9,.0f} ÷ {below:>9,.0f} {self.unit}"
        )


class Check(NamedTuple):
    """Something that must hold under load, with what was counted."""

    name: str
    holds: bool
    counted: dict[str, Any]

    def as_line(self, database: str) -> dict[str, Any]:
        """One line for machines."""
        return {"check": self.name, "holds": self.holds, **self.counted, "database": database}

    def as_text(self, database: str) -> str:
        """One line for people."""
        counted = ", ".join(f"{name} {value}" for name, value in self.counted.items())
        return f"{self.name}, {database}: {'holds' if self.holds else 'BROKEN'} ({counted})"


HEADING = (
    f"{'measure':<64} {'database':<10} {'ratio':>6} {'floor':>5} {'goal':>5} {'':<5}  medians of the rounds"
)


def in_turn(sides: Sequence[Callable[[int], float]], rounds: int = ROUNDS) -> list[list[float]]:
    """All sides in each round, the first of a round the last of the next; one round before that warms up."""
    for side in sides:
        side(-1)
    found: list[list[float]] = [[] for _ in sides]
    for number in range(rounds):
        order = list(enumerate(sides))
        for place, side in reversed(order) if number % 2 else order:
            found[place].append(side(number))
    return found


def alternate(
    above: Callable[[int], float], below: Callable[[int], float], rounds: int = ROUNDS
) -> tuple[list[float], list[float]]:
    """Both sides of a ratio in turn."""
    tops, bottoms = in_turn([above, below], rounds)
    return tops, bottoms


@contextmanager
def timed() -> Iterator[Callable[[], float]]:
    """How long the block took, in seconds, once it has ended."""
    began = time.perf_counter()
    ended = [0.0]
    yield lambda: ended[0] - began
    ended[0] = time.perf_counter()
