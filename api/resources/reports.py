"""Finance's reports over the journal: each whole, as JSON or CSV."""

from typing import Any, Final

import falcon

from api.operations import operation
from api.problems import HttpProblem
from api.reports import CSV, send_report
from api.schemas.reports import (
    AGEING,
    ROLL_FORWARD,
    TRIAL_BALANCE,
    AgeingQuery,
    JournalExportQuery,
    RollForwardQuery,
    TrialBalanceQuery,
)
from api.services import Resource
from projections.journal_export.formats import FORMATS, PARQUET, TEXT
from projections.journal_export.selection import Selection
from projections.journal_export.tables import ParquetMissing
from projections.months import zones_of
from projections.reports import ageing, roll_forward, trial_balance
from projections.reports.calendars import calendars_of
from projections.reports.scope import Scope

Query = dict[str, Any]
READ: Final = ("finance:read", "finance:approve")


class TrialBalance(Resource):
    """The trial balance."""

    @operation(
        "Get the trial balance",
        scopes=READ,
        query=TrialBalanceQuery(),
        answer=TRIAL_BALANCE,
        also_produces=(CSV,),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, query: Query) -> None:
        """Debits, credits and balance of every account that moved, now or as it was; `Accept: text/csv` too.

        The balances of each currency sum to zero.
        """
        with self.database.read() as connection:
            rows = trial_balance.trial_balance(connection, scope_of(query), query["by"])
            send_report(req, resp, rows, trial_balance.COLUMNS)


class RollForward(Resource):
    """The roll-forward."""

    @operation(
        "Get the roll-forward",
        scopes=READ,
        query=RollForwardQuery(),
        answer=ROLL_FORWARD,
        also_produces=(CSV,),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, query: Query) -> None:
        """What was owed when each month began, every kind of movement, what was owed at its end, by partner.

        Opening and movements come to closing; a closing is the next month's opening. A month that was closed
        never changes: what is learned of it later stands in the first one that was open then. `Accept:
        text/csv` too.
        """
        wanted = [query["balance"]] if query["balance"] else list(roll_forward.BALANCES)
        scope = scope_of(query)
        with self.database.read() as connection:
            calendars = calendars_of(self.ledger, connection, scope, query["basis"])
            rows = roll_forward.roll_forward(
                connection, scope, query["first"], query["last"], calendars, balances=wanted
            )
            send_report(req, resp, rows, roll_forward.COLUMNS)


class Ageing(Resource):
    """Ageing of payables and clawbacks."""

    @operation("Get the ageing", scopes=READ, query=AgeingQuery(), answer=AGEING, also_produces=(CSV,))
    def on_get(self, req: falcon.Request, resp: falcon.Response, query: Query) -> None:
        """What is payable to each partner, and what each owes us, by age in days; as of now, or of a time.

        What was paid or set off consumed the oldest first. `Accept: text/csv` too.
        """
        zones = zones_of(self.ledger, query["program_id"])
        wanted = [query["balance"]] if query["balance"] else ageing.USUAL
        with self.database.read() as connection:
            rows = ageing.ageing(connection, scope_of(query), zones, self.ledger.clock(), wanted)
            send_report(req, resp, rows, ageing.COLUMNS)


class JournalExport(Resource):
    """The journal as a file for other tools."""

    @operation(
        "Download the journal",
        scopes=READ,
        query=JournalExportQuery(),
        produces=TEXT,
        also_produces=(CSV, PARQUET),
        problems=("format-not-installed",),
    )
    def on_get(self, _req: falcon.Request, resp: falcon.Response, query: Query) -> None:
        """For hledger or beancount, as CSV or Parquet: all of it, or some months; now or as it was.

        It is sent while it is read; what comes into the journal meanwhile is not in it.
        """
        made = FORMATS[query["format"]]
        selection = Selection(self.ledger, scope_of(query), query["first"], query["last"])
        try:
            pieces = made.write(selection, lambda _done, _total: None)
        except ParquetMissing as error:
            raise HttpProblem("format-not-installed", str(error)) from None
        resp.content_type = (
            made.media_type if made.media_type == PARQUET else f"{made.media_type}; charset=utf-8"
        )
        resp.set_header("Cache-Control", "no-store")
        resp.set_header("Content-Disposition", f'attachment; filename="journal.{made.ending}"')
        resp.stream = pieces


def scope_of(query: Query) -> Scope:
    """What the query asks for."""
    return Scope(**{name: query[name] for name in Scope.__struct_fields__})
