"""Payouts: batches that one drafts and another approves, and each partner's part."""

from uuid import UUID, uuid4

import falcon
import msgspec

from api.answers import send
from api.auth import nothing_there
from api.listings import Row, send_list, shown_as
from api.masking import shown_destination
from api.operations import operation
from api.schemas.fields import page_of
from api.schemas.partners import ReasonSchema
from api.schemas.payouts import (
    ApprovalSchema,
    ApprovalShownSchema,
    BatchOutlookSchema,
    BatchQuery,
    BatchSchema,
    LineSchema,
    NewBatchSchema,
    PayoutQuery,
    PayoutSchema,
    PayoutStorySchema,
    ResolutionSchema,
    SkippedSchema,
)
from api.services import Resource
from ledger import ids
from ledger.commands import ApprovePayouts, CancelPayout, CancelPayouts, DraftPayouts, ResolvePayout
from ledger.refusals import NotFound
from payouts import batches, outlook, resolving, sending_now
from projections import queries

BATCH = BatchSchema()
PAYOUT = PayoutSchema()
READ = ("finance:read", "finance:approve")
_show_of_payout = shown_as(PAYOUT)
_show_of_row = shown_as(PAYOUT, status="state")
_show_batch = shown_as(BATCH)
_show_skipped = shown_as(SkippedSchema())
_show_line = shown_as(LineSchema())
_show_approval = shown_as(ApprovalShownSchema())


def show_payout(payout: batches.Payout, *, whole: bool = False) -> Row:
    """A payout as it is answered."""
    shown = _show_of_payout(msgspec.structs.asdict(payout))
    return shown | {"destination": shown_destination(payout.provider, payout.destination, whole=whole)}


def show_batch(batch: batches.Batch, *, whole: bool = False) -> Row:
    """A batch as it is answered."""
    shown = _show_batch(msgspec.structs.asdict(batch))
    shown["payouts"] = [show_payout(payout, whole=whole) for payout in batch.payouts]
    shown["approvals"] = [_show_approval(msgspec.structs.asdict(approval)) for approval in batch.approvals]
    shown["skipped"] = [_show_skipped(msgspec.structs.asdict(skipped)) for skipped in batch.skipped]
    return shown


def _show_row(row: Row) -> Row:
    """A batch as the view has it: without its payouts, with those who approved it."""
    shown = _show_batch({name: value for name, value in row.items() if name != "payouts"})
    given = [(row["checked_by"], row["checked_by_person"]), (row["approved_by"], row["approved_by_person"])]
    approvals = [{"by": by, "person": person} for by, person in given if by is not None]
    return {**shown, "status": row["state"], "approvals": approvals}


def _show_payout_row(row: Row) -> Row:
    """A payout as the view has it."""
    shown = _show_of_row(row)
    return shown | {"destination": shown_destination(row["provider"], row["destination"])}


class PayoutBatches(Resource):
    """All payout batches."""

    @operation(
        "Draft a payout batch",
        scopes=("finance:approve",),
        body=NewBatchSchema(),
        answer=BATCH,
        statuses=(201, 200),
        problems=("unknown-program", "nothing-to-pay"),
        example={"program_id": "9e0c2b1c-5a1f-5d0e-8b3a-0f6f0f6b2a11"},
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, body: Row) -> None:
        """Of all that is payable now. The batch's id derives from the Idempotency-Key, where there is one."""
        key, caller = req.get_header("Idempotency-Key"), req.context.caller
        batch_id = ids.command_id(str(caller.key_id), key, "payout_batch") if key else uuid4()
        batch = batches.draft(
            self.ledger, DraftPayouts(batch_id=batch_id, **body), by=caller.by, person=caller.person
        )
        resp.location = f"/v1/payout-batches/{batch_id}"
        send(resp, show_batch(batch), 201 if batch.new else 200)

    @operation("List payout batches", scopes=READ, query=BatchQuery(), answer=page_of(BATCH))
    def on_get(self, req: falcon.Request, resp: falcon.Response, query: Row) -> None:
        """The latest first."""
        fetch = queries.list_payout_batches
        send_list(req, resp, self.database, query, fetch, _show_row, program_id=query["program_id"])


class PayoutBatch(Resource):
    """One payout batch."""

    @operation("Get a payout batch", scopes=READ, answer=BATCH)
    def on_get(self, _req: falcon.Request, resp: falcon.Response, batch_id: UUID) -> None:
        """With its payouts, as their facts stand now, and where they go: the whole of it is approved."""
        send(resp, show_batch(batches.load(self.ledger, batch_id), whole=True))


class PayoutBatchApproval(Resource):
    """The approval of a batch."""

    @operation(
        "Approve a payout batch",
        scopes=("finance:approve",),
        body=ApprovalSchema(),
        answer=BATCH,
        problems=(
            "not-found",
            "same-maker-and-checker",
            "second-checker-needed",
            "content-changed",
            "illegal-transition",
        ),
        example={"content_hash": "sha256 of the batch as it was looked at"},
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, batch_id: UUID, body: Row) -> None:
        """By another key, and another person, than drafted it. Its payouts are sent then.

        Above the program's limit it takes two checkers: after the first it is still a draft.
        """
        command, caller = ApprovePayouts(batch_id=batch_id, **body), req.context.caller
        send(resp, show_batch(batches.approve(self.ledger, command, by=caller.by, person=caller.person)))


