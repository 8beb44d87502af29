"""A name that stands twice in a conversion's JSON is seen, however many texts the rest of it has."""

import json
from typing import Any
from uuid import uuid4

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ledger.intake import ItemProblem, decode_item

NEEDED = {
    "program_id": str(uuid4()),
    "source": "shop",
    "external_id": "INV-1",
    "customer": "C-1",
    "currency": "GBP",
    "effective_at": "2026-03-01T08:26:00Z",
}
KINDS = ("sale", "renewal", "usage", "signup", "milestone")
TEXTS = st.sampled_from(["shop", "product", "amount_minor", '"product":null', "a: b", "null"])
MORE: st.SearchStrategy[tuple[str, Any]] = st.one_of(
    st.tuples(st.just("product"), st.none() | TEXTS),
    st.tuples(st.just("amount_minor"), st.integers(1, 5)),
    st.tuples(st.sampled_from(["source", "external_id", "customer"]), TEXTS),
)


@settings(deadline=None)
@example(kind="sale", texts=["a", "b", "c"], more=[("product", "P"), ("amount_minor", 1)], compact=True)
@example(kind="sale", texts=["product", "b", "c"], more=[("amount_minor", 1)], compact=True)
@given(
    kind=st.sampled_from(KINDS),
    texts=st.lists(TEXTS, min_size=3, max_size=3),
    more=st.lists(MORE, max_size=4),
    compact=st.booleans(),
)
def test_a_name_that_stands_twice_is_seen(kind, texts, more, compact):
    """Whoever counts quotes only must not be led astray by what the texts say."""
    needed = NEEDED | dict(zip(("source", "external_id", "customer"), texts, strict=True))
    pairs = [("kind", kind), *needed.items(), ("amount_minor", 7), *more]
    colon = ":" if compact else " : "
    body = "{" + ",".join(json.dumps(name) + colon + json.dumps(value) for name, value in pairs) + "}"

    found = decode_item(body.encode())

    names = [name for name, _ in pairs]
    twice = len(set(names)) != len(names)
    assert isinstance(found, ItemProblem) == twice
    if isinstance(found, ItemProblem):
        assert "stands there twice" in found.problem.detail
