"""Schemas of finance's reports. Amounts are whole minor units of `currency`."""

from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, validates_schema

from api.schemas.fields import Id, Strict, Text, Whole, choice, currency, invalid
from api.schemas.money import AsOfQuery
from ledger.month import Month, months
from projections.journal_export.formats import NAMES
from projections.reports.ageing import AGED
from projections.reports.calendars import BASES
from projections.reports.roll_forward import BALANCES, MONTHS_MAX
from projections.reports.trial_balance import BY

PATTERN: Final = "^[0-9]{4}-(0[1-9]|1[0-2])$"


def report_of(item: Schema) -> Schema:
    """The schema of a report: all its rows."""
    name = type(item).__name__.removesuffix("RowSchema")
    return Strict.from_dict(
        {"items": fields.List(fields.Nested(item), required=True)}, name=f"{name}Schema"
    )()


class ReportQuery(AsOfQuery):
    """Of what a report is. Without a condition it is of everything."""

    program_id = Id(load_default=None)
    partner_id = Id(load_default=None)
    currency = currency(load_default=None)


class TrialBalanceQuery(ReportQuery):
    """How finely the trial balance is told."""

    by = choice(
        *BY,
        load_default="account",
        metadata={
            "description": "One row for each account and currency, also of each program, or of each partner."
        },
    )


class PeriodField(fields.Field[Month]):
    """A month, as 2026-05."""

    default_error_messages = invalid("must be a month, as 2026-05")

    def _deserialize(self, value: Any, *_args: Any, **_kwargs: Any) -> Month:
        try:
            return Month.parse(value)
        except (TypeError, ValueError):
            raise self.make_error("invalid") from None


def period(name: str, **given: Any) -> PeriodField:
    """A month that a query names."""
    metadata = {"description": "A month of the program's time zone, included.", "pattern": PATTERN}
    return PeriodField(data_key=name, metadata=metadata, **given)


class RollForwardQuery(ReportQuery):
    """From which month to which."""

    first = period("from", required=True)
    last = period("to", required=True)
    balance = choice(
        *BALANCES, load_default=None, metadata={"description": "Only this balance. Default: all."}
    )
    basis = choice(
        *BASES,
        load_default="books",
        metadata={
            "description": "What a month holds. `books`: a closed one what its closing froze; what is "
            "learned later stands in the first month that was open then. `effective`: what was true in it."
        },
    )

    @validates_schema
    def _in_order(self, data: dict[str, Any], **_: Any) -> None:
        if data["last"] < data["first"]:
            raise ValidationError("is before the first month", "to")
        if len(months(data["first"], data["last"])) > MONTHS_MAX:
            raise ValidationError(f"a report has {MONTHS_MAX} months at the most", "to")


class JournalExportQuery(ReportQuery):
    """Which part of the journal, and for which tool."""

    format = choice(*NAMES, required=True, metadata={"description": "What is to read it."})
    first = period("from", load_default=None)
    last = period("to", load_default=None)

    @validates_schema
    def _in_order(self, data: dict[str, Any], **_: Any) -> None:
        if data["first"] and data["last"] and data["last"] < data["first"]:
            raise ValidationError("is before the first month", "to")


class AgeingQuery(ReportQuery):
    """Which balances to tell by age."""

    balance = choice(
        *AGED,
        load_default=None,
        metadata={"description": "Only this one. Default: payable and clawback."},
    )


class AboutSchema(Strict):
    """Who a row is about; null where the row is of all of them."""

    currency = Text(required=True)
    program_id = Id(required=True, allow_none=True)
    program = Text(required=True, allow_none=True, metadata={"description": "Its reference."})
    partner_id = Id(required=True, allow_none=True)
    partner = Text(required=True, allow_none=True, metadata={"description": "Its reference."})


class TrialBalanceRowSchema(AboutSchema):
    """What an account was debited and credited with. Balances sum to zero in each currency."""

    account = Text(required=True)
    debit_minor = Whole(required=True)
    credit_minor = Whole(required=True)
    balance_minor = Whole(
        required=True, metadata={"description": "Debits less credits: a debit balance is positive."}
    )


class RollForwardRowSchema(AboutSchema):
    """A balance through a month: opening and movements come to closing. What takes from it is negative."""

    period = Text(required=True)
    balance = Text(required=True)
    opening_minor = Whole(required=True)
    accrued_minor = Whole(required=True)
    matured_minor = Whole(required=True)
    reversed_minor = Whole(required=True)
    clawed_back_minor = Whole(required=True)
    set_off_minor = Whole(required=True)
    written_off_minor = Whole(required=True)
    reserved_minor = Whole(required=True)
    released_minor = Whole(required=True)
    withheld_minor = Whole(required=True)
    paid_minor = Whole(required=True)
    returned_minor = Whole(required=True)
    closing_minor = Whole(required=True)


class AgeingRowSchema(AboutSchema):
    """A balance by the age in days of what is left of it; the parts sum to the total."""

    balance = Text(required=True)
    days_0_30_minor = Whole(required=True)
    days_31_60_minor = Whole(required=True)
    days_61_90_minor = Whole(required=True)
    days_over_90_minor = Whole(required=True)
    total_minor = Whole(required=True)


TRIAL_BALANCE: Final = report_of(TrialBalanceRowSchema())
ROLL_FORWARD: Final = report_of(RollForwardRowSchema())
AGEING: Final = report_of(AgeingRowSchema())
