"""Two processes close the same month at once, while facts of it are posted and others fill the log."""

from collections import Counter

import pytest

from ledger.events.period import PeriodClosed, PeriodTotalsFrozen
from ledger.postings import postings
from tests.faults.closings import Closings
from tests.faults.traffic import Traffic, threads
from tests.support.closing import FEBRUARY, JANUARY
from tests.support.world import day

SEEDS = range(3)


@pytest.fixture
def closings(database_url, forks, tmp_path):
    """A world whose programs' months are closed."""
    found = Closings(database_url, forks, tmp_path)
    yield found
    found.world.close()


def closing_of(recorded, closed):
    """Which closing has a fact, by the edge and the position that were frozen: the first that can."""
    at, place = recorded.fact.effective_at, recorded.position
    return next(fact.period for fact in closed if at < fact.ends_at and place <= fact.through_position)


@pytest.mark.parametrize("seed", SEEDS)
def test_two_closings_at_once_and_facts_that_come_meanwhile(closings, seed):
    """One closing. Each fact of January is in its totals and lines, or in February's beside its month: in one
    of them, once. That another program's facts never end holds nothing up."""
    world = closings.world
    closings.new_program()
    other = world.program_id
    name = closings.new_program()
    own = world.program_id
    traffic = Traffic(world.database.url, seed, own=own, other=other)
    traffic.post()
    with threads(*traffic.runs()):
        pids = [closings.start(JANUARY, by=by)[0] for by in ("key:one", "key:other")]
        assert [closings.wait(pid) for pid in pids] == [0, 0]
    traffic.post()
    closings.settle()
    world.now = day(70)
    assert closings.wait(closings.start(FEBRUARY)[0]) == 0

    closings.check(name)
    facts = [each for each in world.log() if getattr(each.fact, "program_id", None) == own]
    closed = [each.fact for each in facts if isinstance(each.fact, PeriodClosed)]
    assert [fact.period for fact in closed] == [JANUARY, FEBRUARY]
    sums: dict[str, Counter[str]] = {JANUARY: Counter(), FEBRUARY: Counter()}
    lines: Counter[tuple[str, int, str | None]] = Counter()
    for each in facts:
        legs = postings(each.fact)
        if legs:
            month = closing_of(each, closed)
            lines[month, each.position, None if month == JANUARY else JANUARY] += 1
        for leg in legs:
            sums[month][leg.account] += leg.amount_minor
    told = {
        each.fact.period: Counter({total.account: total.moved_minor for total in each.fact.totals})
        for each in facts
        if isinstance(each.fact, PeriodTotalsFrozen)
    }
    said = [(each.period.period, line) for each in closings.stated() for line in each.lines]

    assert told == sums
    assert [sum(of.values()) for of in sums.values()] == [0, 0]
    assert Counter((month, line.position, line.belongs_to) for month, line in said) == lines
    assert {month for month, _ in said} == {JANUARY, FEBRUARY}
    closings.verify()
    traffic.ledger.close()
