"""How a program pays out: its calendar, its minimum, its limit for two checkers, its taxes by country."""

from uuid import UUID

import falcon
import msgspec

from api.answers import send
from api.listings import Row
from api.operations import operation
from api.schemas.payout_settings import NewPayoutSettingsSchema, PayoutSettingsSchema
from api.services import Resource
from ledger import program
from ledger.commands import ChangePayoutSettings

SETTINGS = PayoutSettingsSchema()
EXAMPLE = {
    "schedule": {"every": "month", "day": 31, "time_zone": "Europe/London", "hour": 6},
    "minimum_minor": 5000,
    "second_approval_over_minor": 1000000,
    "withholding": [{"country": "DE", "rate_bps": 1500}],
}


def show_settings(program_id: UUID, state: program.ProgramState) -> Row:
    """How a program pays out, as it is answered."""
    of = state.payouts
    return {
        "program_id": program_id,
        "schedule": None if of.schedule is None else msgspec.structs.asdict(of.schedule),
        "minimum_minor": of.minimum_minor,
        "second_approval_over_minor": of.second_approval_over_minor,
        "withholding": [msgspec.structs.asdict(each) for each in of.withholding],
    }


class ProgramPayoutSettings(Resource):
    """How a program pays out."""

    @operation(
        "Get a program's payout settings",
        scopes=("finance:read", "finance:approve"),
        answer=SETTINGS,
        problems=("unknown-program",),
    )
    def on_get(self, _req: falcon.Request, resp: falcon.Response, program_id: UUID) -> None:
        """As they are now. Before anybody set them, everything is null: drafted on demand, one checker."""
        send(resp, show_settings(program_id, program.known(self.desk.program(program_id))))

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
        wish = {**body, "withholding": tuple(body["withholding"])}
        done = self.desk.execute(
            ChangePayoutSettings(program_id=program_id, **wish), by=req.context.caller.by
        )
        send(resp, show_settings(program_id, done.state))
