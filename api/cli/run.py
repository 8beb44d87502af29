"""`python -m api.cli.run PART`: how `up` starts a part, without loading what only other commands need."""

import sys
from collections.abc import Callable, Sequence
from typing import Final

import typer

from api.cli import parts
from api.cli.terminal import EXIT_USAGE

PARTS: Final[dict[tuple[str, ...], Callable[[], None]]] = {
    ("serve",): parts.serve,
    ("engine",): parts.engine,
    ("project",): parts.project,
    ("audit", "run"): parts.seal,
    ("simulator",): parts.simulator,
    ("payouts", "work"): parts.work,
    ("payouts", "work", "--live"): lambda: parts.work(live=True),
}
"""The command of each part, as it would be typed after `revshare`."""


def run(arguments: Sequence[str]) -> int:
    """Run a part to its end: its exit code."""
    part = PARTS.get(tuple(arguments))
    if part is None:
        sys.stderr.write(f"no part is called {' '.join(arguments)}\n")
        return EXIT_USAGE
    try:
        part()
    except typer.Exit as end:
        return end.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
