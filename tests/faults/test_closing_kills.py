"""kill -9 at every edge of closing and issuing: begun again, the same months, the same statements, once."""

import pytest

from tests.faults.closings import Closings
from tests.faults.scene import KILLED

LEAST = {
    "started",
    "before append PeriodClosed+PeriodTotalsFrozen",
    "before append PeriodClosed+PeriodTotalsFrozen (2)",
    "before append StatementIssued",
    "before append StatementIssued (6)",
    "before commit",
    "done",
}
"""Two months, each closed by one append and stated by three; each in transactions."""


@pytest.fixture
def closings(database_url, forks, tmp_path):
    """A world whose programs' months are closed."""
    found = Closings(database_url, forks, tmp_path)
    yield found
    found.world.close()


def test_a_closing_can_end_at_any_edge(closings):
    """The first play names the edges; then the process is killed at each of them, and another one follows."""
    name = closings.lived()
    code, edges = closings.run()
    assert code == 0
    closings.check(name)
    expected = closings.outcome()

    assert set(edges) >= LEAST
    for edge in edges:
        name = closings.lived()
        assert closings.run(kill_at=edge)[0] == KILLED, edge
        cut = closings.told()
        assert closings.run()[0] == 0, edge
        assert closings.told().begins_with(cut), edge
        assert closings.outcome() == expected, edge
        closings.check(name)
    assert closings.verify()[0] == 3 * (len(edges) + 1)
    assert all(sum(of.values()) == 0 for of in closings.moved(closings.world.program_id).values())
