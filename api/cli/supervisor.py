"""Starts parts as processes, passes their output on, starts again what dies, stops all of them in order."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from api.cli.lifetime import PARENT_VARIABLE

STARTUP_S: Final = 5
"""A part that fails this soon after its first start can't run at all: starting it again gains nothing."""
BACKOFF_S_FIRST: Final = 1
BACKOFF_S_MAX: Final = 30
STEADY_S: Final = 60
"""A part that ran this long starts again with the first back-off."""
STOP_S_MAX: Final = 30
"""How long a part may take to finish what it is doing before it is killed."""
LOOK_S: Final = 0.1


class Part(NamedTuple):
    """A process to keep running: `revshare ARGUMENTS`."""

    name: str
    arguments: Sequence[str]


class Gone(Exception):
    """A part can't run. `code` is what it ended with."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__(f"{name} ended with {code} right after its start")
        self.name = name
        self.code = code


class _Running:
    """One part and its process of the moment."""

    def __init__(self, part: Part, environment: Mapping[str, str], heard: Callable[[str, str], None]) -> None:
        self.part = part
        self._environment = environment
        self._heard = heard
        self.restarts = 0
        self.start_again_at: float | None = None
        self.backoff_s = BACKOFF_S_FIRST
        self.start()

    def start(self) -> None:
        self.started_at = time.monotonic()
        self.start_again_at = None
        self.process = subprocess.Popen(
            [sys.executable, "-m", "api.cli.run", *self.part.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Out of reach of the terminal's Ctrl-C: we stop the parts ourselves, in order.
            start_new_session=True,
            env={
                **os.environ,
                **self._environment,
                PARENT_VARIABLE: str(os.getpid()),
                "PYTHONUNBUFFERED": "1",
            },
        )
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()

    def _read(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self._heard(self.part.name, line.decode("utf-8", errors="replace").rstrip("\r\n"))

    def ask_to_stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def finish(self, deadline: float) -> bool:
        """Wait for its end, then make sure of it. False when it had to be killed."""
        try:
            self.process.wait(max(deadline - time.monotonic(), 0))
            peaceful = True
        except subprocess.TimeoutExpired:
            peaceful = False
        with suppress(ProcessLookupError, PermissionError):  # whatever it may have left behind in its session
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(timeout=2)
        return peaceful


class Supervisor:
    """Keeps parts running. `start` and `stop` are for the main thread; `watch` for it, or for one other."""

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        environment: Mapping[str, str],
        heard: Callable[[str, str], None],
    ) -> None:
        self._parts = parts
        self._environment = environment
        self._heard = heard
        self._running: list[_Running] = []
        self.stopping = threading.Event()

    def start(self) -> None:
        """Start every part, in order."""
        for part in self._parts:
            self._running.append(_Running(part, self._environment, self._heard))

    def watch(self) -> None:
        """Start again what dies, until `stopping` is set. Raises Gone when a part can't run at all."""
        while not self.stopping.wait(LOOK_S):
            self.look()

    def look(self) -> None:
        """One round of `watch`."""
        for running in self._running:
            code = running.process.poll()
            if code is None:
                continue
            now = time.monotonic()
            if running.start_again_at is None:
                self._plan_restart(running, code, now)
            elif now >= running.start_again_at:
                running.restarts += 1
                running.start()

    def _plan_restart(self, running: _Running, code: int, now: float) -> None:
        ran_s = now - running.started_at
        # What a signal ended (a negative code) did not end by itself: it may well run the next time.
        if running.restarts == 0 and ran_s < STARTUP_S and code >= 0:
            raise Gone(running.part.name, code or 1)
        if ran_s >= STEADY_S:
            running.backoff_s = BACKOFF_S_FIRST
        running.start_again_at = now + running.backoff_s
        self._heard(
            running.part.name, f"** ended with {_described(code)}; starts again in {running.backoff_s} s"
        )
        running.backoff_s = min(running.backoff_s * 2, BACKOFF_S_MAX)

    def pids(self) -> dict[str, int]:
        """The process of each part that runs."""
        return {r.part.name: r.process.pid for r in self._running if r.process.poll() is None}

    def stop(self) -> None:
        """Stop the parts in the reverse order of their start, each when the one before has ended."""
        self.stopping.set()
        for running in reversed(self._running):
            running.ask_to_stop()
            if not running.finish(time.monotonic() + STOP_S_MAX):
                self._heard(running.part.name, f"** did not stop within {STOP_S_MAX} s and was killed")
        self._running.clear()


def _described(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
