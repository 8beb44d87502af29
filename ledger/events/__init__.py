"""Facts, in the past tense. A stored type never moves, is never renamed, never changes shape in place.

A new shape is a new `version` with an upcast in `ledger.store.upcasts`; tests/fixtures/events keeps a
stored example of every type and version that ever shipped.
"""
