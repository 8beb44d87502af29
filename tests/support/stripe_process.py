"""Starts the stand-in for Stripe as the process that it is, and asks what only it can answer."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.support.stripe_watch import watched_environment

PLENTY = ("gbp=100000000000", "eur=100000000000", "usd=100000000000")
PATIENCE_S = 60
"""How long an answer or an end may take where the machine has much else to do: more is a hang."""
_LISTENING = "Stripe stand-in listening on "


@contextmanager
def running_stripe(
    directory: Path,
    *options: str,
    port: int = 0,
    platform_balance: Sequence[str] = PLENTY,
    watched: bool = False,
) -> Iterator[str]:
    """The address of a stand-in whose store is in the directory (and stays there); ended cleanly at the end.

    `platform_balance` is test money as CURRENCY=MINOR_UNITS, given to currencies never held before. The
    options are those of `python -m payouts.simulator --help`. Watched, it looks at every call itself: for
    callers in other processes, since the SDK in this one is watched anyway.
    """
    command = [sys.executable, "-m", "payouts.simulator", "--with-parent", "--port", str(port)]
    command += ["--database", str(directory / "stripe-simulator.db")]
    command += ["--platform-balance", *platform_balance] if platform_balance else []
    command += options
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | (watched_environment() if watched else {}),
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith(_LISTENING), f"the stand-in did not start: {line!r}"
        yield line.removeprefix(_LISTENING).strip()
        process.terminate()
        assert process.wait(timeout=PATIENCE_S) == 0, "the stand-in did not end cleanly"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def play_faults(address: str, *script: dict[str, Any]) -> int:
    """Let the next calls fail, by lines as in payouts/simulator/faults.py: how many are still to fail."""
    answer = requests.post(f"{address}/_sim/faults", json=list(script), timeout=PATIENCE_S)
    answer.raise_for_status()
    return int(answer.json()["calls_to_fail"])


def sim(address: str, path: str, content: Any = None) -> Any:
    """Ask a control address of the stand-in (payouts/simulator/control.py), or tell it something."""
    url = f"{address}/_sim/{path}"
    if content is None:
        answer = requests.get(url, timeout=PATIENCE_S)
    else:
        answer = requests.post(url, json=content, timeout=PATIENCE_S)
    answer.raise_for_status()
    return answer.json()


def books(address: str) -> dict[str, Any]:
    """The stand-in's trial balance."""
    answer: dict[str, Any] = requests.get(f"{address}/_sim/books", timeout=PATIENCE_S).json()
    return answer


def held(address: str, account: str) -> dict[str, int]:
    """What an account holds in the stand-in's books, by currency, in minor units. "platform" is ours."""
    return {row["currency"]: row["amount"] for row in books(address)["accounts"] if row["account"] == account}
