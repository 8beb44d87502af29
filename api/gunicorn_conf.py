"""How gunicorn runs the API: threads in a few workers, every connection made after the fork."""

import gc
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from api.settings import read_settings
from api.worker import leave, seat
from ledger import processors

METRICS: Final = "PROMETHEUS_MULTIPROC_DIR"
_ours = METRICS not in os.environ
if _ours:
    os.environ[METRICS] = tempfile.mkdtemp(prefix="revshare-metrics-")
Path(os.environ[METRICS]).mkdir(parents=True, exist_ok=True)
_made_by = os.getpid()

_settings = read_settings()
# In any order, so that two services of one machine don't both begin with its first.
_processors = random.sample(processors.GIVEN, len(processors.GIVEN)) if _settings.pin_workers else []
_host = f"[{_settings.host}]" if ":" in _settings.host else _settings.host

bind = f"{_host}:{_settings.port}"
wsgi_app = "api.wsgi:application"
worker_class = "api.worker.Worker"  # threads: one that waits for the database leaves the others free
workers = _settings.workers
threads = _settings.threads
preload_app = False  # each worker makes its own ledger: connections and the committing thread survive no fork
timeout = 60  # of a worker that stands still; a request may wait 30 s for its rewards
graceful_timeout = 35
keepalive = 15
accesslog = None  # the application logs each request itself, with its id
control_socket_disable = True  # nobody steers it from outside


def pre_fork(server: Any, worker: Any) -> None:
    """A worker gets a processor, and where its siblings see how many connections it has."""
    seat(worker, server.WORKERS.values(), _processors)


def post_worker_init(worker: Any) -> None:
    """Threads that take turns stay on one processor; and no search for cycles in all that was loaded."""
    if worker.processor is not None:
        processors.keep_to(worker.processor)
    # A large batch makes many objects at once.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    # The committing thread waits for the database several times in each transaction, and each time for its
    # turn among the others: 5 ms, Python's default, would be longer than the commit itself.
    sys.setswitchinterval(0.0005)


def child_exit(_server: Any, worker: Any) -> None:
    """A worker that ended no longer counts, in the gauges and among its siblings."""
    leave(worker)
    # Imported late: the library looks for the shared folder when it is first imported.
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(_server: Any) -> None:
    """The folder of counters goes with the server that made it."""
    if _ours and os.getpid() == _made_by:
        shutil.rmtree(os.environ[METRICS], ignore_errors=True)
