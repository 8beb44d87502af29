"""How the command line speaks: one console for answers, one for everything else, progress bars, failures."""

import sys
from typing import Final, NoReturn

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

WIDTH_UNSEEN: Final = 160
"""How wide a line may be where no terminal says it: in a pipe or a file."""

out: Final = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH_UNSEEN)
"""Answers: what a script may read."""
err: Final = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else WIDTH_UNSEEN)
"""Everything else: what is going on, and what went wrong."""

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_REJECTED: Final = 3
"""An import ran to its end, but rows were refused: they stand in FILE.rejected.csv."""
EXIT_INTERRUPTED: Final = 130


def fail(message: str, *, code: int = EXIT_FAILED, hint: str = "") -> NoReturn:
    """Say what is wrong, and what to do about it; end with `code`."""
    err.print(Text("error: ", style="bold red").append(message, style="default"))
    if hint:
        err.print(Text("  → ", style="cyan").append(hint, style="default"))
    raise typer.Exit(code)


def say(message: str) -> None:
    """One line about what is going on."""
    err.print(message)


def table(*columns: str, title: str | None = None, show_header: bool = True) -> Table:
    """A table whose cells are wrapped and never cut: ids and keys in them are copied."""
    made = Table(title=title, show_header=show_header)
    for name in columns:
        made.add_column(name, overflow="fold")
    return made


class RateColumn(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        """The rate; nothing until there is one."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="cyan")


def progress(*, transient: bool = False) -> Progress:
    """Bars with count, rate and time left. Where no terminal listens, only the last state is written."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=transient,
    )
