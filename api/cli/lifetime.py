"""How a part lives: it ends with the process that started it, and stops in peace when it is asked to."""

import ctypes
import os
import signal
import sys
import threading
import time
from typing import Final

PARENT_VARIABLE: Final = "REVSHARE_SUPERVISOR_PID"
"""Set by `revshare up` for its parts: the process that they must not outlive."""
_PR_SET_PDEATHSIG: Final = 1
_LOOK_S: Final = 1


def end_with_supervisor() -> None:
    """If `revshare up` started us: be told to stop (SIGTERM) when it dies, however it dies.

    Called by the part itself and not between fork and exec, where Python code isn't safe beside threads.
    """
    supervisor = int(os.environ.get(PARENT_VARIABLE) or 0)
    if not supervisor:
        return
    del os.environ[PARENT_VARIABLE]  # not for our own children: their parent is us
    if not _ask_kernel():
        threading.Thread(target=_watch, args=(supervisor,), name="supervisor-watch", daemon=True).start()
    if os.getppid() != supervisor:  # it died before we had asked
        sys.exit(0)


def _ask_kernel() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        return bool(libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


def _watch(supervisor: int) -> None:
    while os.getppid() == supervisor:
        time.sleep(_LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)


def stop_on_signal() -> threading.Event:
    """An event that SIGTERM and SIGINT set, for loops that look at it between two steps.

    The handler only writes to a pipe: it runs in the main thread wherever that happens to be, and within
    `stop.wait()` that thread holds the very lock that `stop.set()` would wait for.
    """
    stop = threading.Event()
    told, tell = os.pipe()

    def listen() -> None:
        os.read(told, 1)
        stop.set()

    def on_signal(_number: int, _frame: object) -> None:
        os.write(tell, b"x")

    os.set_blocking(tell, False)
    threading.Thread(target=listen, name="signals", daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    return stop
