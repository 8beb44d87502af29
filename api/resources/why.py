"""Why a payout, a reward or a conversion is what it is, down to the facts and their proofs."""

from uuid import UUID

import falcon

from api.answers import send
from api.operations import operation
from api.schemas.why import BecauseSchema
from api.services import Resource
from projections.why import Why

READ = ("finance:read", "finance:approve")
BECAUSE = BecauseSchema()


class PayoutWhy(Resource):
    """Why a payout."""

    @operation("Why a payout is what it is", tag="why", scopes=READ, answer=BECAUSE)
    def on_get(self, _req: falcon.Request, resp: falcon.Response, payout_id: UUID) -> None:
        """Its lines with their rewards, conversions, attribution and terms; approvals; what was sent."""
        with self.database.read() as connection:
            send(resp, Why(self.ledger, connection).payout(payout_id))


class RewardWhy(Resource):
    """Why a reward."""

    @operation("Why a reward is what it is", tag="why", scopes=READ, answer=BECAUSE)
    def on_get(self, _req: falcon.Request, resp: falcon.Response, reward_id: UUID) -> None:
        """Its conversion and what happened to it, whom it counts for, the terms, what was taken back."""
        with self.database.read() as connection:
            send(resp, Why(self.ledger, connection).reward(reward_id))


class ConversionWhy(Resource):
    """Why a conversion earned what it did, or nothing."""

    @operation("Why a conversion earned, or did not", tag="why", scopes=READ, answer=BECAUSE)
    def on_get(self, _req: falcon.Request, resp: falcon.Response, conversion_id: UUID) -> None:
        """Its rewards with their reasons, or why there is none."""
        with self.database.read() as connection:
            send(resp, Why(self.ledger, connection).conversion(conversion_id))
