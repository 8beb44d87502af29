"""Fixtures for tests of views: a ledger with a moving clock, a world to tell facts in, a runner."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.audit.notes import Signer
from ledger.store.application import Ledger
from ledger.store.database import Database
from projections.audit_log import Sequencer
from projections.checkpoints import CheckpointMaker
from projections.runner import Runner
from tests.projections.world import BEGIN, World


class Clock:
    """A second later each time it is asked."""

    def __init__(self):
        self.now = BEGIN

    def __call__(self):
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def ledger(database_url):
    """A ledger on a fresh database."""
    ledger = Ledger(Database(database_url), clock=Clock())
    yield ledger
    ledger.close()


@pytest.fixture
def world(ledger):
    """A world to tell facts in."""
    return World(ledger)


@pytest.fixture
def runner(ledger):
    """The runner of all views."""
    return Runner(ledger)


@pytest.fixture
def rows(ledger):
    """All rows of a table, as the database holds them, in the order of its key."""

    def read(table):
        with ledger.database.read() as connection:
            return [row._asdict() for row in connection.execute(table.select().order_by(*table.primary_key))]

    return read


@pytest.fixture
def sign(world):
    """Tell a fact, seal it, sign the head: the size of the tree. The world is `tests.support.world`'s."""
    maker = CheckpointMaker(world.ledger, Signer("log", Ed25519PrivateKey.from_private_bytes(b"k" * 32)))

    def once():
        world.program(reference=f"program-{len(world.log())}")
        Sequencer(world.ledger).catch_up()
        head = maker.step(now_wanted=True)
        assert head is not None
        return head.size

    return once
