"""`revshare keys`: API keys made, listed and revoked at the machine itself; how a first one comes about."""

from typing import Annotated, get_args
from uuid import UUID

import typer

from api.cli.parts import open_ledger, settings
from api.cli.terminal import EXIT_USAGE, err, fail, out
from api.cli.terminal import table as new_table
from ledger import ids
from ledger.commands import IssueApiKey, RevokeApiKey
from ledger.desk import Desk
from ledger.events.access import Scope
from ledger.refusals import Refusal
from projections.queries.directory import list_api_keys
from projections.queries.paging import LIMIT_MAX

BY = "cli"
SCOPES: tuple[Scope, ...] = get_args(Scope)

keys = typer.Typer(help="API keys: issue, list, revoke.", no_args_is_help=True)


@keys.command()
def issue(
    name: Annotated[str, typer.Option(help="What the key is for.")],
    scope: Annotated[list[str], typer.Option(help=f"One or more of: {', '.join(SCOPES)}.")],
    partner: Annotated[
        str | None, typer.Option(help="Bind the key to this partner (id or reference).")
    ] = None,
    person: Annotated[
        str | None,
        typer.Option(help="Who uses it: nobody approves under one key what they drafted under another."),
    ] = None,
) -> None:
    """Make a key. It is printed once, on standard output, and kept only as a hash."""
    unknown = [given for given in scope if given not in SCOPES]
    if unknown:
        fail(
            f"no scope is called {', '.join(unknown)}",
            code=EXIT_USAGE,
            hint=f"there are: {', '.join(SCOPES)}",
        )
    bound = None if partner is None else partner_id_of(partner)
    chosen = tuple(known for known in SCOPES if known in scope)
    with open_ledger(settings()) as ledger:
        try:
            wish = IssueApiKey(name=name, scopes=chosen, partner_id=bound, person=person)
            made = Desk(ledger).execute(wish, by=BY)
        except Refusal as refusal:
            fail(refusal.message)
    err.print(f"key {made.id} ({name}): it is shown this once")
    out.print(made.secret, markup=False)


@keys.command("list")
def list_keys() -> None:
    """Show every key and what it opens."""
    with open_ledger(settings()) as ledger, ledger.database.read() as connection:
        found = list_api_keys(connection, limit=LIMIT_MAX).rows
    table = new_table("key", "name", "person", "scopes", "partner", "issued", "revoked")
    for key in found:
        revoked = f"{key['revoked_at']:%Y-%m-%d} {key['revoke_reason']}" if key["revoked_at"] else ""
        table.add_row(
            str(key["key_id"]),
            key["name"],
            key["person"] or "",
            " ".join(key["scopes"]),
            str(key["partner_id"] or ""),
            f"{key['recorded_at']:%Y-%m-%d %H:%M}",
            revoked,
        )
    out.print(table)


@keys.command()
def revoke(
    key_id: Annotated[UUID, typer.Argument(help="The key's id, as `keys list` shows it.")],
    reason: Annotated[str, typer.Option(help="leaked, rotated, unused, or in your own words.")] = "other",
) -> None:
    """Close a key for ever; within a second no server takes it any more."""
    with open_ledger(settings()) as ledger:
        try:
            done = Desk(ledger).execute(RevokeApiKey(key_id=key_id, reason=reason), by=BY)
        except Refusal as refusal:
            fail(refusal.message)
    err.print(f"key {key_id} is revoked" if done.new else f"key {key_id} was revoked before")


def partner_id_of(text: str) -> UUID:
    """A partner's id, from itself or from the partner's reference."""
    try:
        return UUID(text)
    except ValueError:
        return ids.partner_id(text)
