"""Closed months and statements: close, list, show, correct; each statement in the formats of a table."""

from typing import Any, Final
from uuid import UUID

import falcon
import msgspec

from api.answers import send
from api.auth import nothing_there
from api.listings import PAST, Row, send_list, shown_as
from api.operations import operation
from api.schemas.fields import PageQuery, page_of
from api.schemas.partners import ReasonSchema
from api.schemas.statements import (
    ClosedPeriodSchema,
    ClosePeriodSchema,
    ListedPeriodSchema,
    ListedStatementSchema,
    OneStatementQuery,
    PreviewQuery,
    StatementQuery,
    StatementSchema,
)
from api.services import Resource
from api.statement_files.locales import chosen
from api.statement_formats import CHUNK_LINES, FORMATS, Format
from ledger import partner, program
from ledger.period import ClosePeriod, month
from ledger.refusals import InvalidField, NotFound
from projections.statement import Amounts, Statement
from projections.statements import reading
from projections.statements.closing import WAIT_S, close_period
from projections.statements.issuing import CorrectStatement, correct, issue, statement_row
from projections.statements.preview import preview
from projections.statements.proof import statement_proof
from projections.statements.then import Then

READ: Final = ("finance:read", "finance:approve")
OWN: Final = (*READ, "partner:read")
MEDIA_TYPES: Final = tuple(each.media_type for each in FORMATS.values())
UNWRITTEN: Final = ("statement-too-long", "typesetter-busy")
"""Why a statement may not be written in the format that was asked for."""
ISSUE_S_MAX: Final = 20.0
"""How long a closing issues statements before it answers; sent again it goes on."""
PERIOD, LISTED = ListedPeriodSchema(), ListedStatementSchema()
_show_period = shown_as(PERIOD, closed_at="recorded_at")
_show_listed = shown_as(LISTED, issued_at="recorded_at")


def show_listed(row: Row) -> Row:
    """A statement in a list."""
    return _show_listed(row) | {
        name: msgspec.to_builtins(msgspec.convert(row[name], Amounts)) for name in ("opening", "closing")
    }


class Periods(Resource):
    """The closed months of a program."""

    @operation(
        "List closed months",
        scopes=READ,
        query=PageQuery(),
        answer=page_of(PERIOD),
        problems=("unknown-program",),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, program_id: UUID, query: Row) -> None:
        """The latest first."""
        program.known(self.desk.program(program_id))
        send_list(req, resp, self.database, query, reading.list_periods, _show_period, program_id=program_id)

    @operation(
        "Close a month",
        scopes=("finance:approve",),
        body=ClosePeriodSchema(),
        answer=ClosedPeriodSchema(),
        statuses=(201, 200),
        problems=(
            "unknown-program",
            "earlier-period-open",
            "period-not-over",
            "views-behind",
            "journal-differs",
        ),
        example={"period": "2026-10"},
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, program_id: UUID, body: Row) -> None:
        """Its totals are frozen and its statements issued. 200: it was closed before, as it is shown.

        Nothing opens it again: what is learned later is of the first month that is open then.
        """
        by = req.context.caller.by
        closed = close_period(self.ledger, ClosePeriod(program_id=program_id, **body), by=by, wait_s=WAIT_S)
        issued = issue(self.ledger, program_id, by=by, wait_s=WAIT_S, seconds_max=ISSUE_S_MAX)
        told = msgspec.to_builtins(closed.frozen) | msgspec.to_builtins(closed.fact)
        shown = {name: told.get(name) for name in ClosedPeriodSchema().fields}
        shown |= {"statements_issued": issued.count, "statements_complete": issued.is_complete}
        resp.location = f"/v1/programs/{program_id}/periods/{closed.fact.period}"
        send(resp, shown, 201 if closed.new else 200)


class Period(Resource):
    """A closed month."""

    @operation("Get a closed month", scopes=READ, answer=PERIOD, problems=("not-found",))
    def on_get(self, _req: falcon.Request, resp: falcon.Response, program_id: UUID, period: str) -> None:
        """With its totals; an open month is not found."""
        try:
            month(period)
        except InvalidField:
            raise nothing_there() from None
        with self.database.read() as connection:
            row = reading.period_row(connection, program_id, period)
        if row is None:
            raise nothing_there()
        send(resp, _show_period(row))


class Statements(Resource):
    """All statements."""

    @operation("List statements", scopes=OWN, query=StatementQuery(), answer=page_of(LISTED))
    def on_get(self, req: falcon.Request, resp: falcon.Response, query: Row) -> None:
        """The latest first. A partner's key reads its own."""
        where = {name: query[name] for name in ("program_id", "period", "currency", *PAST)}
        where["partner_id"] = req.context.caller.own(query["partner_id"])
        send_list(req, resp, self.database, query, reading.list_statements, show_listed, **where)


