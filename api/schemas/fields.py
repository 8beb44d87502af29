"""Fields shared by all schemas: strict whole numbers, exact ids, times with a zone, no silent conversion."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from marshmallow import RAISE, Schema, fields, validate

from ledger.commands import NOTE_PATTERN
from ledger.money import AMOUNT_MINOR_MAX

_AwareTime = Annotated[datetime, msgspec.Meta(tz=True)]
_REFERENCE: Final = r"^[^\x00-\x1f\x7f]+$"
_WHOLE: Final = re.compile(r"-?[0-9]{1,19}", re.ASCII)


_Messages = dict[str, str | list[Any] | dict[Any, Any]]


def invalid(says: str) -> _Messages:
    """What a field says of a value that it can't read."""
    return {"invalid": says}


class Strict(Schema):
    """Every schema of ours: an unknown field is an error, never passed over."""

    class Meta:
        """Options of marshmallow."""

        unknown = RAISE
        ordered = True


class Time(fields.Field[datetime]):
    """A time of RFC 3339 with its zone; out in UTC with Z."""

    default_error_messages = invalid("must be a time of RFC 3339 with its zone, as 2026-05-04T12:30:00Z")

    def _deserialize(self, value: Any, *_args: Any, **_kwargs: Any) -> datetime:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        try:
            # In UTC: a zone can lead beyond the calendar's ends.
            return msgspec.convert(value, _AwareTime).astimezone(UTC)
        except (msgspec.ValidationError, OverflowError):
            raise self.make_error("invalid") from None

    def _serialize(self, value: Any, *_args: Any, **_kwargs: Any) -> Any:
        return None if value is None else value.astimezone(UTC)


class Id(fields.Field[UUID]):
    """An id: a UUID as text."""

    default_error_messages = invalid("must be a UUID")

    def _deserialize(self, value: Any, *_args: Any, **_kwargs: Any) -> UUID:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        try:
            return msgspec.convert(value, UUID)
        except msgspec.ValidationError:
            raise self.make_error("invalid") from None


class Whole(fields.Integer):
    """A whole number. 5.0, "5" and true are none."""

    default_error_messages = invalid("must be a whole number")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strict=True, **kwargs)

    def _deserialize(self, value: Any, *_args: Any, **_kwargs: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.make_error("invalid")
        return value


class QueryWhole(fields.Integer):
    """A whole number in a query, where everything is text."""

    default_error_messages = invalid("must be a whole number")

    def _deserialize(self, value: Any, *_args: Any, **_kwargs: Any) -> int:
        if not isinstance(value, str) or not _WHOLE.fullmatch(value):
            raise self.make_error("invalid")
        return int(value)


class QueryTime(Time):
    """A time in a query; a plus sign that the address turned into a blank is read as one."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> datetime:
        if isinstance(value, str):
            value = re.sub(r"(?<=[0-9]) (?=[0-9]{2}:?[0-9]{2}$)", "+", value)
        return super()._deserialize(value, *args, **kwargs)


class Text(fields.String):
    """Text that is text already."""

    default_error_messages = invalid("must be text")


def text(most: int = 1_000, **kwargs: Any) -> Text:
    """A piece of text of 1 to `most` characters."""
    return Text(validate=validate.Length(1, most), **kwargs)


def reference(**kwargs: Any) -> Text:
    """A name in somebody else's system: 1 to 200 characters, no control characters."""
    shape = validate.Regexp(_FULL_REFERENCE, error="must have no control characters")
    metadata = {"pattern": _REFERENCE, **kwargs.pop("metadata", {})}
    return Text(validate=[validate.Length(1, 200), shape], metadata=metadata, **kwargs)


_FULL_REFERENCE: Final = re.compile(r"\A[^\x00-\x1f\x7f]+\Z")


def note(**kwargs: Any) -> Text:
    """A remark of 1 to 1,000 characters: no control characters but line breaks and tabs."""
    shape = validate.Regexp(re.compile(NOTE_PATTERN), error="must have no control characters but line breaks")
    metadata = {"pattern": NOTE_PATTERN.replace(r"\A", "^").replace(r"\Z", "$")}
    return Text(validate=[validate.Length(1, 1_000), shape], metadata=metadata, **kwargs)


def currency(**kwargs: Any) -> Text:
    """A code of ISO 4217: three capital letters."""
    shape = validate.Regexp(re.compile(r"\A[A-Z]{3}\Z"), error="must be three capital letters (ISO 4217)")
    metadata = {"pattern": "^[A-Z]{3}$", "example": "EUR", **kwargs.pop("metadata", {})}
    return Text(validate=shape, metadata=metadata, **kwargs)


def amount(*, least: int = 0, **kwargs: Any) -> Whole:
    """An amount in minor units."""
    return Whole(validate=validate.Range(least, AMOUNT_MINOR_MAX), **kwargs)


def choice(*words: str, **kwargs: Any) -> Text:
    """One of some words."""
    return Text(validate=validate.OneOf(words), **kwargs)


class PageQuery(Strict):
    """What every list takes."""

    limit = QueryWhole(
        load_default=50,
        validate=validate.Range(1, 200),
        metadata={
            "description": "Items a page, 1 to 200. With filters it may hold fewer, or none: "
            "follow `next` until it is null."
        },
    )
    cursor = Text(
        load_default=None,
        validate=validate.Length(1, 2_000),
        metadata={"description": "Where the page begins: from `next` of the page before."},
    )


_pages: dict[str, Schema] = {}


def page_of(item: Schema) -> Schema:
    """The schema of one page of a list: the same one for the same items."""
    name = type(item).__name__.removesuffix("Schema")
    if name in _pages:
        return _pages[name]
    made = Strict.from_dict(
        {
            "items": fields.List(fields.Nested(item), required=True),
            "next": Text(
                required=True,
                allow_none=True,
                metadata={"description": "The next page's address; null: this is the last."},
            ),
        },
        name=f"{name}PageSchema",
    )
    _pages[name] = made()
    return _pages[name]
