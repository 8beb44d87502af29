"""Schemas of API keys."""

from typing import get_args

from marshmallow import fields

from api.schemas.fields import Id, Strict, Text, Time, choice, text
from ledger.events.access import Scope

SCOPES = get_args(Scope)


class NewKeySchema(Strict):
    """A key to make. `partner:read` goes with the one partner that the key is bound to, and alone."""

    name = text(200, required=True)
    scopes = fields.List(choice(*SCOPES), required=True)
    partner_id = Id(load_default=None, allow_none=True)
    person = text(
        200,
        load_default=None,
        allow_none=True,
        metadata={"description": "Who uses it: two keys of one person don't count as two people."},
    )


class KeySchema(Strict):
    """An API key, without its secret."""

    key_id = Id(required=True)
    name = Text(required=True)
    scopes = fields.List(choice(*SCOPES), required=True)
    partner_id = Id(required=True, allow_none=True)
    person = Text(required=True, allow_none=True)
    revoked = fields.Boolean(required=True)
    revoked_at = Time(allow_none=True)


class IssuedKeySchema(KeySchema):
    """A new key. Its token is shown this once and kept nowhere; a repeated answer has null for it."""

    token = Text(required=True, allow_none=True)


class RevocationSchema(Strict):
    """Why a key is closed."""

    reason = text(1_000, load_default="other")
