"""The canonical bytes of a fact with its legs: what the Merkle tree holds of it (docs/audit-log.md).

An entry names the fact's words by their hash, so it can be shown to anybody: only whoever has the words can
tell that they are meant.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from struct import Struct
from typing import Final
from uuid import UUID

from ledger.postings import Leg

MAGIC: Final = b"revshare entry v1\n"
_HEAD: Final = Struct(">Q16sQ").pack  # position, stream, version in the stream
_SHORT: Final = Struct(">H").pack
_STATE: Final = Struct(">I").pack
_LEG: Final = Struct(">q16s16sI").pack  # amount, program, partner, posting version


def entry(
    position: int, stream_id: UUID, version: int, topic: str, state: bytes, legs: Sequence[tuple[int, Leg]]
) -> bytes:
    """The entry of a stored fact and its legs (posting version, leg), in the order of the posting rule."""
    packed = [leg_bytes(posting_version, leg) for posting_version, leg in legs]
    return joined(
        head_of(position, stream_id.bytes, version), text_of(topic.encode()), state, legs_of(packed)
    )


def joined(head: bytes, topic: bytes, state: bytes, legs: bytes) -> bytes:
    """An entry of its parts as `head_of`, `text_of` and `legs_of` make them, and the stored words."""
    return b"".join((MAGIC, head, topic, _STATE(len(state)), sha256(state).digest(), legs))


def leaf_hashes(parts: Iterable[tuple[bytes, bytes, bytes, bytes]]) -> list[bytes]:
    """The leaves' hashes of many entries, each of the parts that `joined` takes, without a call for each."""
    sha, length, begin = sha256, _STATE, b"\x00" + MAGIC
    return [
        sha(begin + head + topic + length(len(state)) + sha(state).digest() + legs).digest()
        for head, topic, state, legs in parts
    ]


def head_of(position: int, stream: bytes, version: int) -> bytes:
    """Where the fact stands: in the log, and in its stream."""
    return _HEAD(position, stream, version)


def text_of(encoded: bytes) -> bytes:
    """A text: its length, then its bytes."""
    return _SHORT(len(encoded)) + encoded


def legs_of(packed: Sequence[bytes]) -> bytes:
    """The legs, each as `leg_bytes` makes it: their number, then they."""
    return _SHORT(len(packed)) + b"".join(packed)


def leg_bytes(posting_version: int, leg: Leg) -> bytes:
    """One leg."""
    numbers = _LEG(leg.amount_minor, leg.program_id.bytes, leg.partner_id.bytes, posting_version)
    return text_of(leg.account.encode()) + text_of(leg.currency.encode()) + numbers
