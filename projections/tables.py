"""The tables of every view. Their schema is made by alembic; a test holds the two together."""

from typing import Final

import sqlalchemy as sa

from projections.columns import METADATA
from projections.columns import changing as _changing
from projections.columns import json as _json
from projections.columns import key as _key
from projections.columns import learned as _learned
from projections.columns import position as _position
from projections.columns import text as _text
from projections.columns import time as _time
from projections.columns import uuid as _uuid
from projections.columns import whole as _int
from projections.money_tables import balances, folios, journal
from projections.period_tables import periods, statements

__all__ = ["METADATA", "balances", "folios", "journal", "periods", "statements"]

# Conversions and what they earned

conversions: Final = sa.Table(
    "conversions",
    METADATA,
    _key("conversion_id"),
    _uuid("program_id"),
    _text("customer"),
    _uuid("customer_id"),
    _text("source"),
    _text("external_id"),
    _text("kind"),
    _text("product", null=True),
    _int("amount_minor"),
    _int("refunded_minor"),
    _int("lost_minor"),
    _text("currency"),
    _text("status"),
    *_learned(),
    _position(),
    sa.Index(None, "effective_at", "conversion_id"),
    sa.Index(None, "program_id", "effective_at", "conversion_id"),
    sa.Index(None, "customer_id", "effective_at"),
)

conversion_facts: Final = sa.Table(
    "conversion_facts",
    METADATA,
    _key("position", sa.BigInteger),
    _uuid("conversion_id"),
    _uuid("program_id"),
    _text("kind"),
    _text("reference", null=True),
    _int("amount_minor", null=True),
    _text("reason", null=True),
    *_learned(),
    sa.Index(None, "conversion_id"),
)

rewards: Final = sa.Table(
    "rewards",
    METADATA,
    _key("reward_id"),
    _uuid("conversion_id"),
    _uuid("program_id"),
    _uuid("partner_id"),
    _uuid("customer_id"),
    _int("amount_minor"),
    _int("reversed_minor"),
    _text("stage"),
    _text("currency"),
    _int("basis_minor"),
    _int("share_bps"),
    _int("rate_bps", null=True),
    _int("flat_minor", null=True),
    _int("terms_version"),
    _int("rule"),
    _json("caps"),
    _text("reason"),
    _time("matures_at"),
    _time("matured_at", null=True),
    *_learned(),
    _int("cause_position"),
    _position(),
    sa.Index(None, "conversion_id"),
    sa.Index(None, "effective_at", "reward_id"),
    sa.Index(None, "program_id", "effective_at", "reward_id"),
    sa.Index(None, "partner_id", "effective_at", "reward_id"),
)

not_rewarded: Final = sa.Table(
    "not_rewarded",
    METADATA,
    _key("conversion_id"),
    _uuid("program_id"),
    _uuid("customer_id"),
    _text("reason"),
    _text("detail"),
    _uuid("partner_id", null=True),
    *_learned(),
    _position(),
)

# The directory: programs, partners, what they agreed to, whom they brought

programs: Final = sa.Table(
    "programs",
    METADATA,
    _key("program_id"),
    _text("reference"),
    _text("name"),
    _text("type"),
    _text("currency"),
    _json("goals"),
    _text("landing_url", null=True),
    _int("terms_version"),
    _time("recorded_at"),
    _position(),
    _text("payouts_every", null=True),
    sa.Index(None, "reference"),
)

terms_versions: Final = sa.Table(
    "terms_versions",
    METADATA,
    _key("program_id"),
    _key("terms_version", sa.BigInteger),
    _text("partner_group", null=True),
    _json("terms"),
    *_learned(),
    _text("published_by"),
    _position(),
)

partner_groups: Final = sa.Table(
    "partner_groups",
    METADATA,
    _key("program_id"),
    _key("partner_group", sa.Text),
    _text("name"),
    _time("recorded_at"),
    _position(),
)

partners: Final = sa.Table(
    "partners",
    METADATA,
    _key("partner_id"),
    _text("reference"),
    _text("name"),
    _text("email", null=True),
    _text("country", null=True),
    _text("status"),
    _text("status_note", null=True),
    _text("provider", null=True),
    _text("destination", null=True),
    *_changing(),
    _position(),
    sa.Index(None, "reference"),
)

partner_group_members: Final = sa.Table(
    "partner_group_members",
    METADATA,
    _key("partner_id"),
    _key("program_id"),
    _text("partner_group", null=True),
    _time("recorded_at"),
    _position(),
    sa.Index(None, "program_id", "partner_group"),
)

payout_holds: Final = sa.Table(
    "payout_holds",
    METADATA,
    _key("partner_id"),
    _key("cause", sa.Text),
    # None: it was lifted.
    _text("reason", null=True),
    _time("effective_at"),
    _time("recorded_at"),
    _position(),
)

