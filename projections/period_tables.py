"""The tables of closed months and of the statements that were issued for them."""

from typing import Final

import sqlalchemy as sa

from projections.columns import METADATA
from projections.columns import json as _json
from projections.columns import key as _key
from projections.columns import position as _position
from projections.columns import text as _text
from projections.columns import time as _time
from projections.columns import uuid as _uuid
from projections.columns import whole as _int

periods: Final = sa.Table(
    "periods",
    METADATA,
    _key("program_id"),
    _key("period", sa.Text),
    _time("begins_at"),
    _time("ends_at"),
    _text("time_zone"),
    _int("through_position"),
    _int("after_position"),
    _int("later_after_position"),
    _json("totals"),
    _text("closed_by"),
    _text("reason", null=True),
    # How many statements were issued, corrections among them.
    _int("statements"),
    _time("recorded_at"),
    _position(),
)

statements: Final = sa.Table(
    "statements",
    METADATA,
    _key("statement_id"),
    _uuid("program_id"),
    _int("count"),
    _text("number"),
    _uuid("partner_id"),
    _text("period"),
    _text("currency"),
    _int("version"),
    _int("details_position"),
    _json("opening"),
    _json("closing"),
    _int("lines"),
    _text("content_sha256"),
    _uuid("corrects", null=True),
    _text("reason", null=True),
    _text("issued_by"),
    _time("recorded_at"),
    _position(),
    _int("content_version"),
    sa.Index(None, "program_id", "partner_id", "currency", "period"),
    sa.Index(None, "program_id", "count"),
    sa.Index(None, "partner_id", "recorded_at", "statement_id"),
)
