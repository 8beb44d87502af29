"""The canonical bytes of a fact with its legs: what the Merkle tree holds of it (docs/audit-log.md).

An entry names the fact's words by their hash, so it can be shown to anybody: only whoever has the words can
tell that they are meant.
"""

from collections.abc import Sequence
from hashlib import sha256
from struct import Struct
from typing import Final
from uuid import UUID

from ledger.postings import Leg

MAGIC: Final = b"revshare entry v1\n"
BYTES_MAX: Final = 65_535
"""What a bundle of tlog-tiles can hold of one entry."""
_HEAD: Final = Struct(">Q16sQ").pack  # position, stream, version in the stream
_SHORT: Final = Struct(">H").pack
_STATE: Final = Struct(">I").pack
_LEG: Final = Struct(">q16s16sI").pack  # amount, program, partner, posting version


def entry(
    position: int, stream_id: UUID, version: int, topic: str, state: bytes, legs: Sequence[tuple[int, Leg]]
) -> bytes:
    """The entry of a stored fact and its legs (posting version, leg), in the order of the posting rule."""
    head = (
        MAGIC,
        _HEAD(position, stream_id.bytes, version),
        _text(topic),
        _STATE(len(state)),
        sha256(state).digest(),
        _SHORT(len(legs)),
    )
    return b"".join((*head, *(_leg(posting_version, leg) for posting_version, leg in legs)))


def _leg(posting_version: int, leg: Leg) -> bytes:
    numbers = _LEG(leg.amount_minor, leg.program_id.bytes, leg.partner_id.bytes, posting_version)
    return _text(leg.account) + _text(leg.currency) + numbers


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _SHORT(len(encoded)) + encoded
