"""How long a statement takes as a file: `python -m tests.bench.statement_files --lines 10000`.

Each number of lines is written as PDF and as workbook, several times; told are the quickest round, the least
processor time (with that of the typesetter's process) and that process's memory. Prints one JSON line a size
and format; all of them go to build/bench/statement-files.json.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil
from babel import Locale

from api.statement_files.pdf import to_pdf
from api.statement_files.workbook import to_xlsx
from projections.statement import Statement
from tests.bench import report
from tests.bench.client import ROOT
from tests.support.statements import sample_statement

MIB = 2**20
WRITERS: dict[str, Callable[[Statement, Locale], bytes]] = {"pdf": to_pdf, "xlsx": to_xlsx}


def main() -> int:
    """Measure each size in each format."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.statement_files", description=__doc__)
    parser.add_argument("--lines", type=int, action="append", help="lines of the statement; may be repeated")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    lines = []
    for size in sorted(options.lines or [100, 1_000, 10_000]):
        statement = sample_statement(size)
        for format_ in WRITERS:
            lines.append(measure(statement, format_, options.rounds))
            print(json.dumps(lines[-1]), flush=True)
    path = report.write("statement-files", {**report.about(), "files": lines})
    print(f"written: {path.relative_to(ROOT)}")
    return 0


def measure(statement: Statement, format_: str, rounds: int) -> dict[str, Any]:
    """The quickest of some rounds."""
    took = []
    size = 0
    for _ in range(rounds):
        began, spent = time.perf_counter(), _spent()
        size = len(WRITERS[format_](statement, Locale("de")))
        took.append((time.perf_counter() - began, _spent() - spent))
    seconds = min(each for each, _ in took)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024 if format_ == "pdf" else None
    return {
        "format": format_,
        "lines": len(statement.lines),
        "s": round(seconds, 2),
        "processor_s": round(min(each for _, each in took), 2),
        "mib": round(size / MIB, 2),
        "typesetter_mib": memory,
        "load": round(psutil.getloadavg()[0], 1),
    }


def _spent() -> float:
    """Seconds of a processor that this process and those that it waited for have used."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


if __name__ == "__main__":
    sys.exit(main())
