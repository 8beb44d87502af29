"""The API under gunicorn, as a user would start it, but with the no-op route of tests/bench/wsgi.py."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.postgres import free_port

ROOT = Path(__file__).parents[2]
START_SECONDS_MAX = 60


@contextmanager
def running_server(database_url: str, folder: Path) -> Iterator[int]:
    """The port of a gunicorn with the settings of api/gunicorn_conf.py; stopped at the end."""
    arguments = ["--config", "api/gunicorn_conf.py", "tests.bench.wsgi:application"]
    with running_gunicorn(arguments, {"DATABASE_URL": database_url}, folder) as port:
        yield port


@contextmanager
def running_gunicorn(arguments: list[str], variables: Mapping[str, str], folder: Path) -> Iterator[int]:
    """The port of a gunicorn with these arguments and variables; stopped at the end."""
    port = free_port()
    environment = {**os.environ, **variables, "HOST": "127.0.0.1", "PORT": str(port)}
    log = folder / f"server-{port}.log"
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", *arguments]
    with log.open("wb") as output:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    try:
        wait_until_ready(server, port, log)
        yield port
    finally:
        server.terminate()
        server.wait(60)


def wait_until_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until /readyz answers; RuntimeError with the end of its log if that takes too long."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the server did not start:\n{log.read_text(errors='replace')[-4_000:]}")


def stop_what_was_started() -> None:
    """Let SIGTERM end this process by its `with` statements, as Ctrl-C does: no server is left behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
