"""Parts of the house as the processes that they are: started by the command line, stopped, looked after."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import urllib3

from tests.support.postgres import free_port
from tests.support.stripe_watch import watched_environment

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 60


def environment(database_url: str, var: Path, **more: str) -> dict[str, str]:
    """The environment of an installation of its own: a database, a folder, free ports, no Stripe key."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("STRIPE_", "REVSHARE_", "PROMETHEUS_"))
    }
    return {
        **inherited,
        **watched_environment(),
        "DATABASE_URL": database_url,
        "VAR_DIR": str(var),
        "TMPDIR": str(var.parent),  # what a killed process leaves behind goes with the test's own folder
        "PORT": str(free_port()),
        "SIMULATOR_PORT": str(free_port()),
        "WORKERS": "1",
        "THREADS": "4",
        **more,
    }


def revshare(
    env: Mapping[str, str], *arguments: str, timeout_s: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "api.cli", *arguments],
        env=dict(env),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def start(env: Mapping[str, str], *arguments: str, log: Path) -> "subprocess.Popen[bytes]":
    """Start a command, its output in a file."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "api.cli", *arguments],
            env=dict(env),
            cwd=ROOT,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


@contextmanager
def started(env: Mapping[str, str], *arguments: str, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A command while it runs; told to stop at the end, and killed when it does not."""
    process = start(env, *arguments, log=log)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            crash(process)


def crash(process: "subprocess.Popen[bytes]") -> None:
    """End a command and all that it started, as if the machine had lost its power."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def base_url(env: Mapping[str, str]) -> str:
    """Where the API of an environment answers."""
    return f"http://127.0.0.1:{env['PORT']}"


def wait_for(
    what: Callable[[], bool], *, seconds: float = WAIT_S, message: str = "it did not happen"
) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, message
        time.sleep(0.05)


def answers(env: Mapping[str, str]) -> bool:
    """Whether the API is ready."""
    try:
        return urllib3.request("GET", f"{base_url(env)}/readyz", retries=False, timeout=2).status == 200
    except urllib3.exceptions.HTTPError:
        return False


@contextmanager
def serving(env: Mapping[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The API alone, ready."""
    with started(env, "serve", log=log) as process:
        wait_for(lambda: answers(env) or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield process


def descendants(pid: int) -> dict[int, str]:
    """The processes below one, with their command lines."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The name, in parentheses, may hold anything; what follows is the state, then the parent.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    found: dict[int, str] = {}
    below: Sequence[int] = [pid]
    while below:
        below = [child for child, parent in parents.items() if parent in below]
        found.update({child: command_line(child) for child in below})
    return found


def command_line(pid: int) -> str:
    """What a process was started as; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


def alive(pid: int) -> bool:
    """Whether a process still does anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