class _Statement(Resource):
    def row(self, req: falcon.Request, statement_id: UUID) -> Any:
        """The statement's row, if the caller may see it."""
        with self.database.read() as connection:
            try:
                row = statement_row(connection, statement_id)
            except NotFound:
                raise nothing_there() from None
        if not req.context.caller.sees(row.partner_id):
            raise nothing_there()
        return row


class OneStatement(_Statement):
    """A statement."""

    @operation(
        "Get a statement",
        scopes=OWN,
        query=OneStatementQuery(),
        answer=StatementSchema(),
        also_produces=MEDIA_TYPES[1:],
        problems=("not-found", "unknown-content-version", *UNWRITTEN),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, statement_id: UUID, query: Row) -> None:
        """As it was issued, the same bytes for ever, once a checkpoint covers it; in any of the formats.

        As of a time before its issue it is not found.
        """
        row = self.row(req, statement_id)
        if any(query[time] is not None and query[time] < row.recorded_at for time in PAST):
            raise nothing_there()
        with self.database.read() as connection:
            found = reading.load(self.ledger, connection, row)
        send_statement(req, resp, found, query)


class StatementProof(_Statement):
    """A statement with its proofs."""

    @operation(
        "Export a statement with its proofs",
        scopes=OWN,
        produces="application/x-ndjson",
        problems=("not-found", "not-sealed", "unknown-content-version"),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, statement_id: UUID) -> None:
        """For `revshare_verify.py`: each line's fact with its legs, and the proof that the log has it.

        A partner's key gets those of its own statements: nothing in them tells of others, or of totals.
        """
        self.row(req, statement_id)
        lines = statement_proof(self.ledger, statement_id)
        resp.content_type = "application/x-ndjson"
        resp.stream = lines


class StatementCorrection(_Statement):
    """A new version of a statement."""

    @operation(
        "Correct a statement",
        scopes=("finance:approve",),
        body=ReasonSchema(),
        answer=StatementSchema(),
        statuses=(201,),
        problems=("not-found", "nothing-to-correct", "unknown-content-version", "views-behind"),
        example={"reason": "The payout has arrived meanwhile."},
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, statement_id: UUID, body: Row) -> None:
        """Names and payouts as they are known now; it says what differs. Lines and balances never change."""
        self.row(req, statement_id)
        wish = CorrectStatement(statement_id=statement_id, **body)
        new_id, made = correct(self.ledger, wish, by=req.context.caller.by)
        resp.location = f"/v1/statements/{new_id}"
        send(resp, made, 201)


class StatementPreview(Resource):
    """What a partner's statement of an open month would say."""

    @operation(
        "Look at an open month",
        scopes=OWN,
        query=PreviewQuery(),
        answer=StatementSchema(),
        also_produces=MEDIA_TYPES[1:],
        problems=("unknown-program", "unknown-partner", "invalid-field", *UNWRITTEN),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, partner_id: UUID, query: Row) -> None:
        """As it stands now: without a number, and it can change until the month is closed.

        Or as it stood: what was true, and known, by those times. So a month that is closed by now, too.
        """
        of = program.known(self.desk.program(query["program_id"]))
        partner.known(self.desk.partner(partner_id))
        account = (query["program_id"], partner_id, query["currency"] or of.currency)
        with self.database.read() as connection:
            then = Then(query["effective_as_of"], query["recorded_as_of"])
            found = preview(self.ledger, connection, account, query["period"], then)
        send_statement(req, resp, found, query)


def send_statement(req: falcon.Request, resp: falcon.Response, statement: Statement, query: Row) -> None:
    """Answer with a statement in the format and language that were asked for; a long one in pieces."""
    of = _format(req, query["format"])
    language = chosen(query["locale"], statement.partner.locale, req.get_header("Accept-Language"))
    resp.append_header("Vary", "Accept, Accept-Language")
    pieces = of.write(statement, language)
    # Only now: a refusal to write it is an answer to read, not a file to save.
    resp.content_type = of.media_type
    if of is not FORMATS["json"]:
        resp.downloadable_as = of.file_name(statement)
    if len(statement.lines) > CHUNK_LINES:
        resp.stream = pieces
    else:
        resp.data = b"".join(pieces)


def _format(req: falcon.Request, asked: str | None) -> Format:
    if asked is not None:
        return FORMATS[asked]
    preferred = req.client_prefers(MEDIA_TYPES)
    return next((each for each in FORMATS.values() if each.media_type == preferred), FORMATS["json"])
