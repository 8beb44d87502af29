"""`revshare up`: every part under one command; and what `demo` needs of the same."""

import fcntl
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Final

import sqlalchemy as sa
import typer
import urllib3
from rich.text import Text

from api.cli.lifetime import stop_on_signal
from api.cli.parts import Live, environment_of, first_line, guard_live_key, parts_of, settings
from api.cli.supervisor import LOOK_S, Gone, Supervisor
from api.cli.terminal import EXIT_FAILED, fail, out, say
from api.settings import Settings
from ledger.store.database import DatabaseUnavailable
from ledger.store.migrations import migrate, pending_revisions

READY_S_MAX: Final = 60
PORTS_TRIED: Final = 50
_COLOURS: Final = {
    "api": "green",
    "engine": "yellow",
    "projections": "cyan",
    "payouts": "magenta",
    "stand-in": "blue",
}


class NeverReady(Exception):
    """The API did not answer in time."""


def up(live: Live = False) -> None:
    """Run everything: API, reward engine, views, payout worker and, without STRIPE_API_KEY, the stand-in.

    A part that dies is started again. Ctrl-C or SIGTERM stops all of them in order.
    """
    of = settings()
    guard_live_key(of, live=live)
    with only_one(of.var):
        check_ports(of)
        bring_up_to_date(of)
        supervisor = Supervisor(parts_of(of, live=live), environment=environment_of(of), heard=_print_line)
        stop = stop_on_signal()
        try:
            supervisor.start()
            _announce_when_ready(of, stop)
            while not stop.wait(LOOK_S):
                supervisor.look()
        except Gone as gone:
            say(f"[red]{gone}[/]: everything is stopped")
            raise typer.Exit(gone.code) from None
        finally:
            say("stopping …")
            supervisor.stop()
            say("stopped")


def _announce_when_ready(of: Settings, stop: threading.Event) -> None:
    def announce() -> None:
        try:
            wait_until_ready(of, stop.is_set)
        except NeverReady as error:
            say(f"[red]{error}[/]")
        else:
            if not stop.is_set():
                say(f"[bold green]ready[/] {of.base_url}  (API reference: {of.base_url}/docs)")

    threading.Thread(target=announce, daemon=True).start()


def _print_line(name: str, line: str) -> None:
    if not out.is_terminal:
        # Nobody looks at colours: as it came, on one line. Each request writes one, and to render it takes as
        # long as to answer the request.
        out.file.write(f"{name:>11} │ {line}\n")
        out.file.flush()
        return
    out.print(Text(f"{name:>11} │ ", style=_COLOURS.get(name, "")).append(Text.from_ansi(line)))


@contextmanager
def only_one(var: Path) -> Iterator[None]:
    """Holds `var/`: a second `up` on the same files would start a second of everything."""
    var.mkdir(parents=True, exist_ok=True)
    with (var / "up.lock").open("w") as lock:
        if not _locked(lock):
            fail(
                f"revshare is already running on {var}/",
                hint="stop it first (Ctrl-C), or set another VAR_DIR",
            )
        yield


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def bring_up_to_date(of: Settings) -> None:
    """Migrate where that is needed: on PostgreSQL the role that runs things may not be the owner."""
    try:
        if pending_revisions(of.database_url):
            say("migrating the database")
            migrate(of.database_url)
    except DatabaseUnavailable as error:
        fail(first_line(error), hint="is the database running? is DATABASE_URL right?")
    except sa.exc.DBAPIError as error:
        fail(f"the database can't be migrated: {error.orig}", hint="run `revshare migrate` as its owner")


def check_ports(of: Settings) -> None:
    """End with a clear word when somebody else listens where we would."""
    for variable, host, port in _ports(of):
        if not _free(host, port):
            fail(f"port {port} on {host} is taken", hint=f"stop what listens there, or set {variable}")


def with_free_ports(of: Settings, told: Callable[[str], None]) -> Settings:
    """The same settings, with the next free port wherever one is taken."""
    taken: set[int] = set()
    found = {}
    for variable, host, port in _ports(of):
        candidates = range(port, min(port + PORTS_TRIED, 65_536))
        free = next((p for p in candidates if p not in taken and _free(host, p)), None)
        if free is None:
            fail(f"no port from {port} on is free on {host}", hint=f"set {variable}")
        if free != port:
            told(f"port {port} is taken: {free} instead")
        taken.add(free)
        found[variable] = free
    return replace(of, port=found["PORT"], simulator_port=found.get("SIMULATOR_PORT", of.simulator_port))


def _ports(of: Settings) -> list[tuple[str, str, int]]:
    standin = [("SIMULATOR_PORT", "127.0.0.1", of.simulator_port)] if of.uses_standin else []
    return [("PORT", of.host, of.port), *standin]


def _free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def wait_until_ready(of: Settings, stopping: Callable[[], bool] = lambda: False) -> None:
    """Wait until the API answers. Raises NeverReady when it takes too long."""
    deadline = time.monotonic() + READY_S_MAX
    with urllib3.PoolManager(retries=False, timeout=2) as pool:
        while not stopping():
            try:
                if pool.request("GET", f"{of.base_url}/readyz").status == 200:
                    return
            except urllib3.exceptions.HTTPError:
                pass
            if time.monotonic() > deadline:
                raise NeverReady(f"{of.base_url} gave no answer within {READY_S_MAX} s")
            time.sleep(LOOK_S)


@contextmanager
def running(of: Settings, heard: Callable[[str, str], None]) -> Iterator[Supervisor]:
    """Every part, started and ready, watched in the background; stopped in order at the end.

    A part that can't run at all interrupts the main thread: what follows is KeyboardInterrupt, and
    `supervisor.stopping` tells it from the user's own.
    """
    supervisor = Supervisor(parts_of(of), environment=environment_of(of), heard=heard)
    gone: list[Gone] = []

    def watch() -> None:
        try:
            supervisor.watch()
        except Gone as error:
            gone.append(error)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)  # wakes it, too

    supervisor.start()
    watcher = threading.Thread(target=watch, name="supervisor", daemon=True)
    watcher.start()
    try:
        wait_until_ready(of)
        yield supervisor
    except KeyboardInterrupt:
        if gone:
            fail(f"{gone[0]}", code=gone[0].code or EXIT_FAILED)
        raise
    except NeverReady as error:
        fail(str(error))
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # stopping is not to be interrupted half-way
        say("stopping all parts …")
        supervisor.stopping.set()
        watcher.join(timeout=10)
        supervisor.stop()
