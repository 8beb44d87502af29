"""What a webhook says, in our words: which kind of event, about what, of whose account. Pure."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import msgspec

Style = Literal["snapshot", "thin"]
SNAPSHOT: Final = "event"
THIN: Final = "v2.core.event"
_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")]


class NoEvent(ValueError):
    """The body is signed, but is no event as the provider writes them."""


class ProviderEvent(msgspec.Struct, frozen=True):
    """One event. `account` is the connected account in which it happened; None: our own.

    `object_id` names what the event is about, at the time at which it was written: what is true now is asked.
    """

    event_id: str
    kind: str
    style: Style
    object_id: str | None
    account: str | None
    livemode: bool
    created_at: datetime


class _Named(msgspec.Struct, frozen=True):
    id: _Word | None = None


class _Data(msgspec.Struct, frozen=True):
    object: _Named


class _Snapshot(msgspec.Struct, frozen=True):
    """As much of a v1 event as is read."""

    id: _Word
    type: _Word
    created: Annotated[int, msgspec.Meta(ge=0, le=2**40)]
    livemode: bool
    data: _Data
    account: _Word | None = None
    context: _Word | None = None


class _Thin(msgspec.Struct, frozen=True):
    """As much of a v2 event as is read."""

    id: _Word
    type: _Word
    created: Annotated[datetime, msgspec.Meta(tz=True)]
    livemode: bool
    related_object: _Named | None = None
    context: _Word | None = None


def read(content: dict[str, Any]) -> ProviderEvent:
    """The event of a decoded body. Raises NoEvent."""
    try:
        if content.get("object") == THIN:
            return _thin(msgspec.convert(content, _Thin))
        if content.get("object") == SNAPSHOT:
            return _snapshot(msgspec.convert(content, _Snapshot))
    except (msgspec.ValidationError, OverflowError) as error:
        raise NoEvent(str(error)) from error
    raise NoEvent(f"its `object` is neither {SNAPSHOT} nor {THIN}")


def _snapshot(event: _Snapshot) -> ProviderEvent:
    created_at = datetime.fromtimestamp(event.created, UTC)
    account = event.account or event.context
    about = event.data.object.id
    return ProviderEvent(event.id, event.type, "snapshot", about, account, event.livemode, created_at)


def _thin(event: _Thin) -> ProviderEvent:
    about = event.related_object.id if event.related_object is not None else None
    created_at = event.created.astimezone(UTC)
    return ProviderEvent(event.id, event.type, "thin", about, event.context, event.livemode, created_at)


SubjectKind = Literal["account", "deliveries", "transfer"]


class Subject(msgspec.Struct, frozen=True):
    """What an event is a hint to look at: an account, its payouts to the bank, or a transfer, by its id."""

    kind: SubjectKind
    id: str


_OF_ACCOUNTS: Final = ("account.", "capability.", "person.", "v2.core.account")


def subject(event: ProviderEvent) -> Subject | None:
    """What to look at after an event; None: nothing of ours. Thin events of v1 things are named `v1.…`."""
    kind = event.kind.removeprefix("v1.")
    if kind.startswith(_OF_ACCOUNTS):
        named = [one for one in (event.account, event.object_id) if one and one.startswith("acct_")]
        return Subject("account", named[0]) if named else None
    if kind.startswith("payout.") and event.account is not None:
        return Subject("deliveries", event.account)
    if kind.startswith("transfer.") and event.object_id is not None:
        return Subject("transfer", event.object_id)
    return None
