"""The database ends under the workers: stopped at once in mid-batch, or cut off between commit and answer."""

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest

from ledger.store.migrations import migrate
from tests.faults.cutting import Cutter
from tests.faults.scene import CREATE, Scene
from tests.support import postgres
from tests.support.databases import postgresql_database
from tests.support.finance import Finance

PAYOUTS = 40
LEAST_COMMITS = 4
"""For one payout: the lease is taken, the intent and the outcome are recorded, the lease is given back."""


class OwnServer:
    """A server of this test alone, that can be stopped at once and started again."""

    def __init__(self, folder: Path) -> None:
        self._account = postgres.unprivileged_account()
        os.chown(folder, self._account.uid, self._account.gid)
        self._binaries = postgres.find_binaries(self._account, folder)
        self._server = postgres.start(self._binaries, folder, self._account)
        of = self._server
        self.url = f"postgresql://postgres:{of.password}@127.0.0.1:{of.port}/postgres"

    def stop_at_once(self) -> None:
        """An immediate shutdown: nothing is finished, nothing is written down; as when the machine goes."""
        os.kill(int(postgres.status_lines(self._server)[0]), signal.SIGQUIT)
        self._server.guard.wait(timeout=30)

    def start_again(self) -> None:
        """Recovery from the log, then business as usual."""
        of = self._server
        guard = postgres.spawn(self._binaries, of.data, self._account, of.port)
        self._server = postgres.Server(guard, of.data, of.port, of.password)
        assert postgres.ready(self._server)

    def close(self) -> None:
        """Stop for good."""
        postgres.stop(self._server)


@pytest.fixture
def own_server() -> Iterator[OwnServer]:
    """A PostgreSQL that nobody else uses."""
    with tempfile.TemporaryDirectory(prefix="revshare-ends-", ignore_cleanup_errors=True) as folder:
        server = OwnServer(Path(folder))
        yield server
        server.close()


@contextmanager
def department(url: str, gateway) -> Iterator[Finance]:
    """A finance department on a database of its own."""
    finance = Finance(url, gateway)
    try:
        yield finance
    finally:
        finance.close()


def test_a_database_that_stops_at_once_in_mid_batch(own_server, stripe_gateway, forks, tmp_path):
    """Two workers send a batch; the server is stopped twice under them. They go on by themselves."""
    with postgresql_database(own_server.url) as url:
        migrate(url)
        with department(url, stripe_gateway) as finance:
            scene = Scene(finance, forks, tmp_path)
            # Slower still after the second stop: a busy machine looks late, and must not find all done.
            slowly = {"on": CREATE, "do": "delay", "times": PAYOUTS // 3, "seconds": 0.15}
            slower = {"on": CREATE, "do": "delay", "times": PAYOUTS - PAYOUTS // 3, "seconds": 0.5}
            scene.begin([10_00 + n for n in range(PAYOUTS)], [slowly, slower])
            workers = [scene.start(), scene.start()]
            for arrived in (3, PAYOUTS // 3):
                scene.let_run(partial(scene.have_arrived, arrived))
                assert scene.confirmed() < PAYOUTS
                own_server.stop_at_once()
                time.sleep(0.3)
                own_server.start_again()
            scene.let_run(lambda: scene.confirmed() == PAYOUTS)
            for worker in workers:
                worker.stop()
            scene.check()
            finance.check_zero_sum()


def test_a_commit_whose_answer_is_lost(postgresql_database_url, stripe_gateway, forks, tmp_path):
    """The connection is cut after each commit of the worker in turn: done, but it does not know."""
    with department(postgresql_database_url, stripe_gateway) as finance:
        cutter = Cutter(postgresql_database_url)
        scene = Scene(finance, forks, tmp_path, url=cutter.url)

        def cuts(cut_at: int) -> bool:
            """Whether there was anything left to cut."""
            cutter.begin(cut_at)
            scene.begin([20_00])
            worker = scene.start()
            scene.let_run(lambda: scene.confirmed() == 1)
            worker.stop()
            scene.check()
            return cutter.cuts == 1

        number = 1
        while cuts(number):
            number += 1
        assert number > LEAST_COMMITS
        finance.check_zero_sum()
        cutter.close()


def test_the_way_that_is_cut_lets_the_commit_pass(postgresql_database_url):
    """The test above would show nothing if the cut came before the commit."""
    cutter = Cutter(postgresql_database_url)
    with psycopg.connect(postgresql_database_url, autocommit=True) as straight:
        straight.execute("CREATE TABLE seen (number int)")
        cut = psycopg.connect(cutter.url)
        cut.execute("INSERT INTO seen VALUES (1)")
        cutter.begin(1)
        with pytest.raises(psycopg.OperationalError):
            cut.commit()
        for _ in range(100):
            rows = straight.execute("SELECT number FROM seen").fetchall()
            if rows:
                break
            time.sleep(0.01)

    assert rows == [(1,)]
    assert (cutter.commits, cutter.cuts) == (1, 1)
    cutter.close()
