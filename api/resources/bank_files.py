"""Files that tell our bank to pay a batch's partners off Stripe."""

from typing import Final
from uuid import UUID

import falcon
import msgspec

from api.answers import send
from api.listings import Row, shown_as
from api.operations import operation
from api.schemas.bank import BankFileSchema, LeftOutSchema, NewBankFileSchema
from api.services import Resource
from ledger.events.bank import BankFileExported
from ledger.iban import masked
from payouts.bank import exporting

FILE: Final = BankFileSchema()
XML: Final = "application/xml"
READ: Final = ("finance:read", "finance:approve")
_show_left_out = shown_as(LeftOutSchema())
_show_exported = shown_as(FILE)


def _show(exported: BankFileExported) -> Row:
    shown = _show_exported(msgspec.structs.asdict(exported))
    return {**shown, "debtor_iban": masked(exported.debtor_iban), "transfers": len(exported.payout_ids)}


class BankFiles(Resource):
    """The files of a batch."""

    @operation(
        "Export a batch's file for our bank",
        tag="payouts",
        scopes=("finance:approve",),
        body=NewBankFileSchema(),
        answer=FILE,
        statuses=(201, 200),
        problems=(
            "not-found",
            "illegal-transition",
            "nothing-to-pay",
            "content-conflict",
            "bank-account-not-configured",
            "payouts-frozen",
            "database-older-than-provider",
            "bank-files-in-doubt",
        ),
        example={"execution_date": "2026-06-02"},
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, batch_id: UUID, body: Row) -> None:
        """201: it is made now, and may leave from now on. 200: it was made before, and is the very same.

        Its text is at `…/bank-files/{number}/pain.001`. A later number takes what the files before left out.
        """
        caller = req.context.caller
        wish = exporting.Wish(batch_id=batch_id, person=caller.person, **body)
        done = exporting.export(
            self.ledger, self.services.debtor, wish, by=caller.by, provider=self.services.provider
        )
        left_out = [_show_left_out(msgspec.structs.asdict(each)) for each in done.left_out]
        resp.location = f"/v1/payout-batches/{batch_id}/bank-files/{wish.number}"
        send(resp, {**_show(done.exported), "left_out": left_out}, 201 if done.new else 200)


class BankFile(Resource):
    """One file of a batch."""

    @operation("Get a file for our bank", tag="payouts", scopes=READ, answer=FILE)
    def on_get(self, _req: falcon.Request, resp: falcon.Response, batch_id: UUID, number: int) -> None:
        """What it holds; its text stands below it."""
        send(resp, _show(exporting.load(self.ledger, batch_id, number)))


class BankFileText(Resource):
    """The text of a file."""

    @operation("Download a file for our bank", tag="payouts", scopes=READ, produces=XML)
    def on_get(self, _req: falcon.Request, resp: falcon.Response, batch_id: UUID, number: int) -> None:
        """ISO 20022 pain.001.001.09, byte for byte as it was exported. It holds whole IBANs."""
        exported = exporting.load(self.ledger, batch_id, number)
        resp.content_type = XML
        resp.set_header("Cache-Control", "no-store")
        resp.set_header("Content-Disposition", f'attachment; filename="{exported.message_id}.xml"')
        resp.data = exported.content.encode()
