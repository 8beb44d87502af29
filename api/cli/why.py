"""`revshare why ID`: the facts behind a payout, a reward or a conversion, as a tree."""

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

import msgspec
import typer
from rich.markup import escape
from rich.tree import Tree

from api.cli.parts import open_ledger, settings
from api.cli.terminal import EXIT_FAILED, EXIT_USAGE, fail, out
from ledger.refusals import NotFound
from projections.why import Because, Why


def why(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Of a payout, a reward or a conversion.")],
    json: Annotated[bool, typer.Option("--json", help="As JSON, with the words of every fact.")] = False,
) -> None:
    """Say why a number is what it is: every fact behind it, with its place in the log."""
    try:
        wanted = UUID(id_)
    except ValueError:
        fail(f"{id_!r} is no id", code=EXIT_USAGE)
    with open_ledger(settings()) as ledger, ledger.database.read() as connection:
        asked = Why(ledger, connection)
        found = _first(wanted, asked.payout, asked.reward, asked.conversion)
    if found is None:
        fail("no payout, reward or conversion has this id", code=EXIT_FAILED)
    if json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found)))
    else:
        out.print(_tree(found))


def _first(wanted: UUID, *kinds: Callable[[UUID], Because]) -> Because | None:
    for ask in kinds:
        try:
            return ask(wanted)
        except NotFound:
            continue
    return None


def _tree(because: Because, above: Tree | None = None) -> Tree:
    sealed = f", leaf {because.proof.index}" if because.proof else ", not sealed yet"
    text = f"{because.role}: {escape(because.says)} [dim](position {because.position}{sealed})[/dim]"
    branch = Tree(text) if above is None else above.add(text)
    for each in because.because:
        _tree(each, branch)
    return branch
