"""The real server: gunicorn with cold workers, and a database that goes away and comes back."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
import urllib3

from ledger import processors
from ledger.commands import IssueApiKey
from ledger.desk import Desk
from ledger.store.application import Ledger
from ledger.store.database import Database
from ledger.store.migrations import migrate
from tests.support import postgres
from tests.support.house import ROOT, environment

PROGRAM = {"reference": "acme", "name": "Acme", "type": "referral_network", "currency": "GBP"}
http = urllib3.PoolManager(retries=False, timeout=30)


def admin_key(url: str) -> str:
    """A key of an installation."""
    ledger = Ledger(Database(url))
    command = IssueApiKey(name="test", scopes=("admin",))
    token = Desk(ledger).execute(command, by="cli").secret
    ledger.close()
    assert token is not None
    return token


@contextmanager
def gunicorn(url: str, folder: Path, **settings: str):
    """The server as it runs in production; gives its address and its log."""
    env = environment(url, folder, **settings)
    log = folder / "gunicorn.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--config", "python:api.gunicorn_conf"],
            cwd=ROOT,
            env=env,
            stdout=output,
            stderr=output,
        )
    try:
        yield f"http://127.0.0.1:{env['PORT']}", log, process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ask(method: str, address: str, key: str = "", body: object = None) -> urllib3.BaseHTTPResponse:
    """One request on a connection of its own, so that each worker gets some."""
    headers = {"Authorization": f"Bearer {key}", "Connection": "close"}
    return http.request(method, address, headers=headers, json=body)


def until(found, seconds: float = 60):
    """Wait for something to be true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found():
                return
        except urllib3.exceptions.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError("it did not come true in time")


def test_six_cold_workers_all_start(database_url, tmp_path):
    """Each makes its own connections; none dies; all count into the same metrics."""
    key = admin_key(database_url)
    with gunicorn(database_url, tmp_path, WORKERS="6") as (address, log, process):
        until(lambda: log.read_text().count("Booting worker") >= 6)
        until(lambda: ask("GET", f"{address}/readyz").status == 200)
        statuses = [ask("POST", f"{address}/v1/programs", key, PROGRAM).status for _ in range(30)]
        metrics = ask("GET", f"{address}/metrics").data.decode()
        text = log.read_text()

        assert process.poll() is None

    assert sorted(set(statuses)) == [200, 201]
    assert statuses.count(201) == 1
    assert text.count("Booting worker") == 6
    assert "Traceback" not in text
    counted = [line for line in metrics.splitlines() if line.startswith("revshare_requests_total{")]
    made = [line for line in counted if 'route="/v1/programs"' in line]
    assert sum(float(line.rsplit(" ", 1)[1]) for line in made) == 30
    assert "revshare_lag_events" in metrics


def places(server: psutil.Process) -> list[set[int]]:
    """The processors that the main thread of each worker may use."""
    return [set(worker.cpu_affinity()) for worker in server.children()]


def thread_places(server: psutil.Process) -> list[list[set[int]]]:
    """The same of every thread of each worker."""
    return [[os.sched_getaffinity(thread.id) for thread in worker.threads()] for worker in server.children()]


def test_each_worker_answers_from_one_processor_and_commits_from_any(database_url, tmp_path):
    """Where there are enough each has its own; who takes the place of a dead one takes its processor, too."""
    key = admin_key(database_url)
    given = set(processors.GIVEN)
    with gunicorn(database_url, tmp_path, WORKERS="2") as (address, _log, process):
        server = psutil.Process(process.pid)
        until(lambda: len(server.children()) == 2 and all(len(place) == 1 for place in places(server)))
        until(lambda: ask("GET", f"{address}/readyz").status == 200)
        # Both have committed something: each has a thread that is at home everywhere.
        until(
            lambda: (
                ask("POST", f"{address}/v1/programs", key, {**PROGRAM, "reference": uuid4().hex}).status
                == 201
                and all(given in threads for threads in thread_places(server))
            )
        )
        threads = thread_places(server)
        before = places(server)

        dead = server.children()[0]
        dead.kill()

        until(lambda: dead not in (now := server.children()) and len(now) == 2)
        until(lambda: all(len(place) == 1 for place in places(server)))
        after = places(server)

    assert len(set.union(*before)) == min(2, len(given))
    assert sorted(map(tuple, after)) == sorted(map(tuple, before))
    if len(given) > 1:
        assert [sum(place == given for place in each) for each in threads] == [1, 1]
    assert all(len(place) == 1 or place == given for each in threads for place in each)


