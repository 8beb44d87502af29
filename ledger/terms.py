"""The language of agreements: a terms document, validated whole, and what it says of one conversion. Pure.

Language 1. A document is JSON; `load` turns it into `Terms` or names every mistake with its path. A later
language adds fields and raises `language`; documents of language 1 keep their meaning for ever, because
rewards of the past quote them.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec
from dateutil.relativedelta import relativedelta
from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from ledger.events.conversion import ConversionKind
from ledger.money import AMOUNT_MINOR_MAX, FULL_SHARE_BPS
from ledger.refusals import InvalidTerms

LANGUAGE: Final = 1
KINDS: Final[tuple[ConversionKind, ...]] = ("signup", "sale", "renewal", "usage", "milestone")
PAYMENT_KINDS: Final = frozenset[str]({"sale", "renewal", "usage"})
"""The kinds that count as payments for a duration in payments."""
Period = Literal["month", "quarter", "year"]


class Duration(msgspec.Struct, frozen=True):
    """For how long a customer earns: months from its first attributed conversion, or a number of payments.

    Neither: for the customer's lifetime.
    """

    months: int | None = None
    payments: int | None = None

    def covers(self, effective_at: datetime, since: datetime) -> bool:
        """Whether a conversion at this time still earns for a customer that counts since `since`."""
        return self.months is None or effective_at < since + relativedelta(months=self.months)


class Rule(msgspec.Struct, frozen=True):
    """Which conversions earn what: a rate in basis points or a flat sum in minor units."""

    kinds: frozenset[str]
    products: frozenset[str] | None
    rate_bps: int | None
    flat_minor: int | None
    duration: Duration

    def matches(self, kind: str, product: str | None) -> bool:
        """Whether the rule speaks of such a conversion."""
        return kind in self.kinds and (self.products is None or product in self.products)


class PeriodCap(msgspec.Struct, frozen=True):
    """The most that a partner earns in one calendar period (UTC), in minor units."""

    period: Period
    amount_minor: int

    def period_of(self, effective_at: datetime) -> str:
        """The name of the period that a time lies in: 2011-03, 2011-Q1 or 2011."""
        when = effective_at.astimezone(UTC)
        match self.period:
            case "month":
                return f"{when.year:04d}-{when.month:02d}"
            case "quarter":
                return f"{when.year:04d}-Q{(when.month + 2) // 3}"
            case "year":
                return f"{when.year:04d}"


class Attribution(msgspec.Struct, frozen=True):
    """Which touch wins, and how long before the customer's first conversion it may lie."""

    model: Literal["first_touch", "last_touch"]
    window_days: int | None

    @property
    def window(self) -> timedelta | None:
        """The window as a time span; None: without end."""
        return None if self.window_days is None else timedelta(days=self.window_days)


class Terms(msgspec.Struct, frozen=True):
    """A terms document as the rules read it."""

    rules: tuple[Rule, ...]
    cap_per_customer_minor: int | None
    cap_per_period: PeriodCap | None
    holding_days: int
    attribution: Attribution
    minimum_payout_minor: int

    def rule_for(self, kind: str, product: str | None) -> int | None:
        """The index of the first rule that matches; None: such a conversion earns nothing."""
        for index, rule in enumerate(self.rules):
            if rule.matches(kind, product):
                return index
        return None

    def matures_at(self, effective_at: datetime) -> datetime:
        """When the holding period of a conversion's reward ends."""
        return effective_at + timedelta(days=self.holding_days)


# The schemas say the language once, for the validation here and for the API's document


def _count(*, least: int = 1, most: int) -> fields.Integer:
    return fields.Integer(strict=True, validate=validate.Range(min=least, max=most))


def _minor(*, least: int = 0) -> fields.Integer:
    return _count(least=least, most=AMOUNT_MINOR_MAX)


class RewardSchema(Schema):
    """What a rule pays: one of a rate in basis points and a flat sum in minor units."""

    rate_bps = _count(most=FULL_SHARE_BPS)
    flat_minor = _minor(least=1)

    @validates_schema
    def _one(self, data: Mapping[str, Any], **_: Any) -> None:
        if len(data) != 1:
            raise ValidationError("exactly one of rate_bps and flat_minor must stand here")


