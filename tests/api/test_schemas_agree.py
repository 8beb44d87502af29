"""On the conversions path the msgspec decode and the marshmallow schema accept and refuse the same."""

import json
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from api.schemas.conversions import KINDS, NewConversionSchema
from ledger.intake import ItemProblem, decode_item

SCHEMA = NewConversionSchema()
PROGRAM = "9e0c2b1c-5a1f-5d0e-8b3a-0f6f0f6b2a11"
SALE: dict[str, Any] = {
    "kind": "sale",
    "program_id": PROGRAM,
    "source": "shop",
    "external_id": "1",
    "customer": "C",
    "amount_minor": 1,
    "currency": "GBP",
    "effective_at": "2026-01-01T00:00:00Z",
}
CANCELLATION: dict[str, Any] = {
    "kind": "cancellation",
    **{name: SALE[name] for name in ("program_id", "source", "external_id", "effective_at")},
}

# No half surrogate pairs: no JSON in UTF-8 holds one.
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
names = words | st.sampled_from(
    ["shop", "x" * 200, "x" * 201, "a\u0000b", "a\nb", "\u007f", "é", "\u2028", " "]
)
integers = st.integers() | st.sampled_from([0, 1, -1, 10**12, 10**12 + 1, 2**63, 2**64, 10**30])
numbers = integers | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([265.0, 1e15, -0.0])
times = st.sampled_from(
    [
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01 00:00:00Z",
        "2026-01-01T00:00:00.123456789+05:30",
        "2026-01-01T00:00:00+0530",
        "2026-01-01T00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2024-02-29T23:59:60Z",
        "0001-01-01T00:00:00+14:00",
        "2026-01-01",
        "now",
        "",
    ]
)
ids = st.sampled_from([PROGRAM, PROGRAM.replace("-", ""), PROGRAM.upper(), "{" + PROGRAM + "}", "acme", ""])
currencies = st.sampled_from(["GBP", "gbp", "GB", "GBPP", "GBP\n", "XXX", "", "ÄÖÜ"])
anything = st.recursive(
    st.none() | st.booleans() | numbers | names | times,
    lambda below: st.lists(below, max_size=2) | st.dictionaries(words, below, max_size=2),
    max_leaves=3,
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "kind": st.sampled_from([*KINDS, "theft", "SALE", ""]),
    "program_id": ids,
    "source": names,
    "external_id": names,
    "customer": names,
    "amount_minor": numbers,
    "currency": currencies,
    "effective_at": times,
    "product": names | st.none(),
    "refund_id": names,
    "dispute_id": names,
    "reason": names | st.none() | st.sampled_from(["x" * 1_000, "x" * 1_001]),
}
RIGHT: dict[str, Any] = {**SALE, "product": None, "refund_id": "r", "dispute_id": "d", "reason": "why"}


@st.composite
def items(draw: st.DrawFn) -> Any:
    """Near an item of some kind: the right fields, then a few of them wrong, missing or too many."""
    kind = draw(st.sampled_from(list(KINDS)))
    item = {name: RIGHT[name] for name in KINDS[kind].fields} | {"kind": kind}
    for name in draw(st.lists(st.sampled_from(list(FIELDS)), max_size=3, unique=True)):
        match draw(st.sampled_from(["change", "change", "anything", "remove"])):
            case "change":
                item[name] = draw(FIELDS[name])
            case "anything":
                item[name] = draw(anything)
            case _:
                item.pop(name, None)
    if draw(st.integers(0, 9)) == 0:
        item[draw(words)] = draw(anything)
    return item


@settings(max_examples=1_500, deadline=None)
@given(items() | anything)
@example({**SALE, "amount_minor": 265.0})
@example({**SALE, "amount_minor": True})
@example({**SALE, "amount_minor": 10**30})
@example({**SALE, "effective_at": "2026-01-01T00:00:00"})
@example({**SALE, "effective_at": "0001-01-01T00:00:00+14:00"})
@example({**SALE, "effective_at": "9999-12-31T23:00:00-14:00"})
@example({**SALE, "effective_at": "9999-12-31T23:00:00+14:00"})
@example({**SALE, "customer": "a\u0001"})
@example({**SALE, "currency": "GBP\n"})
@example({**CANCELLATION, "reason": "a\u0007"})
@example({**CANCELLATION, "reason": "a\nb"})
@example({**SALE, "kind": "signup", "amount_minor": None})
@example({name: value for name, value in SALE.items() if name != "kind"})
def test_both_accept_and_refuse_the_same(item):
    """What one takes the other takes, with the same values; what one refuses the other refuses."""
    decoded = decode_item(json.dumps(item).encode())
    try:
        loaded, refused = SCHEMA.load(item), None
    except ValidationError as error:
        loaded, refused = None, error.messages

    assert isinstance(decoded, ItemProblem) == (refused is not None), (decoded, refused)
    if isinstance(decoded, ItemProblem):
        return
    told = msgspec.structs.asdict(decoded)
    assert {"kind": decoded.__struct_config__.tag, **told} == loaded
