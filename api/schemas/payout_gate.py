"""Schemas of the gate before all payouts."""

from marshmallow import fields

from api.schemas.fields import Strict, Text, Time, reference, text


class PayoutGateSchema(Strict):
    """Whether payouts are sent. `unknown_transfers`: the first ones that the ledger does not know.

    `bank_files_doubt`: why no file for the bank is exported; null: it is.
    """

    is_open = fields.Boolean(required=True)
    frozen_reason = Text(required=True, allow_none=True)
    frozen_at = Time(required=True, allow_none=True)
    unknown_since = Time(required=True, allow_none=True)
    unknown_transfers = fields.List(Text(), required=True)
    bank_files_doubt = Text(required=True, allow_none=True)


class TakeInSchema(Strict):
    """A transfer that the provider holds and the ledger lost."""

    transfer_id = reference(required=True)
    reason = text(1_000, required=True)
