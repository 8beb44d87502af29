"""What a seed decides at the start: how many take part, what goes wrong in this schedule, and how often."""

from datetime import timedelta
from random import Random
from typing import Any, Final, NamedTuple

from payouts.simulator.faults import Fault, WebhookFault
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
    "drain",
    "withhold",
    "somebody looks",
)
"""What people and partners do meanwhile."""
BANKS: Final = ("bank pays", "bank pays", "reversed outside")

MISHAPS: Final[tuple[WebhookFault, ...]] = (
    "webhook_lost",
    "webhook_doubled",
    "webhook_late",
    "webhook_reordered",
    "webhook_before_response",
    "webhook_forged",
    "webhook_future",
)
LASTING: Final = ("webhook_lost", "payout_fails")
LATE_MAX: Final = timedelta(days=3)
RATES_BPS: Final = (0, 0, 1, 30_00, 90_00)
"""What may be withheld from partners: a rate that rounds to nothing, and one that leaves little."""

PACES: Final = (
    (timedelta(milliseconds=50), timedelta(seconds=3)),
    (timedelta(seconds=5), timedelta(minutes=4)),
    (timedelta(minutes=5), timedelta(hours=6)),
    (timedelta(hours=6), timedelta(hours=30)),
    (timedelta(hours=18), timedelta(hours=20)),
    (timedelta(hours=30), timedelta(days=9)),
)
"""How far the clock goes at once, from a breath to a laptop that was closed over the holidays.

One of them ends where an attempt's key is about to be trusted no longer.
"""


PARTNERS_MAX: Final = 3
COMMON: Final = ("rate_limit", "drop_after_commit")
"""What is met on most bad days."""
BUSY: Final[dict[str, Any]] = {
    "workers": 1,
    "ticks": 80,
    "switch_rate": 0.05,
    "faults": COMMON,
    "fault_rate": 0.8,
    "crash_rate": 0.0,
    "sleep_rate": 0.0,
    "happening_rate": 0.05,
    "pace_weights": (2, 8, 0, 0, 0, 0),
}
"""A provider that is busy all day, and a worker that asks it again and again."""
BUSY_RATE: Final = 0.2
AWAY: Final[dict[str, Any]] = {
    **BUSY,
    "faults": ("drop_after_commit", "html_502_after_commit", "no_json_after_commit", "cut_body"),
    "partners": 3,
    "funds_percent": 100,
    "happenings": ("earn", "draft"),
    "happening_rate": 0.2,
    "webhooks": False,
    "ticks": 40,
    "pace_weights": (2, 1, 0, 1, 0, 5),
}
"""Answers get lost, and nobody is there for days: keys end while what they did is not known."""
AWAY_RATE: Final = 0.15


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
    withheld_bps: tuple[int, ...]
    """What is withheld from each partner at the start."""
    webhooks: bool
    """Whether the provider sends any. Without them what it did is looked for now and then."""
    mishaps: tuple[Fault, ...]
    """What becomes of webhooks and of payouts to banks, by chance."""
    list_lag_s: int
    """How long what the provider makes is not in its lists yet."""
    lasting: tuple[Fault, ...]
    """Of those what does not end when it calms down: webhooks get lost for good, banks give money back."""
    page_rows: int
    """How many rows the provider gives at once, whatever it is asked for."""


def plan(rng: Random) -> Plan:
    """Some schedules are calm, some have one kind of trouble, and some have all of it at once."""
    made = _plan(rng)
    made = made._replace(lasting=tuple(one for one in made.mishaps if one.do in LASTING))
    roll = rng.random()
    if roll < BUSY_RATE:
        return made._replace(**BUSY)
    return made._replace(**AWAY) if roll < BUSY_RATE + AWAY_RATE else made


def _plan(rng: Random) -> Plan:
    kinds = rng.choice((0, 1, 3, 6, len(FAULTS)))
    common = kinds < 2 or rng.random() < 0.5
    return Plan(
        partners=rng.choice((1, 1, 2, 2, 3)),
        workers=rng.choice((1, 1, 2, 3)),
        ticks=rng.choice((20, 40, 60)),
        faults=(*rng.sample(FAULTS, kinds), *(COMMON * rng.choice((1, 3)) if common else ())),
        fault_rate=rng.choice((0.1, 0.3, 0.6, 0.9)),
        crash_rate=rng.choice((0.0, 0.0, 0.01, 0.04)),
        sleep_rate=rng.choice((0.0, 0.0, 0.02)),
        switch_rate=rng.choice((0.05, 0.2, 0.5)),
        outage_rate=rng.choice((0.0, 0.0, 0.02)),
        happening_rate=rng.choice((0.05, 0.2, 0.35)),
        happenings=tuple(rng.sample(HAPPENINGS, rng.choice((1, 3, len(HAPPENINGS))))),
        bank_rate=rng.choice((0.0, 0.1, 0.3, 0.3)),
        pace_weights=rng.choice(
            (
                (10, 3, 0, 0, 0, 0),
                (6, 4, 2, 1, 0, 0),
                (4, 3, 2, 2, 1, 1),
                (2, 2, 2, 6, 0, 0),
                (8, 0, 0, 0, 1, 0),
                (4, 1, 2, 0, 2, 0),
            )
        ),
        funds_percent=rng.choice((100, 100, 100, 60, 10)),
        withheld_bps=tuple(rng.choices(RATES_BPS, k=PARTNERS_MAX)),
        webhooks=rng.random() < 0.6,
        mishaps=mishaps(rng),
        lasting=(),
        list_lag_s=rng.choice((0, 0, 5, 600, 3500)),
        page_rows=rng.choice((1, 2, 100, 100)),
    )


def mishaps(rng: Random) -> tuple[Fault, ...]:
    """Some webhooks fare badly, in one way or in several, and some payouts to banks fail."""
    fails: int = rng.choice((0, 200, 600, 900))
    found = [
        Fault("payout", "payout_fails", times=None, per_mille=fails, seconds=rng.choice((60, 3600, 86400))),
        Fault("payout", "payout_fails_unpaid", times=None, per_mille=fails // 4),
    ]
    for kind in rng.sample(MISHAPS, rng.choice((0, 1, 3, len(MISHAPS)))):
        late = rng.random() * LATE_MAX.total_seconds() if kind in ("webhook_late", "webhook_reordered") else 0
        rate = rng.choice((100, 300, 900))
        found.append(Fault("webhook *", kind, times=None, per_mille=rate, seconds=late))
    return tuple(found)


def span(rng: Random, weights: tuple[int, ...]) -> timedelta:
    """How much time passes at a tick."""
    least, most = rng.choices(PACES, weights)[0]
    return least + (most - least) * rng.random()
