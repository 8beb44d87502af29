"""How a program pays out (calendar, minimum, two checkers, taxes), and what is withheld from a partner."""

from datetime import datetime
from uuid import UUID

import falcon
import msgspec

from api.answers import send
from api.listings import Row
from api.operations import operation
from api.schemas.payout_settings import (
    NewPartnerWithholdingSchema,
    NewPayoutSettingsSchema,
    PartnerWithholdingSchema,
    PayoutSettingsSchema,
    RemittanceSchema,
)
from api.services import Resource
from ledger import partner, program, withholding
from ledger.payout_commands import ChangePayoutSettings, RecordWithholdingRemitted, SetWithholding
from ledger.store.application import Ledger
from payouts.schedule import calendar_of

READ = ("finance:read", "finance:approve")
SETTINGS = PayoutSettingsSchema()
WITHHOLDING = PartnerWithholdingSchema()
EXAMPLE = {
    "schedule": {"every": "month", "day": 31, "time_zone": "Europe/London", "hour": 6},
    "minimum_minor": 5000,
    "second_approval_over_minor": 1000000,
    "withholding": [{"country": "DE", "rate_bps": 1500}],
}


def show_settings(ledger: Ledger, program_id: UUID, state: program.ProgramState) -> Row:
    """How a program pays out, as it is answered."""
    of, calendar = state.payouts, calendar_of(ledger, program_id, state, ledger.clock())
    last = calendar.last if calendar else None
    return {
        "program_id": program_id,
        "schedule": None if of.schedule is None else msgspec.structs.asdict(of.schedule),
        "minimum_minor": of.minimum_minor,
        "second_approval_over_minor": of.second_approval_over_minor,
        "withholding": [msgspec.structs.asdict(each) for each in of.withholding],
        "us_source": of.us_source,
        "next_due": None if calendar is None else calendar.next._asdict(),
        "last_due": None
        if calendar is None or last is None
        else {**last._asdict(), "status": calendar.status, "batch_id": calendar.batch_id},
        "withholding_remitted_through": state.withholding_remitted_through,
    }


class ProgramPayoutSettings(Resource):
    """How a program pays out."""

    @operation(
        "Get a program's payout settings",
        scopes=READ,
        answer=SETTINGS,
        problems=("unknown-program",),
    )
    def on_get(self, _req: falcon.Request, resp: falcon.Response, program_id: UUID) -> None:
        """As they are now. Before anybody set them, everything is null: drafted on demand, one checker."""
        send(resp, show_settings(self.ledger, program_id, program.known(self.desk.program(program_id))))

    @operation(
        "Set a program's payout settings",
        scopes=("finance:approve",),
        body=NewPayoutSettingsSchema(),
        answer=SETTINGS,
        problems=("unknown-program",),
        example=EXAMPLE,
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, program_id: UUID, body: Row) -> None:
        """All of them at once. Of two limits, that of the draft and that of now, the stricter counts."""
        wish = ChangePayoutSettings(
            program_id=program_id, **{**body, "withholding": tuple(body["withholding"])}
        )
        done = self.desk.execute(wish, by=req.context.caller.by)
        send(resp, show_settings(self.ledger, program_id, done.state))


class ProgramRemittances(Resource):
    """What was withheld from a program's payouts, and is with the tax office."""

    @operation(
        "Record that withheld tax was remitted",
        scopes=("finance:approve",),
        body=RemittanceSchema(),
        answer=SETTINGS,
        problems=("unknown-program", "effective-time-in-future"),
        example={"through": "2026-03-31T23:59:59Z", "reference": "Q1 filing"},
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, program_id: UUID, body: Row) -> None:
        """All that was withheld up to then. Where a transfer comes back later, its tax does not."""
        wish = RecordWithholdingRemitted(program_id=program_id, **body)
        done = self.desk.execute(wish, by=req.context.caller.by)
        send(resp, show_settings(self.ledger, program_id, done.state))


def show_withholding(partner_id: UUID, state: partner.PartnerState, now: datetime) -> Row:
    """What is withheld from a partner, as it is answered."""
    own = withholding.in_force(state.withholding, now)
    said = [msgspec.structs.asdict(each) for each in state.withholding]
    return {"partner_id": partner_id, "rate_bps": own.rate_bps if own else None, "said": said}


class PartnerWithholding(Resource):
    """What is withheld from a partner's payouts."""

    @operation(
        "Get what is withheld from a partner", scopes=READ, answer=WITHHOLDING, problems=("unknown-partner",)
    )
    def on_get(self, _req: falcon.Request, resp: falcon.Response, partner_id: UUID) -> None:
        """What was said of it, and what of that holds now."""
        state = partner.known(self.desk.partner(partner_id))
        send(resp, show_withholding(partner_id, state, self.ledger.clock()))

    @operation(
        "Set what is withheld from a partner",
        scopes=("finance:approve",),
        body=NewPartnerWithholdingSchema(),
        answer=WITHHOLDING,
        problems=("unknown-partner",),
        example={"rate_bps": 1500, "reason": "No treaty form on file."},
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, partner_id: UUID, body: Row) -> None:
        """Drafts from then on withhold it; what is drafted already keeps its own."""
        done = self.desk.execute(SetWithholding(partner_id=partner_id, **body), by=req.context.caller.by)
        send(resp, show_withholding(partner_id, done.state, self.ledger.clock()))
