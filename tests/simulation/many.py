"""Many schedules on several processes, and what they come to."""

import gc
import multiprocessing
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Final

import msgspec

from tests.simulation.mutants import MUTANTS
from tests.simulation.schedule import Schedule, Verdict
from tests.simulation.stage import Stage

CHUNK: Final = 25
"""Schedules that a process takes at once."""


class Summary(msgspec.Struct):
    """What is printed last."""

    schedules: int = 0
    payouts: int = 0
    paid_twice: int = 0
    never_paid: int = 0
    held_for_human: int = 0
    per_second: float = 0.0

    def add(self, verdict: Verdict) -> None:
        """Count a schedule in."""
        self.schedules += 1
        self.payouts += verdict.payouts
        self.paid_twice += verdict.paid_twice
        self.never_paid += verdict.never_paid
        self.held_for_human += verdict.held_for_human


_stages: list[Stage] = []


def stage() -> Stage:
    """This process's stage."""
    if not _stages:
        _stages.append(Stage())
        gc.freeze()  # what all schedules share need not be searched for cycles again and again
        gc.set_threshold(20_000, 20, 20)
    return _stages[0]


def run_one(seed: int, mutant: str | None = None, trace: list[str] | None = None) -> Verdict:
    """One schedule, on this process's stage."""
    return Schedule(stage(), seed, MUTANTS[mutant].worker_of if mutant else None, trace=trace).run()


def _run_chunk(seeds: range, mutant: str | None) -> list[Verdict]:
    return [run_one(seed, mutant) for seed in seeds]


def run_many(first: int, schedules: int, mutant: str | None, processes: int) -> Iterator[Verdict]:
    """The verdicts of consecutive seeds, in their order."""
    chunks = [
        range(start, min(start + CHUNK, first + schedules))
        for start in range(first, first + schedules, CHUNK)
    ]
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for verdicts in pool.map(_run_chunk, chunks, [mutant] * len(chunks)):
            yield from verdicts


def summed(verdicts: Iterable[Verdict], bad: list[Verdict]) -> Summary:
    """The summary of all; those that are not good are put into `bad`."""
    began, summary = time.perf_counter(), Summary()
    for verdict in verdicts:
        summary.add(verdict)
        if not verdict.good:
            bad.append(verdict)
    summary.per_second = round(summary.schedules / (time.perf_counter() - began), 1)
    return summary
