"""`python -m tests.simulation --schedules N --seed S [--mutant NAME | list]`: it ends with one line of JSON.

Exits with 1 when a schedule went wrong, and says for each how to see it again.
"""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator

import msgspec

from tests.simulation.many import Summary, run_many, run_one, summed
from tests.simulation.mutants import MUTANTS
from tests.simulation.schedule import Verdict

SHOWN_MAX = 10
TOLD_EACH = 1_000
"""After so many schedules a long run says how far it is."""


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=2_000)
    parser.add_argument(
        "--seed", type=int, default=1, help="of the first schedule; the next has the next one"
    )
    parser.add_argument("--mutant", default="", help="a wrong worker instead of ours; `list` names them")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    mutant = options.mutant or None
    if mutant == "list":
        for name, wrong in MUTANTS.items():
            print(f"{name:<20} {wrong.idea}")
        return 0
    if mutant is not None and mutant not in MUTANTS:
        parser.error(f"no mutant is called {mutant}; there are {', '.join(MUTANTS)}")
    bad: list[Verdict] = []
    if options.schedules == 1:
        summary = one(options.seed, mutant, bad)
    else:
        summary = summed(told(run_many(options.seed, options.schedules, mutant, options.processes), bad), bad)
    for verdict in bad[:SHOWN_MAX]:
        show(verdict, mutant)
    if len(bad) > SHOWN_MAX:
        print(f"… and {len(bad) - SHOWN_MAX} more seeds")
    line = msgspec.to_builtins(summary)
    if mutant is not None:
        line |= {"mutant": mutant, "caught": len(bad)}
    print(msgspec.json.encode(line).decode(), flush=True)
    return 1 if bad else 0


def one(seed: int, mutant: str | None, bad: list[Verdict]) -> Summary:
    """A single schedule, told step by step."""
    trace: list[str] = []
    summary = summed((run_one(each, mutant, trace) for each in (seed,)), bad)
    print("\n".join(trace))
    return summary


def told(verdicts: Iterable[Verdict], bad: list[Verdict]) -> Iterator[Verdict]:
    """The same verdicts; on standard error, now and then, how many there were and which went wrong since."""
    began, shown = time.perf_counter(), 0
    for number, verdict in enumerate(verdicts, start=1):
        yield verdict
        if number % TOLD_EACH == 0:
            took = time.perf_counter() - began
            print(
                f"{number:,} schedules, {len(bad)} of them wrong, {took:,.0f} s", file=sys.stderr, flush=True
            )
            for one in bad[shown:SHOWN_MAX]:
                print(f"seed {one.seed}: {'; '.join(one.wrong)}", file=sys.stderr, flush=True)
            shown = len(bad)


def show(verdict: Verdict, mutant: str | None) -> None:
    """What went wrong, and the command that shows it again."""
    print(f"seed {verdict.seed}:")
    for text in verdict.wrong:
        print(f"  {text}")
    print(f"  again: make simulate SCHEDULES=1 SEED={verdict.seed}{f' MUTANT={mutant}' if mutant else ''}")


if __name__ == "__main__":
    sys.exit(main())
