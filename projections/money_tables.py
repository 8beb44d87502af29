"""The tables of money: the journal, its folios, the balances."""

from typing import Final

import sqlalchemy as sa

from projections.columns import METADATA, UtcTime
from projections.columns import index_where_set as _index_where_set
from projections.columns import key as _key
from projections.columns import learned as _learned
from projections.columns import octets as _octets
from projections.columns import position as _position
from projections.columns import text as _text
from projections.columns import time as _time
from projections.columns import uuid as _uuid
from projections.columns import whole as _int


def _index_where(name: str, where: str, *columns: str) -> sa.Index:
    condition = sa.text(where)
    return sa.Index(f"ix_folios_{name}", *columns, postgresql_where=condition, sqlite_where=condition)


journal: Final = sa.Table(
    "journal",
    METADATA,
    _key("position", sa.BigInteger),
    _key("leg", sa.BigInteger),
    _text("account"),
    _int("amount_minor"),
    _text("currency"),
    _uuid("program_id"),
    _uuid("partner_id"),
    _int("posting_version"),
    *_learned(),
    _uuid("reward_id", null=True),
    _uuid("payout_id", null=True),
    _uuid("conversion_id", null=True),
    sa.Index(None, "partner_id", "position", "leg"),
    sa.Index(None, "program_id", "partner_id", "currency", "position"),
    sa.Index(None, "reward_id"),
    _index_where_set("payout_id", "journal"),
)

folios: Final = sa.Table(
    "folios",
    METADATA,
    _key("program_id"),
    _key("partner_id"),
    _key("currency", sa.Text),
    _key("level", sa.BigInteger),
    _key("number", sa.BigInteger),
    _key("effective_from", UtcTime),
    _key("sheet", sa.BigInteger),
    # Where in the log the folio ends.
    _position(),
    # The latest time at which anything of the account up to there was recorded.
    _time("known_at"),
    # When the first was recorded of what is in it, if that was before something of an earlier folio.
    _time("late_from", null=True),
    _octets("entries"),
    _index_where("known_at", "level = 0", "program_id", "partner_id", "currency", "known_at", "number"),
    _index_where(
        "late_from", "late_from IS NOT NULL", "program_id", "partner_id", "currency", "late_from", "number"
    ),
    # Few rows, read again while they are made: they have their key from the start of a rebuild.
    info={"keyed": True},
)
"""Movements of an account, packed: see projections.folios."""

balances: Final = sa.Table(
    "balances",
    METADATA,
    _key("program_id"),
    _key("partner_id"),
    _key("currency", sa.Text),
    _int("pending_minor"),
    _int("available_minor"),
    _int("in_transit_minor"),
    _int("paid_minor"),
    _int("clawback_minor"),
    _int("withheld_minor"),
    _int("earned_minor"),
    _position(),
    sa.Index(None, "partner_id"),
)
