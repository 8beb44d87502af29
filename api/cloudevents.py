"""CloudEvents 1.0 in: structured, binary and batched, each turned into an item of the conversions path.

`type` is `revshare.conversion.<kind>`; `source` is the item's source; `id` its external_id (of a
refund its refund_id, of a dispute that opens its dispute_id) and `time` its effective_at, where `data`
has none of its own.
"""

import base64
import binascii
from collections.abc import Callable
from typing import Any, Final, Literal
from urllib.parse import unquote

import msgspec

from ledger.intake import (
    BATCH_ITEMS_MAX,
    Item,
    ItemProblem,
    Problem,
    TooManyItems,
    Unreadable,
    check_names,
    convert_item,
    problem_of,
)

STRUCTURED: Final = "application/cloudevents+json"
BATCHED: Final = "application/cloudevents-batch+json"
TYPE_PREFIX: Final = "revshare.conversion."
_ID_FIELD: Final = {"refund": "refund_id", "dispute_opened": "dispute_id"}
_OWN_ID: Final = frozenset({"signup", "sale", "renewal", "usage", "milestone"})


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event's attributes; extensions are passed over, as the specification wants."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    time: str | None = None
    datacontenttype: str | None = None
    data: Any = None
    data_base64: str | None = None


_decoder: Final = msgspec.json.Decoder(Event)
_raw_events: Final = msgspec.json.Decoder(list[msgspec.Raw])


def decode_structured(body: bytes | memoryview | msgspec.Raw) -> Item:
    """The item of one event in JSON."""
    try:
        event = _decoder.decode(body)
        check_names(bytes(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return ItemProblem(problem_of(error))
    return to_item(event)


def decode_batched(body: bytes) -> list[Item]:
    """The items of a JSON array of events. Refuses what is no array, or is too long."""
    try:
        raw = _raw_events.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(f"the body is no JSON array: {error}") from None
    if len(raw) > BATCH_ITEMS_MAX:
        raise TooManyItems(f"{len(raw)} items; one request may hold {BATCH_ITEMS_MAX}")
    return [decode_structured(event) for event in raw]


def decode_binary(header: Callable[[str], str | None], media_type: str, body: bytes) -> Item:
    """The item of an event whose attributes are headers (`ce-id` …) and whose body is its data."""
    names = ("specversion", "id", "source", "type", "time")
    attributes: dict[str, Any] = {
        name: unquote(value) for name in names if (value := header(f"ce-{name}")) is not None
    }
    try:
        data = _decoded(body) if body.strip() else None
        event = msgspec.convert({**attributes, "datacontenttype": media_type, "data": data}, Event)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return ItemProblem(problem_of(error))
    return to_item(event)


def _decoded(body: bytes) -> Any:
    data = msgspec.json.decode(body)
    check_names(body)
    return data


def to_item(event: Event) -> Item:
    """The item that an event stands for."""
    for name in ("id", "source"):
        if not getattr(event, name):
            return _wrong(f"the event's {name} is empty", f"/{name}")
    kind = event.type.removeprefix(TYPE_PREFIX)
    if kind == event.type:
        return _wrong(f"the event's type must begin with {TYPE_PREFIX}", "/type")
    data = _data(event)
    if isinstance(data, ItemProblem):
        return data
    if data.get("kind", kind) != kind:
        return _wrong(f"the data's kind is not that of the event's type ({kind})", "/data/kind")
    told = {"kind": (kind, "/type"), "source": (event.source, "/source")}
    id_field = "external_id" if kind in _OWN_ID else _ID_FIELD.get(kind)
    if id_field is not None:
        told[id_field] = (event.id, "/id")
    if event.time is not None:
        told["effective_at"] = (event.time, "/time")
    item = convert_item({name: value for name, (value, _) in told.items()} | data | {"kind": kind})
    if isinstance(item, ItemProblem):
        name = item.problem.pointer.removeprefix("/")
        lent = name in told and (name not in data or name == "kind")
        pointer = told[name][1] if lent else f"/data{item.problem.pointer}"
        return ItemProblem(msgspec.structs.replace(item.problem, pointer=pointer))
    return item


def _data(event: Event) -> dict[str, Any] | ItemProblem:
    kind = (event.datacontenttype or "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        return _wrong("the event's data must be JSON", "/datacontenttype")
    data = event.data
    if event.data_base64 is not None:
        if data is not None:
            return _wrong("an event has data or data_base64, not both", "/data_base64")
        try:
            data = _decoded(base64.b64decode(event.data_base64, validate=True))
        except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError):
            return _wrong("is no JSON in base64", "/data_base64")
    if data is None:
        return {}
    return data if isinstance(data, dict) else _wrong("the event's data must be an object", "/data")


def _wrong(detail: str, pointer: str) -> ItemProblem:
    return ItemProblem(Problem("InvalidField", detail, pointer))
