"""`revshare import`: a CSV file through the public API, in batches; broken off, it goes on where it was."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple
from uuid import UUID

import msgspec
import typer

from api.cli import csv_rows, terminal
from api.cli.client import Client, Unreachable, describe_problem
from api.cli.csv_rows import Noun, Row, Target, Unsendable, WrongColumns
from api.cli.import_state import ImportState, RejectedFile, StateFile
from api.cli.parts import settings
from api.cli.terminal import EXIT_INTERRUPTED, EXIT_REJECTED, EXIT_USAGE, err, fail
from api.cli.terminal import table as new_table
from ledger import ids

BATCH_ROWS: Final = 500
ADDRESSES: Final[dict[Noun, str]] = {
    "referrals": "/v1/referrals/batch",
    "conversions": "/v1/conversions/batch",
    "refunds": "/v1/conversions/batch",
}


class Result(NamedTuple):
    """What became of a row: new, duplicate, conflict or invalid, and why."""

    status: str
    reason: str = ""


class ServerRefuses(Exception):
    """The server refuses every request alike: the key, or the address, is wrong."""


class Import:
    """One file on its way. `run` may raise Unreachable or ServerRefuses; run again, it goes on from there."""

    def __init__(
        self, path: Path, noun: Noun, target: Target, client: Client, *, work_dir: Path | None = None
    ) -> None:
        self._path, self._noun, self._target, self._client = path, noun, target, client
        self._names = csv_rows.header(path, noun)
        beside = (work_dir or path.parent) / path.name
        self._file = StateFile(beside.with_name(beside.name + ".import-state.json"))
        self.rejected = RejectedFile(beside.with_name(beside.name + ".rejected.csv"), self._names)
        self._beginning = ImportState(
            sha256=csv_rows.digest(path),
            noun=noun,
            url=client.url,
            program_id=str(target.program_id),
            source=target.source,
            kind=target.kind,
        )
        self.total = csv_rows.count(path, self._names)
        self.started_over = False

    def run(self, moved: Callable[[int], None] = lambda _done: None) -> Counter[str]:
        """Send every row; how many were new, duplicate, conflict, invalid. `moved` hears of rows done."""
        state = self._resumed()
        moved(state.rows_done)
        self.rejected.cut(state.rejected_bytes)
        for batch in _batches(csv_rows.rows(self._path, self._names, after=state.rows_done)):
            state = self._acknowledge(state, batch, self._send(batch))
            moved(state.rows_done)
        self._file.remove()
        return Counter(state.counts)

    def _resumed(self) -> ImportState:
        """Where to go on. The last batch is sent again: what a server no longer knows starts over."""
        state = self._file.read(self._beginning)
        if not state.rows_done:
            return self._beginning
        rows = csv_rows.rows(self._path, self._names, after=state.rows_done_before)
        probe = list(islice(rows, state.rows_done - state.rows_done_before))
        if any(result.status == "new" for result in self._send(probe)):
            self.started_over = True
            return self._beginning
        return state

    def _acknowledge(self, state: ImportState, batch: list[Row], results: list[Result]) -> ImportState:
        refused = [
            (row.fields, f"{result.status}: {result.reason}")
            for row, result in zip(batch, results, strict=True)
            if result.status not in ("new", "duplicate")
        ]
        after = msgspec.structs.replace(
            state,
            rows_done=batch[-1].number,
            rows_done_before=state.rows_done,
            counts=dict(Counter(state.counts) + Counter(result.status for result in results)),
            rejected_bytes=self.rejected.add(refused),
        )
        self._file.write(after)
        return after

    def _send(self, batch: Sequence[Row]) -> list[Result]:
        results: list[Result | None] = []
        items: list[dict[str, Any]] = []
        for row in batch:
            try:
                if row.problem:
                    raise Unsendable(row.problem)
                items.append(csv_rows.item(self._noun, self._names, row, self._target))
                results.append(None)
            except Unsendable as error:
                results.append(Result("invalid", str(error)))
        answered = iter(self._post(items))
        return [result if result is not None else next(answered) for result in results]

    def _post(self, items: list[dict[str, Any]]) -> list[Result]:
        if not items:
            return []
        answer = self._client.post(ADDRESSES[self._noun], items)
        if not answer.ok or not isinstance(answer.body, dict):
            raise ServerRefuses(f"{answer.status} {describe_problem(answer.body)}")
        return [Result(found["status"], _reason(found.get("problem"))) for found in answer.body["items"]]


def _reason(problem: Any) -> str:
    if not isinstance(problem, dict):
        return ""
    return describe_problem(problem)


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(islice(rows, BATCH_ROWS)):
        yield batch


# The command


def import_file(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="A CSV file.")],
    noun: Annotated[str, typer.Option("--as", help="referrals, conversions or refunds.")],
    program: Annotated[str, typer.Option(help="The program's id, or its reference.")],
    url: Annotated[str | None, typer.Option(envvar="REVSHARE_URL", help="Default: the local server.")] = None,
    key: Annotated[str, typer.Option(envvar="REVSHARE_API_KEY", help="An API key.")] = "",
    source: Annotated[str, typer.Option(help="The system in which the ids of the file are unique.")] = "csv",
    kind: Annotated[str, typer.Option(help="What a row of conversions is: sale, renewal …")] = "sale",
    work_dir: Annotated[
        Path | None, typer.Option(help="For the state and the rejected rows. Default: beside FILE.")
    ] = None,
) -> None:
    """Send a CSV file through the API. Safe to break off and to run again: nothing counts twice.

    Ends with 0 when every row stands in the ledger, with 3 when it ran to the end but rows were refused (they
    are in FILE.rejected.csv, each with its reason), with 1 when the server could not be reached or used.
    """
    if noun not in csv_rows.COLUMNS:
        fail(f"--as {noun}: must be {', '.join(csv_rows.COLUMNS)}", code=EXIT_USAGE)
    if not key:
        fail("no API key", code=EXIT_USAGE, hint="set REVSHARE_API_KEY, or make one: revshare keys issue")
    target = Target(program_id_of(program), source, kind)
    client = Client(url or settings().base_url, key, waiting=_say_waiting)
    if work_dir is not None:
        work_dir.mkdir(parents=True, exist_ok=True)
    try:
        run = Import(file, noun, target, client, work_dir=work_dir)
        counts = with_bar(run, f"{file.name} as {noun}")
    except WrongColumns as error:
        fail(str(error), code=EXIT_USAGE)
    except ServerRefuses as error:
        fail(f"the server refuses: {error}", hint="check --key, --url and --program")
    except Unreachable as error:
        fail(str(error), hint="what was acknowledged is kept: run the same command again to go on")
    except KeyboardInterrupt:
        fail("broken off", code=EXIT_INTERRUPTED, hint="run the same command again to go on")
    summarise(counts, run)


def with_bar(run: Import, title: str) -> Counter[str]:
    """Run an import under a progress bar."""
    with terminal.progress() as bars:
        bar = bars.add_task(title, total=run.total)
        return run.run(lambda done: bars.update(bar, completed=done))


def summarise(counts: Counter[str], run: Import) -> None:
    """Say what became of the rows; end with EXIT_REJECTED when some were refused."""
    if run.started_over:
        err.print(
            "[yellow]the server did not know what it had acknowledged before: everything was sent again[/]"
        )
    table = new_table("new", "duplicate", "conflict", "invalid")
    table.add_row(*(f"{counts[name]:,}" for name in ("new", "duplicate", "conflict", "invalid")))
    err.print(table)
    refused = counts["conflict"] + counts["invalid"]
    if refused:
        err.print(f"[bold red]{refused:,} rows were refused[/]: {run.rejected.path} says why")
        raise typer.Exit(EXIT_REJECTED)


def program_id_of(text: str) -> UUID:
    """A program's id, from itself or from the program's reference."""
    try:
        return UUID(text)
    except ValueError:
        return ids.program_id(text)


def _say_waiting(reason: str) -> None:
    err.print(f"[yellow]the server is away ({reason}); trying again[/]")
