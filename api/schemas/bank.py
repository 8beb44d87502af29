"""Schemas of partners off Stripe: their bank accounts, and the files that tell our bank to pay them."""

from marshmallow import fields, validate

from api.schemas.fields import Id, Strict, Text, Time, Whole, text

_IBAN = {"description": "As it is printed, with blanks or without.", "example": "DE89 3704 0044 0532 0130 00"}


class NewBankAccountSchema(Strict):
    """A bank account within SEPA, and whose it is."""

    iban = text(50, required=True, metadata=_IBAN)
    holder_name = text(200, required=True, metadata={"description": "As the bank knows its holder."})
    bic = text(20, load_default=None, allow_none=True)


class BankAccountSchema(Strict):
    """A partner's bank account. The IBAN is whole only where one account is asked for."""

    partner_id = Id(required=True)
    iban = Text(required=True)
    holder_name = Text(required=True)
    bic = Text(required=True, allow_none=True)


class NewBankFileSchema(Strict):
    """Which file of a batch: the first, or a later one for what the files before it left out."""

    number = Whole(load_default=1, validate=validate.Range(1, 1_000))
    execution_date = fields.Date(
        load_default=None,
        allow_none=True,
        metadata={"description": "When the bank is asked to pay; default: today (UTC)."},
    )


class LeftOutSchema(Strict):
    """A payout for the bank that a file does not hold, and why; `canceled`: it never will be sent."""

    payout_id = Id(required=True)
    partner_id = Id(required=True)
    reason = Text(required=True)
    canceled = fields.Boolean(required=True)


class BankFileSchema(Strict):
    """A file for our bank, as it was exported: it never changes."""

    batch_id = Id(required=True)
    number = Whole(required=True)
    message_id = Text(required=True, metadata={"description": "By which the bank knows the file."})
    message_schema = Text(required=True)
    debtor_iban = Text(required=True, metadata={"description": "Our own account, masked."})
    execution_date = fields.Date(required=True)
    payout_ids = fields.List(Id(), required=True)
    transfers = Whole(required=True)
    total_minor = Whole(required=True)
    currency = Text(required=True)
    content_sha256 = Text(required=True, metadata={"description": "Of the file's bytes."})
    exported_by_person = Text(required=True, allow_none=True)
    effective_at = Time(required=True)
    left_out = fields.List(
        fields.Nested(LeftOutSchema()), metadata={"description": "Told by the export alone."}
    )
