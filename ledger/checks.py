"""What a field may hold, where its type alone can't say it. Pure; each refusal points at its field."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from ledger.money import AMOUNT_MINOR_MAX, CURRENCY_DIGITS, FULL_SHARE_BPS
from ledger.refusals import EffectiveTimeInFuture, InvalidField

REFERENCE_LENGTH_MAX: Final = 200
NAME_LENGTH_MAX: Final = 200
NOTE_LENGTH_MAX: Final = 1_000
URL_LENGTH_MAX: Final = 2_000
GOALS_MAX: Final = 20
SHARES_MAX: Final = 20
CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far ahead of ours a sender's clock may be."""
PLANNED_MAX: Final = timedelta(days=5 * 366)
"""How long before they hold terms and agreements may be made."""
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""No fact is older: what is, is a broken clock or a missing value."""

# The same characters as ledger.commands.Reference takes: what a conversion can name, a referral can too.
_REFERENCE: Final = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]+")
_LINE: Final = re.compile(
    r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]*\S[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]*"
)
_UNWRITABLE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_CODE: Final = re.compile(r"[A-Za-z0-9_-]{2,64}")
_EMAIL: Final = re.compile(
    r"[^\s@\x00-\x1f\x7f\ud800-\udfff]+@[^\s@.\x00-\x1f\x7f\ud800-\udfff]+(\.[^\s@.\x00-\x1f\x7f\ud800-\udfff]+)+"
)
_LOCALE: Final = re.compile(r"[a-z]{2,3}(?:-[A-Z][a-z]{3})?(?:-(?:[A-Z]{2}|[0-9]{3}))?")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_URL_CHARACTERS: Final = re.compile(r"[\x21-\x7e]+")
_TRANSFER: Final = re.compile(r"tr_[A-Za-z0-9_]{1,64}")
_DESTINATIONS: Final = {"stripe": re.compile(r"acct_[A-Za-z0-9]{1,64}")}


def reference(value: str, pointer: str) -> str:
    """A name in somebody else's system: 1 to 200 characters, no control characters."""
    if len(value) > REFERENCE_LENGTH_MAX or not _REFERENCE.fullmatch(value):
        raise InvalidField(
            f"must be 1 to {REFERENCE_LENGTH_MAX} characters without control characters", pointer=pointer
        )
    return value


def name(value: str, pointer: str) -> str:
    """A name that people read: one line, not blank."""
    if len(value) > NAME_LENGTH_MAX or not _LINE.fullmatch(value):
        raise InvalidField(
            f"must be one line of 1 to {NAME_LENGTH_MAX} characters, not blank", pointer=pointer
        )
    return value


def optional_name(value: str | None, pointer: str) -> str | None:
    """A name that may be left out, but not blank."""
    return None if value is None else name(value, pointer)


def note(value: str, pointer: str) -> str:
    """A reason or remark: some lines, not blank."""
    if len(value) > NOTE_LENGTH_MAX or not value.strip() or _UNWRITABLE.search(value):
        raise InvalidField(f"must be 1 to {NOTE_LENGTH_MAX} characters of text, not blank", pointer=pointer)
    return value


def optional_note(value: str | None, pointer: str) -> str | None:
    """A remark that may be left out, but not blank."""
    return None if value is None else note(value, pointer)


def goals(values: Sequence[str]) -> tuple[str, ...]:
    """What a program is for: a few lines, none blank, none twice."""
    if len(values) > GOALS_MAX:
        raise InvalidField(f"must be {GOALS_MAX} goals at the most", pointer="/goals")
    for index, goal in enumerate(values):
        name(goal, f"/goals/{index}")
        if goal in values[:index]:
            raise InvalidField("stands there twice", pointer=f"/goals/{index}")
    return tuple(values)


def currency(value: str, pointer: str) -> str:
    """An active currency of ISO 4217."""
    if value not in CURRENCY_DIGITS:
        raise InvalidField("is no active ISO 4217 currency code", pointer=pointer)
    return value


def amount_minor(value: int, pointer: str) -> int:
    """A positive whole number of smallest units that our sums have room for."""
    if isinstance(value, bool) or not 0 < value <= AMOUNT_MINOR_MAX:
        raise InvalidField(f"must be 1 to {AMOUNT_MINOR_MAX} minor units", pointer=pointer)
    return value