def test_connections_that_all_come_at_once_are_shared(tmp_path):
    """Whoever wakes first does not take them all."""
    url = f"sqlite:///{tmp_path / 'revshare.db'}"
    migrate(url)
    with gunicorn(url, tmp_path, WORKERS="2") as (address, _log, process), ExitStack() as opened:
        until(lambda: ask("GET", f"{address}/readyz").status == 200)
        server = psutil.Process(process.pid)
        # Both take connections when both have answered: then each has a thread for that.
        until(
            lambda: (
                ask("GET", f"{address}/healthz").status == 200
                and sum(worker.num_threads() > 1 for worker in server.children()) == 2
            )
        )
        host, port = address.removeprefix("http://").split(":")
        for _ in range(40):
            connection = opened.enter_context(socket.create_connection((host, int(port))))
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")

        def shares() -> list[int]:
            held = [worker.net_connections("tcp") for worker in server.children()]
            return sorted(sum(one.status == psutil.CONN_ESTABLISHED for one in each) for each in held)

        until(lambda: sum(shares()) == 40)

        assert shares()[0] >= 5


def test_workers_that_shall_not_be_pinned_are_not(tmp_path):
    """`PIN_WORKERS=false` leaves it to the system."""
    url = f"sqlite:///{tmp_path / 'revshare.db'}"
    migrate(url)
    with gunicorn(url, tmp_path, PIN_WORKERS="false") as (address, _log, process):
        until(lambda: ask("GET", f"{address}/readyz").status == 200)

        assert places(psutil.Process(process.pid)) == [set(processors.GIVEN)]


@contextmanager
def cluster():
    """A PostgreSQL of our own, which we may stop."""
    account = postgres.unprivileged_account()
    with tempfile.TemporaryDirectory(prefix="revshare-postgres-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        os.chown(folder, account.uid, account.gid)
        binaries = postgres.find_binaries(account, folder)
        yield binaries, folder, account


def take_down(server: postgres.Server) -> None:
    """Stop the server, but keep its data: it will be started again."""
    os.kill(int(postgres.status_lines(server)[0]), signal.SIGINT)
    server.guard.wait(30)


@pytest.mark.timeout(240)
def test_a_database_that_goes_away_and_comes_back(tmp_path):
    """503 with Retry-After while it is down; then the same server works again by itself, with all facts."""
    with cluster() as (binaries, folder, account):
        server = postgres.start(binaries, folder, account)
        url = f"postgresql://postgres:{server.password}@127.0.0.1:{server.port}/postgres"
        try:
            migrate(url)
            key = admin_key(url)
            with gunicorn(url, tmp_path, WORKERS="2") as (address, _log, process):
                until(lambda: ask("GET", f"{address}/readyz").status == 200)
                made = ask("POST", f"{address}/v1/programs", key, PROGRAM)
                path = f"{address}/v1/programs/{made.json()['program_id']}"
                take_down(server)

                down = [ask("GET", path, key), ask("POST", f"{address}/v1/programs", key, PROGRAM)]
                alive = ask("GET", f"{address}/healthz")
                restarted = postgres.spawn(binaries, server.data, account, server.port)
                server = postgres.Server(restarted, server.data, server.port, server.password)
                assert postgres.ready(server)
                until(lambda: ask("GET", path, key).status == 200, seconds=30)
                # The other worker may notice only now: whoever asks again is served.
                until(lambda: ask("POST", f"{address}/v1/programs", key, PROGRAM).status == 200, seconds=30)

                assert process.poll() is None
        finally:
            postgres.stop(server)

    assert made.status == 201
    assert [answer.status for answer in down] == [503, 503]
    assert all(answer.headers["Retry-After"] for answer in down)
    assert all(answer.json()["type"] == "/problems/unavailable" for answer in down)
    assert alive.status == 200
