"""Which processors threads and the processes that they start may use."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from ledger import processors
from ledger.store.commit import GroupCommitter
from ledger.store.recorder import EventRecorder, Unit
from tests.ledger.test_group_commit import event

HERE = processors.GIVEN[0]
ALL = set(processors.GIVEN)
SAY = "import os; print(sorted(os.sched_getaffinity(0)))"


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    """A thread that may be confined: the tests' own is left as it is."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def child() -> set[int]:
    """Where a process that this thread starts may run."""
    said = subprocess.run([sys.executable, "-c", SAY], capture_output=True, text=True, check=True).stdout
    return set(map(int, said.strip().strip("[]").split(", ")))


def test_a_thread_is_kept_to_one_processor_with_what_it_starts(elsewhere):
    def kept() -> Any:
        processors.keep_to(HERE)
        with ThreadPoolExecutor(1) as pool:
            return os.sched_getaffinity(0), pool.submit(os.sched_getaffinity, 0).result(), child()

    assert elsewhere.submit(kept).result() == ({HERE}, {HERE}, {HERE})
    assert os.sched_getaffinity(0) == ALL


def test_what_is_started_while_a_thread_roams_may_run_anywhere(elsewhere):
    def roamed() -> Any:
        processors.keep_to(HERE)
        with processors.roaming():
            started = child()
        return started, os.sched_getaffinity(0)

    assert elsewhere.submit(roamed).result() == (ALL, {HERE})


def test_the_committing_thread_of_a_kept_one_roams(elsewhere):
    class Recorder:
        """Tells where it was asked."""

        def append(self, units: Sequence[Unit]) -> list[Any]:
            """No positions, but processors."""
            return [os.sched_getaffinity(0) for _ in units]

    def committed() -> Any:
        processors.keep_to(HERE)
        committer = GroupCommitter(cast(EventRecorder, Recorder()))
        try:
            return committer.append([[event()]])
        finally:
            committer.close()

    assert elsewhere.submit(committed).result() == [ALL]


def test_a_processor_that_is_gone_is_no_error(elsewhere):
    assert elsewhere.submit(processors.keep_to, 1_000_000).result() is None
    assert elsewhere.submit(os.sched_getaffinity, 0).result() == ALL
