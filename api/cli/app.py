"""The commands of `revshare`, put together."""

from importlib.metadata import version as installed_version
from typing import Final

import typer

from api.cli import parts
from api.cli.audit import audit
from api.cli.audit_export import export, verifier
from api.cli.balances import balances
from api.cli.bank import bank_account
from api.cli.demo import demo
from api.cli.doctor import doctor
from api.cli.importer import import_file
from api.cli.journal import journal
from api.cli.keys import keys
from api.cli.partners import partners
from api.cli.payouts import payouts
from api.cli.rebuild import rebuild
from api.cli.reconcile import reconcile
from api.cli.reports import reports
from api.cli.statements import periods, statements
from api.cli.terminal import fail, out, say
from api.cli.up import up
from api.cli.verify import verify
from api.cli.why import why
from ledger.store.database import DatabaseUnavailable
from ledger.store.migrations import migrate as migrate_database
from ledger.store.migrations import pending_revisions

app = typer.Typer(
    name="revshare",
    help="The system of record of a partner program: conversions in, rewards, payouts out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a plain traceback can be searched for, and shows no values
)

PASSED_ON: Final = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
"""For a command that hands every option on, `--help` included."""


def migrate() -> None:
    """Bring the database to the newest schema. Safe to run at any time, and several times."""
    of = parts.settings()
    try:
        pending = pending_revisions(of.database_url)
        migrate_database(of.database_url)
    except DatabaseUnavailable as error:
        fail(parts.first_line(error), hint="is it running? is DATABASE_URL right?")
    say(f"migrated: {', '.join(pending)}" if pending else "nothing to do: the database is up to date")


def simulator(context: typer.Context) -> None:
    """Run the Stripe stand-in alone. It takes the options of `python -m payouts.simulator`, too."""
    parts.simulator(context.args)


def version() -> None:
    """Print the version."""
    out.print(f"revshare {installed_version('revshare')}")


partners.command("bank-account")(bank_account)
audit.command()(export)
audit.command()(verifier)
app.command()(up)
app.command()(demo)
app.command()(migrate)
app.command("import")(import_file)
app.command()(balances)
app.add_typer(keys, name="keys")
app.add_typer(partners, name="partners")
app.add_typer(payouts, name="payouts")
app.add_typer(reconcile, name="reconcile")
app.add_typer(periods, name="periods")
app.add_typer(statements, name="statements")
app.add_typer(audit, name="audit")
app.add_typer(reports, name="reports")
app.add_typer(journal, name="journal")
app.command()(rebuild)
app.command()(verify)
app.command()(why)
app.command()(doctor)
app.command(rich_help_panel="Single parts")(parts.serve)
app.command(rich_help_panel="Single parts")(parts.engine)
app.command(rich_help_panel="Single parts")(parts.project)
app.command(rich_help_panel="Single parts", context_settings=PASSED_ON)(simulator)
app.command()(version)
