"""Lag: how many facts a reader has before it, and for how long the oldest has waited."""

from datetime import timedelta

from projections import position
from projections.lag import ENGINE, lag
from projections.runner import Runner
from projections.views import VIEWS
from tests.projections.world import BEGIN


def test_lag_counts_what_waits_and_since_when(ledger, world):
    """Every view and the engine; a reader that never read is behind by everything."""
    world.accrue(1, 100, of=1)
    Runner(ledger).catch_up()
    world.accrue(2, 100)
    world.accrue(3, 100)
    with ledger.database.read() as connection:
        waiting = ledger.decode(ledger.log.read_log(connection, after=1, limit=1)[0]).recorded_at
        found = {reader.name: reader for reader in lag(ledger, connection)}

    assert set(found) == {*(f"view:{view.name}" for view in VIEWS), ENGINE}
    journal = found["view:journal"]
    assert (journal.position, journal.head, journal.events) == (1, 3, 2)
    assert journal.oldest_recorded_at == waiting
    assert 0 < journal.seconds < 60
    assert (found[ENGINE].events, found[ENGINE].oldest_recorded_at) == (3, BEGIN + timedelta(seconds=1))


def test_who_has_read_all_has_no_lag(ledger, world):
    """Nothing waits: zero events, zero seconds."""
    world.accrue(1, 100)
    Runner(ledger).catch_up()
    with ledger.database.write() as connection:
        position.ensure(connection, [ENGINE])
        position.move(connection, [ENGINE], 1, ledger.clock())
    with ledger.database.read() as connection:
        found = lag(ledger, connection)

    assert {(reader.events, reader.seconds, reader.oldest_recorded_at) for reader in found} == {(0, 0, None)}