agreements: Final = sa.Table(
    "agreements",
    METADATA,
    _key("agreement_id"),
    _uuid("program_id"),
    _uuid("partner_id"),
    _int("terms_version"),
    _text("status"),
    _text("accepted_by"),
    _time("effective_at"),
    _time("ended_at", null=True),
    _text("end_reason", null=True),
    _time("recorded_at"),
    _position(),
    sa.Index(None, "recorded_at", "agreement_id"),
    sa.Index(None, "program_id", "partner_id"),
    sa.Index(None, "partner_id"),
)

referral_codes: Final = sa.Table(
    "referral_codes",
    METADATA,
    _key("referral_code_id"),
    _text("code"),
    _uuid("program_id"),
    _uuid("partner_id"),
    _text("landing_url", null=True),
    _int("touches"),
    _time("last_touched_at", null=True),
    _time("recorded_at"),
    _position(),
    sa.Index(None, "recorded_at", "referral_code_id"),
    sa.Index(None, "partner_id", "recorded_at", "referral_code_id"),
)

referrals: Final = sa.Table(
    "referrals",
    METADATA,
    _key("referral_id"),
    _uuid("customer_id"),
    _uuid("program_id"),
    _text("customer"),
    _uuid("partner_id"),
    _text("via"),
    _text("code", null=True),
    _uuid("touch_id", null=True),
    _text("company", null=True),
    _text("contact", null=True),
    _text("note", null=True),
    *_learned(),
    _position(),
    sa.Index(None, "effective_at", "referral_id"),
    sa.Index(None, "program_id", "effective_at", "referral_id"),
    sa.Index(None, "partner_id", "effective_at"),
    sa.Index(None, "customer_id"),
)

customers: Final = sa.Table(
    "customers",
    METADATA,
    _key("customer_id"),
    _uuid("program_id"),
    _text("customer"),
    _int("referrals"),
    _uuid("last_partner_id", null=True),
    _time("last_referral_at", null=True),
    _json("shares", null=True),
    _time("reattributed_at", null=True),
    _text("reattribution_reason", null=True),
    _time("recorded_at"),
    _position(),
    sa.Index(None, "program_id", "customer"),
    sa.Index(None, "last_partner_id", "program_id", "customer"),
)

api_keys: Final = sa.Table(
    "api_keys",
    METADATA,
    _key("key_id"),
    _text("name"),
    _json("scopes"),
    _uuid("partner_id", null=True),
    _text("issued_by"),
    _time("recorded_at"),
    _time("revoked_at", null=True),
    _text("revoke_reason", null=True),
    _position(),
    _text("person", null=True),
    sa.Index(None, "recorded_at", "key_id"),
)

# Payouts

payout_batches: Final = sa.Table(
    "payout_batches",
    METADATA,
    _key("batch_id"),
    _uuid("program_id"),
    _text("currency"),
    _text("state"),
    _int("payouts"),
    _int("total_minor"),
    _text("content_hash"),
    _text("made_by"),
    _text("approved_by", null=True),
    _text("canceled_by", null=True),
    _text("reason", null=True),
    *_changing(),
    _position(),
    _int("withheld_minor"),
    _text("paused_reason", null=True),
    _int("approvals_needed"),
    _text("made_by_person", null=True),
    _text("checked_by", null=True),
    _text("checked_by_person", null=True),
    _text("approved_by_person", null=True),
    _text("due_on", null=True),
    _time("send_asked_at", null=True),
    sa.Index(None, "recorded_at", "batch_id"),
    sa.Index(None, "program_id", "recorded_at", "batch_id"),
    sa.Index(None, "send_asked_at"),
)

payouts: Final = sa.Table(
    "payouts",
    METADATA,
    _key("payout_id"),
    _uuid("batch_id"),
    _uuid("program_id"),
    _uuid("partner_id"),
    _uuid("account_id"),
    _int("account_from_version"),
    _int("account_to_version"),
    _text("state"),
    _int("amount_minor"),
    _int("reversed_minor"),
    _text("currency"),
    _text("destination"),
    _int("attempt"),
    _text("transfer_id", null=True),
    _text("reason", null=True),
    _text("made_by"),
    _text("approved_by", null=True),
    *_changing(),
    _time("intent_at", null=True),
    _time("confirmed_at", null=True),
    _time("paid_at", null=True),
    _position(),
    _text("provider"),
    _int("withheld_minor"),
    _int("withholding_bps"),
    _int("net_minor"),
    sa.Index(None, "recorded_at", "payout_id"),
    sa.Index(None, "batch_id", "recorded_at", "payout_id"),
    sa.Index(None, "program_id", "recorded_at", "payout_id"),
    sa.Index(None, "partner_id", "recorded_at", "payout_id"),
    sa.Index(None, "state", "recorded_at", "payout_id"),
    sa.Index(None, "transfer_id"),
)

payout_attempts: Final = sa.Table(
    "payout_attempts",
    METADATA,
    _key("payout_id"),
    _key("attempt", sa.BigInteger),
    _text("state"),
    _text("idempotency_key"),
    _text("transfer_id", null=True),
    _text("code", null=True),
    _text("message", null=True),
    _time("intent_at"),
    _time("changed_at"),
    _position(),
)