class DurationSchema(Schema):
    """For how long: months, payments or lifetime."""

    months = _count(most=1_200)
    payments = _count(most=100_000)
    lifetime = fields.Boolean(truthy={True}, falsy=set(), validate=validate.Equal(True))

    @validates_schema
    def _one(self, data: Mapping[str, Any], **_: Any) -> None:
        if len(data) != 1:
            raise ValidationError("exactly one of months, payments and lifetime must stand here")


class RuleSchema(Schema):
    """One rule; the first that matches a conversion decides."""

    kinds = fields.List(
        fields.String(validate=validate.OneOf(KINDS)), required=True, validate=validate.Length(min=1)
    )
    products = fields.List(
        fields.String(validate=validate.Length(min=1, max=200)), validate=validate.Length(min=1, max=1_000)
    )
    reward = fields.Nested(RewardSchema, required=True)
    duration = fields.Nested(DurationSchema)


class PeriodCapSchema(Schema):
    """The most in one calendar period."""

    period = fields.String(required=True, validate=validate.OneOf(["month", "quarter", "year"]))
    amount_minor = fields.Integer(
        strict=True, required=True, validate=validate.Range(min=1, max=AMOUNT_MINOR_MAX)
    )


class CapsSchema(Schema):
    """Limits on what is earned, kept of reversals."""

    per_customer_minor = _minor(least=1)
    per_period = fields.Nested(PeriodCapSchema)


class AttributionSchema(Schema):
    """Which touch wins, within which window."""

    model = fields.String(required=True, validate=validate.OneOf(["first_touch", "last_touch"]))
    window_days = fields.Integer(
        strict=True, required=True, allow_none=True, validate=validate.Range(min=1, max=36_500)
    )


class TermsSchema(Schema):
    """A terms document of language 1."""

    language = fields.Integer(strict=True, required=True, validate=validate.Equal(LANGUAGE))
    rules = fields.List(fields.Nested(RuleSchema), required=True, validate=validate.Length(min=1, max=500))
    caps = fields.Nested(CapsSchema)
    holding_days = fields.Integer(strict=True, required=True, validate=validate.Range(min=0, max=3_650))
    attribution = fields.Nested(AttributionSchema, required=True)
    minimum_payout_minor = fields.Integer(
        strict=True, required=True, validate=validate.Range(min=0, max=AMOUNT_MINOR_MAX)
    )


_SCHEMA: Final = TermsSchema()


def load(document: Any) -> Terms:
    """The terms that a JSON document says. Raises InvalidTerms with the path of every mistake."""
    if not isinstance(document, dict):
        raise InvalidTerms([{"pointer": "", "detail": "a terms document is a JSON object"}])
    try:
        data = _SCHEMA.load(document)
    except ValidationError as error:
        raise InvalidTerms(list(_mistakes(error.messages, ""))) from None
    caps = data.get("caps", {})
    period = caps.get("per_period")
    return Terms(
        rules=tuple(_rule(rule) for rule in data["rules"]),
        cap_per_customer_minor=caps.get("per_customer_minor"),
        cap_per_period=PeriodCap(**period) if period else None,
        holding_days=data["holding_days"],
        attribution=Attribution(**data["attribution"]),
        minimum_payout_minor=data["minimum_payout_minor"],
    )


def _rule(data: dict[str, Any]) -> Rule:
    duration = data.get("duration", {})
    return Rule(
        kinds=frozenset(data["kinds"]),
        products=frozenset(data["products"]) if "products" in data else None,
        rate_bps=data["reward"].get("rate_bps"),
        flat_minor=data["reward"].get("flat_minor"),
        duration=Duration(months=duration.get("months"), payments=duration.get("payments")),
    )


def _mistakes(messages: Any, pointer: str) -> Any:
    """Marshmallow's nested messages as a flat list of JSON pointers (RFC 6901) and sentences."""
    if isinstance(messages, dict):
        for key, value in messages.items():
            part = "" if key == "_schema" else "/" + str(key).replace("~", "~0").replace("/", "~1")
            yield from _mistakes(value, pointer + part)
    else:
        for message in messages:
            yield {"pointer": pointer, "detail": str(message)}


@lru_cache(maxsize=1_024)
def _load_canonical(document: bytes) -> Terms:
    return load(msgspec.json.decode(document))


def load_stored(document: dict[str, Any]) -> Terms:
    """As `load`, for documents out of facts: the same document is validated once in a process."""
    return _load_canonical(msgspec.json.encode(document, order="deterministic"))
