"""API keys: made, listed, revoked by an admin."""

from uuid import UUID

import falcon

from api.answers import send
from api.listings import Row, send_list
from api.operations import operation
from api.schemas.access import IssuedKeySchema, KeySchema, NewKeySchema, RevocationSchema
from api.schemas.fields import PageQuery, page_of
from api.services import Resource
from ledger.access import ApiKey
from ledger.commands import IssueApiKey, RevokeApiKey
from projections import queries

KEY = KeySchema()


def show_key(key: ApiKey) -> Row:
    """A key as it is answered, without anything that opens."""
    return {
        "key_id": key.key_id,
        "name": key.name,
        "scopes": key.scopes,
        "partner_id": key.partner_id,
        "person": key.person,
        "revoked": key.revoked,
    }


def _show_row(row: Row) -> Row:
    shown = {name: row[name] for name in ("key_id", "name", "scopes", "partner_id", "person", "revoked_at")}
    return {**shown, "revoked": row["revoked_at"] is not None}


class Keys(Resource):
    """All API keys."""

    @operation(
        "Issue an API key",
        scopes=("admin",),
        body=NewKeySchema(),
        answer=IssuedKeySchema(),
        statuses=(201,),
        problems=("unknown-partner",),
        example={"name": "The shop", "scopes": ["conversions:write"]},
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, body: Row) -> None:
        """`token` is shown this once. Repeated under an Idempotency-Key, the answer has null for it.

        Whoever lost the first answer revokes the key and issues another.
        """
        command = IssueApiKey(**{**body, "scopes": tuple(body["scopes"])})
        done = self.desk.execute(command, by=req.context.caller.by)
        shown = show_key(done.state)
        req.context.kept_media = {**shown, "token": None}
        resp.location = f"/v1/keys/{done.id}"
        resp.set_header("Cache-Control", "no-store")
        send(resp, {**shown, "token": done.secret}, 201)

    @operation("List API keys", scopes=("admin",), query=PageQuery(), answer=page_of(KEY))
    def on_get(self, req: falcon.Request, resp: falcon.Response, query: Row) -> None:
        """The latest first, revoked ones too."""
        send_list(req, resp, self.database, query, queries.list_api_keys, _show_row)


class Key(Resource):
    """One API key."""

    @operation("Get an API key", scopes=("admin",), answer=KEY)
    def on_get(self, _req: falcon.Request, resp: falcon.Response, key_id: UUID) -> None:
        """Without its secret, which nobody has."""
        found = self.desk.api_key(key_id)
        if found is None:
            raise falcon.HTTPNotFound
        send(resp, show_key(found))


class KeyRevocation(Resource):
    """The end of an API key."""

    @operation(
        "Revoke an API key",
        scopes=("admin",),
        body=RevocationSchema(),
        answer=KEY,
        problems=("not-found",),
        example={"reason": "leaked"},
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, key_id: UUID, body: Row) -> None:
        """For ever. Every worker heeds it within a second."""
        done = self.desk.execute(RevokeApiKey(key_id=key_id, **body), by=req.context.caller.by)
        send(resp, show_key(done.state))
