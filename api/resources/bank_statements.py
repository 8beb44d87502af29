"""What became of payouts by our own bank: by its statements, or by somebody's word."""

from typing import Final
from uuid import UUID

import falcon
import msgspec

from api.answers import send
from api.listings import Row, fetch_page, shown_as
from api.operations import BATCH_BYTES_MAX, operation
from api.pagination import send_page
from api.problems import HttpProblem
from api.resources.payouts import PAYOUT, show_payout
from api.schemas.bank import (
    BankOutcomeSchema,
    ImportedStatementSchema,
    ListedStatementSchema,
    StatementFileSchema,
    StatementLineSchema,
    StatementReportSchema,
)
from api.schemas.fields import PageQuery, page_of
from api.schemas.partners import ReasonSchema
from api.services import Resource
from ledger.bank_commands import TellBankOutcome, WithdrawBankRejection
from ledger.iban import masked
from payouts.bank import importing, settling
from payouts.bank.importing import Form, Imported

REPORT: Final = StatementReportSchema()
IMPORTED: Final = ImportedStatementSchema()
LISTED: Final = ListedStatementSchema()
FORMS: Final[dict[str, Form]] = {"application/xml": "camt.053", "text/xml": "camt.053", "text/csv": "csv"}
EXAMPLE: Final = (
    "statement_id,entry_reference,direction,amount,currency,end_to_end_id,booked_on\n"
    "2026-06-02,17,debit,20.00,EUR,0C9F4C7A6E3B5D1C8B3A0F6F0F6B2A11,2026-06-02\n"
)
_show_line = shown_as(StatementLineSchema())
_show_listed = shown_as(LISTED)


def _show(imported: Imported) -> Row:
    return {
        "bank_statement_id": imported.bank_statement_id,
        "statement_id": imported.statement_id,
        "account_iban": None if imported.account_iban is None else masked(imported.account_iban),
        "file_sha256": imported.file_sha256,
        "imported_by_person": imported.imported_by_person,
        "imported_at": imported.imported_at,
        "counts": imported.counts,
        "differences": imported.differences,
        "lines": [_show_line(msgspec.structs.asdict(line)) for line in imported.lines],
    }


class BankStatements(Resource):
    """Statements of our own account."""

    @operation(
        "Import a bank statement",
        tag="payouts",
        scopes=("finance:approve",),
        body=StatementFileSchema(),
        raw=True,
        media_types=tuple(FORMS),
        bytes_max=BATCH_BYTES_MAX,
        answer=REPORT,
        problems=("unreadable-statement",),
        example=EXAMPLE,
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """camt.053.001.02 to .08 as XML, or CSV with the columns that docs/bank-payouts.md names.

        Entries that name a payout by its EndToEndId, and fit it in everything, make it paid or returned; each
        other one is a line of the report, too. The same file again records nothing.
        """
        if not req.context.raw.strip():
            raise HttpProblem("missing-body", "this request needs a statement")
        caller, form = req.context.caller, FORMS[req.context.media_type]
        found = importing.import_statements(
            self.ledger, req.context.raw, form, by=caller.by, person=caller.person
        )
        report = {
            "statements": [{**_show(each), "recorded": each.recorded} for each in found],
            "recorded": sum(each.recorded for each in found),
            "differences": sum(each.differences for each in found),
        }
        send(resp, report)

    @operation(
        "List imported bank statements",
        tag="payouts",
        scopes=("finance:read", "finance:approve"),
        query=PageQuery(),
        answer=page_of(LISTED),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, query: Row) -> None:
        """Those that last said something new first; each one's entries are at its own address."""
        page = fetch_page(req, self.database, query, importing.list_statements)
        found = importing.load_all(self.ledger, [row["bank_statement_id"] for row in page.rows])
        send_page(req, resp, [_show_listed(_show(each)) for each in found], page.next)


class BankStatement(Resource):
    """A statement that was imported."""

    @operation(
        "Get an imported bank statement",
        tag="payouts",
        scopes=("finance:read", "finance:approve"),
        answer=IMPORTED,
    )
    def on_get(self, _req: falcon.Request, resp: falcon.Response, bank_statement_id: UUID) -> None:
        """As it was found when it was imported last."""
        send(resp, _show(importing.load(self.ledger, bank_statement_id)))


class PayoutBankOutcome(Resource):
    """Somebody's word on a payout by our bank."""

    @operation(
        "Say what became of a payout by our bank",
        tag="payouts",
        scopes=("finance:approve",),
        body=BankOutcomeSchema(),
        answer=PAYOUT,
        problems=("not-found", "illegal-transition", "effective-time-in-future"),
        example={
            "outcome": "returned",
            "reference": "2026060200017",
            "reason_code": "AC04",
            "reason": "Closed account, says the statement of 2 June.",
        },
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, payout_id: UUID, body: Row) -> None:
        """Exported → paid, or rejected when it never left our account; paid → returned.

        What was rejected or returned is the partner's again, to be paid by the next batch.
        """
        command, caller = TellBankOutcome(payout_id=payout_id, **body), req.context.caller
        done = settling.tell(self.ledger, command, by=caller.by, person=caller.person)
        send(resp, show_payout(done))


class PayoutBankRejection(Resource):
    """The word that a payout never left our account, taken back."""

    @operation(
        "Withdraw a mistaken rejection by our bank",
        tag="payouts",
        scopes=("finance:approve",),
        body=ReasonSchema(),
        answer=PAYOUT,
        problems=("not-found", "illegal-transition", "paid-again", "insufficient-balance"),
        example={"reason": "The statement of 4 June shows that the bank paid it."},
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, payout_id: UUID, body: Row) -> None:
        """Rejected → intent: its money is in transit again until a statement, or somebody's word, says more.

        Refused where that money went out with another payout since, or was taken back.
        """
        command, caller = WithdrawBankRejection(payout_id=payout_id, **body), req.context.caller
        done = settling.withdraw_rejection(self.ledger, command, by=caller.by, person=caller.person)
        send(resp, show_payout(done))
