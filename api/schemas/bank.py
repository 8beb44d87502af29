"""Schemas of partners off Stripe: their bank accounts, files for our bank, and what its statements say."""

from typing import get_args

from marshmallow import fields, validate

from api.schemas.fields import Id, Strict, Text, Time, Whole, choice, reference, text
from ledger.bank_payout import Direction
from ledger.events.bank import BankOutcome, Verdict

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
    has_left = text(
        1_000,
        load_default=None,
        allow_none=True,
        metadata={
            "description": "Only after a restore: how you know that the bank has this file, which the ledger"
            " lost. It is recorded, whatever is in doubt; do not upload it again."
        },
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


class BankOutcomeSchema(Strict):
    """What became of a payout by our bank, as somebody of finance saw it."""

    outcome = choice(
        *get_args(BankOutcome),
        required=True,
        metadata={"description": "It left our account; it came back; or it never left."},
    )
    reference = reference(required=True, metadata={"description": "What the bank calls it."})
    reason = text(1_000, required=True, metadata={"description": "How one knows; why it came back."})
    reason_code = text(
        35, load_default=None, allow_none=True, metadata={"description": "ISO 20022, as AC04."}
    )
    effective_at = Time(
        load_default=None, allow_none=True, metadata={"description": "When it was booked; default: now."}
    )


class StatementLineSchema(Strict):
    """What one entry of a statement is."""

    entry_reference = Text(required=True)
    direction = choice(*get_args(Direction), required=True)
    amount_minor = Whole(required=True, allow_none=True)
    currency = Text(required=True)
    verdict = choice(*get_args(Verdict), required=True)
    payout_id = Id(required=True, allow_none=True)
    detail = Text(required=True, allow_none=True)


class ListedStatementSchema(Strict):
    """A statement, as it was imported last: how many of its entries are what."""

    bank_statement_id = Id(required=True)
    statement_id = Text(required=True)
    account_iban = Text(required=True, allow_none=True, metadata={"description": "Our own account, masked."})
    file_sha256 = Text(required=True)
    imported_by_person = Text(required=True, allow_none=True)
    imported_at = Time(required=True, metadata={"description": "When it last said something new."})
    counts = fields.Dict(keys=Text(), values=Whole(), required=True)
    differences = Whole(required=True, metadata={"description": "Entries that a human has to look at."})


class ImportedStatementSchema(ListedStatementSchema):
    """A statement, as it was imported last: what each of its entries is."""

    recorded = Whole(metadata={"description": "Entries that were new. Told by the import alone."})
    lines = fields.List(fields.Nested(StatementLineSchema()), required=True)


class StatementReportSchema(Strict):
    """What a file of statements brought."""

    statements = fields.List(fields.Nested(ImportedStatementSchema()), required=True)
    recorded = Whole(required=True)
    differences = Whole(required=True)


class StatementFileSchema(Strict):
    """A file as a bank gives it: camt.053 as XML, or CSV. Its text is the body."""
