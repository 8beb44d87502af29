"""Worker processes forked off one that has imported everything: real processes, but there at once."""

import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

FASTER = 300
"""Seconds of a worker's time in one of ours."""


class Forks:
    """A process that forks others on demand. Each is a payout worker that runs until it ends or is ended."""

    def __enter__(self) -> "Forks":
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.forks"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._parent.stdin is not None
        self._parent.stdin.close()
        self._parent.wait(timeout=10)

    def start(self, **how: Any) -> int:
        """A worker's process id. Takes the arguments of `work`."""
        return self._ask({"work": how})

    def wait(self, pid: int) -> int:
        """How it ended: its exit code, or minus the signal that ended it."""
        return self._ask({"wait": pid})

    def stop(self, pid: int) -> int:
        """End it as a supervisor does."""
        os.kill(pid, signal.SIGTERM)
        return self.wait(pid)

    def _ask(self, question: dict[str, Any]) -> int:
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(json.dumps(question) + "\n")
        self._parent.stdin.flush()
        return int(self._parent.stdout.readline())


def work(
    *,
    url: str,
    address: str,
    seen: str,
    kill_at: str | None = None,
    epoch: float,
    hours_later: int = 0,
    options: dict[str, Any] | None = None,
    job: str | None = None,
    told: dict[str, str] | None = None,
    commits: bool = False,
) -> None:
    """Run a payout worker until SIGTERM, or do one of tests/faults/jobs.py; or kill itself at an edge.

    Its time runs faster than ours since `epoch` (seconds since 1970), so that nobody waits for its patience.
    `options` are those of the worker, `told` is what the job is told. With `commits` each commit is an edge.
    """
    from api.cli.lifetime import stop_on_signal
    from ledger.store.application import Ledger, utc_now
    from ledger.store.database import Database
    from payouts.gateway import StripeGateway
    from payouts.worker import Options, PayoutWorker
    from tests.faults.edges import Edges
    from tests.faults.jobs import JOBS

    stop = stop_on_signal()
    edges = Edges(seen, kill_at)
    edges.install()
    began = datetime.fromtimestamp(epoch, UTC)
    ledger = Ledger(
        Database(url), clock=lambda: began + (utc_now() - began) * FASTER + timedelta(hours=hours_later)
    )
    if commits:
        edges.at_commits(ledger.database)
    edges("started")
    gateway = StripeGateway("sk_test_standin", address)
    if job is not None:
        JOBS[job](ledger, gateway, told or {})
        edges("done")
    else:
        how = msgspec.convert(options or {}, Options)
        PayoutWorker(ledger, gateway, options=how, reached=edges).run(stop, idle_s=0.02)
    ledger.close()


def main() -> None:
    """Fork on demand; questions come as lines of JSON, answers go as numbers."""
    for name in (
        "api.cli.lifetime",
        "payouts.gateway",
        "payouts.worker",
        "tests.faults.edges",
        "tests.faults.jobs",
    ):
        importlib.import_module(name)
    for line in sys.stdin:
        question = json.loads(line)
        if "wait" in question:
            _, status = os.waitpid(question["wait"], 0)
            _answer(os.waitstatus_to_exitcode(status))
            continue
        us, pid = os.getpid(), os.fork()
        if pid == 0:
            _as_child(us, question["work"])
        _answer(pid)


def _as_child(parent: int, how: dict[str, Any]) -> None:
    """Ends with its parent. What it says goes into a file: our own output is for answers."""
    from api.cli.lifetime import PARENT_VARIABLE, end_with_supervisor

    code = 1
    try:
        os.environ[PARENT_VARIABLE] = str(parent)
        end_with_supervisor()
        sys.stdin.close()
        said = os.open(f"{how['seen']}.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        os.dup2(said, sys.stdout.fileno())
        os.dup2(said, sys.stderr.fileno())
        work(**how)
        code = 0
    except Exception:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _answer(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
