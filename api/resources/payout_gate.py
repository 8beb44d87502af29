"""The gate before all payouts: stop them, let them go on, take in what a restored ledger lost."""

import falcon
import msgspec

from api.answers import send
from api.listings import Row, shown_as
from api.operations import operation
from api.schemas.partners import ReasonSchema
from api.schemas.payout_gate import PayoutGateSchema, TakeInSchema
from api.schemas.payouts import PayoutSchema
from api.services import Resource
from ledger.payout_gate import GateState
from payouts import restore_check, taking_in

GATE = PayoutGateSchema()
PAYOUT = PayoutSchema()
_show_payout = shown_as(PAYOUT)


def show_gate(state: GateState) -> Row:
    """The gate as it is answered."""
    return {
        "is_open": state.frozen is None and not state.is_suspect,
        "frozen_reason": state.frozen,
        "frozen_at": state.frozen_at,
        "unknown_since": state.suspect_from,
        "unknown_transfers": state.unknown_transfers,
        "bank_files_doubt": state.bank_doubt,
    }


class PayoutGate(Resource):
    """The gate."""

    @operation(
        "Are payouts sent at all?", tag="payouts", scopes=("finance:read", "finance:approve"), answer=GATE
    )
    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Frozen by hand, or held because the provider holds transfers that the ledger does not know."""
        send(resp, show_gate(restore_check.gate(self.ledger)))


class PayoutFreeze(Resource):
    """The brake."""

    @operation(
        "Freeze all payouts",
        tag="payouts",
        scopes=("finance:approve",),
        body=ReasonSchema(),
        answer=GATE,
        example={"reason": "A bank account changed that nobody asked for."},
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, body: Row) -> None:
        """Within seconds no worker sends anything more. What is on its way at this moment may arrive."""
        send(resp, show_gate(restore_check.freeze(self.ledger, body["reason"], by=req.context.caller.by)))


class PayoutThaw(Resource):
    """The end of a freeze."""

    @operation(
        "Let payouts go on",
        tag="payouts",
        scopes=("finance:approve",),
        body=ReasonSchema(),
        answer=GATE,
        example={"reason": "It was the partner's own wish."},
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, body: Row) -> None:
        """It explains no unknown transfer: those are taken in or resolved."""
        send(resp, show_gate(restore_check.thaw(self.ledger, body["reason"], by=req.context.caller.by)))


class DatabaseRestored(Resource):
    """The word that the database was put back."""

    @operation(
        "Say that the database was restored",
        tag="payouts",
        scopes=("finance:approve",),
        body=ReasonSchema(),
        answer=GATE,
        example={"reason": "Put back to the backup of 3 May, 02:00."},
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, body: Row) -> None:
        """Nothing is sent for an hour, then not before what the provider holds is known; nothing is exported
        for the bank before finance says that every file is accounted for."""
        send(resp, show_gate(restore_check.restored(self.ledger, body["reason"], by=req.context.caller.by)))


class BankFilesKnown(Resource):
    """The word that no file for the bank is missing."""

    @operation(
        "Say that every file that left for the bank is known",
        tag="payouts",
        scopes=("finance:approve",),
        body=ReasonSchema(),
        answer=GATE,
        example={"reason": "Online banking shows two files since the backup; both were recorded."},
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, body: Row) -> None:
        """After a restore: each file that left since the backup was recorded (`has_left`). Exports go on."""
        caller = req.context.caller
        state = restore_check.account_for_bank_files(
            self.ledger, body["reason"], person=caller.person, by=caller.by
        )
        send(resp, show_gate(state))


class TransferTakeIn(Resource):
    """A transfer that the ledger lost."""

    @operation(
        "Take in a transfer that the ledger lost",
        tag="payouts",
        scopes=("finance:approve",),
        body=TakeInSchema(),
        answer=PAYOUT,
        problems=(
            "not-found",
            "transfer-currency-differs",
            "transfer-amount-differs",
            "transfer-destination-differs",
            "content-changed",
            "illegal-transition",
            "insufficient-balance",
            "provider-unavailable",
        ),
        example={"transfer_id": "tr_1Ab", "reason": "Restored from the backup of 3 May."},
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, body: Row) -> None:
        """After a restore: the transfer is its approved payout's again: intent, money, confirmation."""
        taken = taking_in.take_in(self.ledger, self.services.provider, **body, by=req.context.caller.by)
        send(resp, _show_payout(msgspec.structs.asdict(taken)))
