"""A long statement takes the memory of its lines, and not that of all that they are read from."""

import gc
import tracemalloc

import pytest

from payouts.outcomes import Confirmed
from projections.audit_log import Sequencer
from projections.checkpoints import CheckpointMaker
from projections.statements.proof import statement_proof
from projections.statements.reading import load
from tests.proof.stage import SIGNER
from tests.support.closing import close, rows
from tests.support.finance import Finance, Script, day

SALES = (300, 600)
LINE_BYTES_MAX = 1_500
"""3,060 before lines were made some hundred at a time; 760 of it stay, as long as the statement does."""


@pytest.fixture
def finance(sqlite_database_url):
    """One partner with sales in two months, twice as many in the second."""
    made = Finance(sqlite_database_url, Script(Confirmed("tr_1")))  # type: ignore[arg-type]
    made.world.now = day(1)
    partner_id = made.partner("acme", linked=False)
    made.world.touch("customer", partner_id, day(1))
    for begins, count, month in ((2, SALES[0], "2024-01"), (33, SALES[1], "2024-02")):
        made.world.now = day(begins + 5)
        sold = (made.world.sale(f"{month}-{n}", "customer", 10_00 + n, day(begins)) for n in range(count))
        made.world.send(*sold)
        made.settle()
        made.world.now = day(begins + 30)
        close(made, month)
    Sequencer(made.ledger).catch_up()
    CheckpointMaker(made.ledger, SIGNER).step(now_wanted=True)
    yield made
    made.close()


def peak(act) -> int:
    """How many bytes more were held at the worst moment."""
    gc.collect()
    tracemalloc.start()
    act()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def test_each_line_more_takes_little_more(finance):
    """Loaded, and written with its proofs: by the difference of a long one and a longer one."""
    ledger, (short, long) = finance.ledger, rows(finance)
    assert (short.lines, long.lines) == (2 * SALES[0], 2 * SALES[1])

    def loaded(row):
        with ledger.database.read() as connection:
            return load(ledger, connection, row)

    def proven(row):
        for _ in statement_proof(ledger, row.statement_id):
            pass

    for act in (loaded, proven):
        act(short)  # what is compiled once is not counted
        more = peak(lambda act=act: act(long)) - peak(lambda act=act: act(short))
        assert more / (long.lines - short.lines) < LINE_BYTES_MAX
