"""How parts are told to stop: also in the one moment in which a careless handler would wait for ever."""

import subprocess
import sys

WAITING_WITH_THE_LOCK_HELD = """
import os, signal
from api.cli.lifetime import stop_on_signal

stop = stop_on_signal()
with stop._cond:  # as within stop.wait(), when the signal comes
    os.kill(os.getpid(), signal.SIGTERM)
assert stop.wait(10)
"""


def test_a_signal_within_the_wait_stops_the_part():
    """The handler runs in the thread that waits, and must not need what that thread holds."""
    done = subprocess.run([sys.executable, "-c", WAITING_WITH_THE_LOCK_HELD], timeout=30, check=False)

    assert done.returncode == 0
