"""The Merkle tree of RFC 6962 and RFC 9162, kept in tiles as C2SP tlog-tiles cuts it; its proofs. Pure.

A tile of level L holds up to 256 hashes, each the root of a complete subtree of 256**L leaves. All numbers
are counts of leaves, or indexes from 0.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Final

HASH_BYTES: Final = 32
TILE_HEIGHT: Final = 8
TILE_HASHES: Final = 1 << TILE_HEIGHT
EMPTY_ROOT: Final = sha256(b"").digest()

Tiles = Callable[[int, int], bytes]
"""(level, index) -> the hashes of that tile, one after the other, as far as the tree has come."""


class TreeTooSmall(LookupError):
    """The tiles do not hold what a tree of this size must have."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf (RFC 9162, 2.1.1)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node (RFC 9162, 2.1.1)."""
    return sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes that are all at hand."""
    if not hashes:
        return EMPTY_ROOT
    if len(hashes) == 1:
        return hashes[0]
    split = _split(len(hashes))
    return node_hash(root_of(hashes[:split]), root_of(hashes[split:]))


def grow(rims: Sequence[bytes], size: int, leaves: Iterable[bytes]) -> dict[tuple[int, int], bytes]:
    """The tiles that change when leaf hashes join a tree: (level, index) -> the tile's hashes.

    `rims` holds the last, unfinished tile of each level (empty where the level ends with a full one).
    """
    changed: dict[tuple[int, int], bytes] = {}
    new = list(leaves)
    level = 0
    while new:
        rim = rims[level] if level < len(rims) else b""
        index = (size >> TILE_HEIGHT * level) >> TILE_HEIGHT
        hashes = [rim, *new]
        joined = b"".join(hashes)
        full = []
        for start in range(0, len(joined), TILE_HASHES * HASH_BYTES):
            tile = joined[start : start + TILE_HASHES * HASH_BYTES]
            changed[level, index] = tile
            index += 1
            if len(tile) == TILE_HASHES * HASH_BYTES:
                full.append(complete(tile))
        new = full
        level += 1
    return changed


def rim_places(size: int) -> list[tuple[int, int]]:
    """Where the unfinished tiles of a tree stand, by level: (index, width); a width of 0 is no tile."""
    places = []
    level = 0
    while size >> TILE_HEIGHT * level:
        hashes = size >> TILE_HEIGHT * level
        places.append((hashes >> TILE_HEIGHT, hashes % TILE_HASHES))
        level += 1
    return places


def root(tiles: Tiles, size: int) -> bytes:
    """The root of the tree of the first `size` leaves. Raises TreeTooSmall."""
    return _range(tiles, 0, size) if size else EMPTY_ROOT


def inclusion_proof(tiles: Tiles, index: int, size: int) -> list[bytes]:
    """The path from a leaf to the root of the first `size` leaves (RFC 9162, 2.1.3.1)."""
    if not 0 <= index < size:
        raise TreeTooSmall(f"a tree of {size} leaves has no leaf {index}")
    return _path(tiles, index, 0, size)


def consistency_proof(tiles: Tiles, old: int, new: int) -> list[bytes]:
    """The proof that the first `old` leaves are the beginning of the first `new` (RFC 9162, 2.1.4.1)."""
    if not 0 < old <= new:
        raise TreeTooSmall(f"no tree of {old} leaves is the beginning of one of {new}")
    return _subproof(tiles, old, 0, new, whole=True)


def included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root_hash: bytes) -> bool:
    """Whether an inclusion proof holds (RFC 9162, 2.1.3.2)."""
    if index >= size:
        return False
    node, last, found = index, size - 1, leaf
    for other in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            found = node_hash(other, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, other)
        node, last = node >> 1, last >> 1
    return last == 0 and found == root_hash


def consistent(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether a consistency proof holds (RFC 9162, 2.1.4.2)."""
    if not 0 < old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    first = second = path[0]
    for other in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            first, second = node_hash(other, first), node_hash(other, second)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            second = node_hash(second, other)
        node, last = node >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


def _path(tiles: Tiles, index: int, start: int, end: int) -> list[bytes]:
    if end - start == 1:
        return []
    split = start + _split(end - start)
    if index < split:
        return [*_path(tiles, index, start, split), _range(tiles, split, end)]
    return [*_path(tiles, index, split, end), _range(tiles, start, split)]


def _subproof(tiles: Tiles, old: int, start: int, end: int, *, whole: bool) -> list[bytes]:
    """SUBPROOF(old, D[start:end], whole) of RFC 9162; `old` counts from 0, not from `start`."""
    if old == end:
        return [] if whole else [_range(tiles, start, end)]
    split = start + _split(end - start)
    if old <= split:
        return [*_subproof(tiles, old, start, split, whole=whole), _range(tiles, split, end)]
    return [*_subproof(tiles, old, split, end, whole=False), _range(tiles, start, split)]


def _range(tiles: Tiles, start: int, end: int) -> bytes:
    """MTH(D[start:end]), where `start` is a multiple of a power of two that is not less than the length."""
    length = end - start
    if length & (length - 1) == 0:
        return _node(tiles, length.bit_length() - 1, start)
    split = start + _split(length)
    return node_hash(_range(tiles, start, split), _range(tiles, split, end))


def _node(tiles: Tiles, height: int, start: int) -> bytes:
    """The root of the complete subtree of 2**height leaves from `start` on."""
    level, rest = divmod(height, TILE_HEIGHT)
    first = start >> TILE_HEIGHT * level
    tile, offset = divmod(first, TILE_HASHES)
    begin, stop = offset * HASH_BYTES, (offset + (1 << rest)) * HASH_BYTES
    hashes = tiles(level, tile)
    if len(hashes) < stop:
        raise TreeTooSmall(f"tile {tile} of level {level} holds {len(hashes) // HASH_BYTES} hashes")
    return complete(hashes[begin:stop])


def complete(hashes: bytes) -> bytes:
    """The root over a power of two of hashes, one after the other."""
    sha, step = sha256, 2 * HASH_BYTES
    while len(hashes) > HASH_BYTES:
        hashes = b"".join(
            [sha(b"\x01" + hashes[at : at + step]).digest() for at in range(0, len(hashes), step)]
        )
    return hashes


def _split(count: int) -> int:
    """The largest power of two below a count of 2 or more."""
    return 1 << (count - 1).bit_length() - 1