class PayoutBatchCancellation(Resource):
    """The end of a batch before anything of it is sent."""

    @operation(
        "Cancel a payout batch",
        scopes=("finance:approve",),
        body=ReasonSchema(),
        answer=BATCH,
        problems=("not-found", "payout-under-way"),
        example={"reason": "Drafted too early."},
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, batch_id: UUID, body: Row) -> None:
        """A draft, or an approved one of which nothing is on its way; its money stays available.

        All of it or nothing: from a payout's recorded intent on it is refused, and names that payout.
        """
        command = CancelPayouts(batch_id=batch_id, **body)
        send(resp, show_batch(batches.cancel(self.ledger, command, by=req.context.caller.by)))


class PayoutBatchOutlook(Resource):
    """What is sent of a batch next."""

    @operation("Say what would be sent of a batch", scopes=READ, answer=BatchOutlookSchema())
    def on_get(self, _req: falcon.Request, resp: falcon.Response, batch_id: UUID) -> None:
        """By the payout worker, without being asked: the API itself never moves money."""
        send(resp, outlook.of_batch(self.ledger, batch_id))


class PayoutBatchSending(Resource):
    """The wish that a batch be sent now."""

    @operation(
        "Send what is left of a payout batch now",
        scopes=("finance:approve",),
        answer=BatchOutlookSchema(),
        statuses=(202,),
        problems=("not-found", "illegal-transition", "payouts-frozen", "database-older-than-provider"),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, batch_id: UUID) -> None:
        """The payout worker takes it up at once where it would have waited: after trouble, for the balance,
        for an account. Approved batches are sent without it, and the API itself moves no money.

        The answer, and later what is at `Location`, tells what is sent, and what waits for what.
        """
        found = sending_now.ask(self.ledger, batch_id, by=req.context.caller.by)
        resp.location = f"/v1/payout-batches/{batch_id}/outlook"
        send(resp, found, 202)


class Payouts(Resource):
    """All payouts."""

    @operation("List payouts", scopes=(*READ, "partner:read"), query=PayoutQuery(), answer=page_of(PAYOUT))
    def on_get(self, req: falcon.Request, resp: falcon.Response, query: Row) -> None:
        """The latest first."""
        where = {"program_id": query["program_id"], "batch_id": query["batch_id"], "state": query["status"]}
        where["partner_id"] = req.context.caller.own(query["partner_id"])
        send_list(req, resp, self.database, query, queries.list_payouts, _show_payout_row, **where)


class Payout(Resource):
    """One payout."""

    @operation("Get a payout", scopes=(*READ, "partner:read"), answer=PayoutStorySchema())
    def on_get(self, req: falcon.Request, resp: falcon.Response, payout_id: UUID) -> None:
        """With the lines that make its amount."""
        try:
            payout = batches.load_payout(self.ledger, payout_id)
        except NotFound:
            raise nothing_there() from None
        if not req.context.caller.sees(payout.partner_id):
            raise nothing_there()
        lines = batches.lines(self.ledger, payout_id)
        shown = show_payout(payout, whole=req.context.caller.may(READ))
        send(resp, shown | {"lines": [_show_line(msgspec.structs.asdict(line)) for line in lines]})


class PayoutCancellation(Resource):
    """The end of one payout before it is sent."""

    @operation(
        "Cancel a payout",
        scopes=("finance:approve",),
        body=ReasonSchema(),
        answer=PAYOUT,
        problems=("not-found", "payout-under-way", "illegal-transition"),
        example={"reason": "The partner asked us to wait."},
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, payout_id: UUID, body: Row) -> None:
        """Of an approved batch, whose others go on; also after a definite no. Its money stays available.

        Refused from the recorded intent on: the request may be on its way.
        """
        command = CancelPayout(payout_id=payout_id, **body)
        send(resp, show_payout(batches.cancel_payout(self.ledger, command, by=req.context.caller.by)))


class PayoutResolution(Resource):
    """A human's word on a payout."""

    @operation(
        "Resolve a payout",
        scopes=("finance:approve",),
        body=ResolutionSchema(),
        answer=PAYOUT,
        problems=(
            "not-found",
            "illegal-transition",
            "content-conflict",
            "unknown-transfer",
            "transfer-taken",
            "transfer-currency-differs",
            "transfer-amount-differs",
            "transfer-destination-differs",
            "transfer-exists",
            "insufficient-balance",
            "provider-unavailable",
        ),
        example={
            "outcome": "confirmed",
            "transfer_id": "tr_1Brightside",
            "reason": "Found in Stripe's dashboard under the batch's transfer group.",
        },
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, payout_id: UUID, body: Row) -> None:
        """For one that is unknown or held: its transfer exists; or there is none, and it is sent anew.

        The provider is asked, and has to show the same.
        """
        command = ResolvePayout(payout_id=payout_id, **body)
        done = resolving.resolve(self.ledger, self.services.provider, command, by=req.context.caller.by)
        send(resp, show_payout(done))
