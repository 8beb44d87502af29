"""Rewards: what conversions earned, and everything that made each number."""

from uuid import UUID

import falcon

from api.answers import send
from api.auth import nothing_there
from api.listings import PAST, Row, send_list, shown_as
from api.operations import operation
from api.schemas.fields import page_of
from api.schemas.money import AsOfQuery, RewardQuery, RewardSchema
from api.services import Resource
from projections import queries

REWARD = RewardSchema()
READ = ("finance:read", "finance:approve", "partner:read")
_show = shown_as(REWARD)


class Rewards(Resource):
    """All rewards."""

    @operation("List rewards", scopes=READ, query=RewardQuery(), answer=page_of(REWARD))
    def on_get(self, req: falcon.Request, resp: falcon.Response, query: Row) -> None:
        """The latest first; with times, as they were then."""
        where = {name: query[name] for name in ("program_id", "conversion_id", "stage", *PAST)}
        where["partner_id"] = req.context.caller.own(query["partner_id"])
        send_list(req, resp, self.database, query, queries.list_rewards, _show, **where)


class Reward(Resource):
    """One reward."""

    @operation("Get a reward", scopes=READ, query=AsOfQuery(), answer=REWARD)
    def on_get(self, req: falcon.Request, resp: falcon.Response, reward_id: UUID, query: Row) -> None:
        """With the reason that its partner reads; with times, as it was then, if it was there."""
        with self.database.read() as connection:
            found = queries.reward(connection, reward_id, **query)
        if found is None or not req.context.caller.sees(found["partner_id"]):
            raise nothing_there()
        send(resp, _show(found))