def landing_url(value: str | None, pointer: str) -> str | None:
    """Where a link leads: an absolute http or https address, without a user in it."""
    if value is None:
        return None
    problem = InvalidField("must be an absolute http or https address", pointer=pointer)
    if len(value) > URL_LENGTH_MAX or not _URL_CHARACTERS.fullmatch(value):
        raise problem
    try:
        parts = urlsplit(value)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise problem from error
    # A backslash or a user part makes browsers and people read another host than we do.
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc or "\\" in value:
        raise problem
    return value


def code(value: str, pointer: str) -> str:
    """A referral code, fit for the end of a link."""
    if not _CODE.fullmatch(value):
        raise InvalidField("must be 2 to 64 letters, digits, _ or -", pointer=pointer)
    return value


def email(value: str | None, pointer: str) -> str | None:
    """Something that could be an address; only a mail to it would prove that it is one."""
    if value is not None and (len(value) > 254 or not _EMAIL.fullmatch(value)):
        raise InvalidField("must look like an email address", pointer=pointer)
    return value


def locale(value: str | None, pointer: str) -> str | None:
    """The shape of a language tag: a language, perhaps a script, a region (BCP 47). Not that we have it."""
    if value is not None and not _LOCALE.fullmatch(value):
        raise InvalidField("must be a language tag as de or de-AT (BCP 47)", pointer=pointer)
    return value


def country(value: str | None, pointer: str) -> str | None:
    """The shape of an ISO 3166 alpha-2 code."""
    if value is not None and not _COUNTRY.fullmatch(value):
        raise InvalidField("must be two capital letters (ISO 3166 alpha-2)", pointer=pointer)
    return value


def destination(provider: str, value: str) -> str:
    """An account of a provider that we can pay through."""
    pattern = _DESTINATIONS.get(provider)
    if pattern is None:
        raise InvalidField(f"must be one of: {', '.join(_DESTINATIONS)}", pointer="/provider")
    if not pattern.fullmatch(value):
        raise InvalidField(f"is no account of {provider} (acct_…)", pointer="/destination")
    return value


def transfer_id(value: str | None, pointer: str) -> str | None:
    """The provider's id of a transfer, which may be left out."""
    if value is not None and not _TRANSFER.fullmatch(value):
        raise InvalidField("is no id of a transfer (tr_…)", pointer=pointer)
    return value


def shares(values: Sequence[tuple[UUID, int]]) -> None:
    """Parts of a whole, each of another partner: they sum to 10,000 basis points, or there are none."""
    if len(values) > SHARES_MAX:
        raise InvalidField(f"must be {SHARES_MAX} shares at the most", pointer="/shares")
    partners = [partner for partner, _ in values]
    for index, (partner, share_bps) in enumerate(values):
        if not 0 < share_bps <= FULL_SHARE_BPS:
            raise InvalidField(f"must be 1 to {FULL_SHARE_BPS}", pointer=f"/shares/{index}/share_bps")
        if partner in partners[:index]:
            raise InvalidField("has a share already", pointer=f"/shares/{index}/partner_id")
    if values and sum(share_bps for _, share_bps in values) != FULL_SHARE_BPS:
        raise InvalidField(f"must sum to {FULL_SHARE_BPS}", pointer="/shares")


def effective_at(value: datetime, now: datetime, pointer: str = "/effective_at") -> datetime:
    """When something was true, in UTC: never later than now, but for clocks that differ a little."""
    utc = moment(value, pointer)
    if utc > now + CLOCK_SKEW:
        raise EffectiveTimeInFuture(f"{utc.isoformat()} is later than now", pointer=pointer)
    return utc


def holds_from(value: datetime, now: datetime, pointer: str = "/effective_at") -> datetime:
    """From when something that was agreed holds, in UTC: terms and agreements may be made in advance."""
    utc = moment(value, pointer)
    if utc > now + PLANNED_MAX:
        raise EffectiveTimeInFuture(f"{utc.isoformat()} is too far in the future", pointer=pointer)
    return utc


def moment(value: datetime, pointer: str) -> datetime:
    """A time with its zone, not before 1970, in UTC."""
    if value.tzinfo is None:
        raise InvalidField("must have a time zone", pointer=pointer)
    if value < EARLIEST:
        raise InvalidField(f"must not be before {EARLIEST:%Y-%m-%d}", pointer=pointer)
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise InvalidField("is out of range", pointer=pointer) from error
