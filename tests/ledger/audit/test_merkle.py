"""The Merkle tree against published vectors, an implementation that isn't ours, and single broken bytes."""

import hashlib
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.audit import merkle
from ledger.audit.merkle import TreeTooSmall
from tests.support import other_tree

SIZES = (1, 2, 3, 7, 8, 255, 256, 257, 511, 512, 700, 65_535, 65_536, 65_537, 70_000)
LEAVES = [merkle.leaf_hash(str(number).encode()) for number in range(SIZES[-1])]


class Tree:
    """Tiles in memory, grown leaf by leaf or in batches."""

    def __init__(self) -> None:
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.size = 0

    def grow(self, leaves: Sequence[bytes]) -> None:
        rims = [
            self.tiles[level, index] if width else b""
            for level, (index, width) in enumerate(merkle.rim_places(self.size))
        ]
        self.tiles |= merkle.grow(rims, self.size, leaves)
        self.size += len(leaves)

    def read(self, level: int, index: int) -> bytes:
        return self.tiles.get((level, index), b"")


def tree_of(leaves: Sequence[bytes]) -> Tree:
    tree = Tree()
    tree.grow(leaves)
    return tree


WHOLE = tree_of(LEAVES)


@pytest.mark.parametrize("size", SIZES)
def test_the_root_of_any_size_is_that_over_its_leaves(size):
    assert merkle.root(WHOLE.read, size) == merkle.root_of(LEAVES[:size])


def test_the_empty_tree_has_the_root_of_nothing():
    assert merkle.root(Tree().read, 0).hex() == hashlib.sha256().hexdigest()


@given(st.lists(st.integers(1, 700), min_size=1, max_size=5))
def test_leaves_that_come_in_any_batches_make_the_same_tiles(batches):
    tree = Tree()
    for count in batches:
        tree.grow(LEAVES[tree.size : tree.size + count])

    assert tree.tiles == tree_of(LEAVES[: sum(batches)]).tiles


def test_a_tree_of_seventy_thousand_has_the_tiles_that_tlog_tiles_says():
    """The example of c2sp.org/tlog-tiles: 273 full tiles and one of 112, one full and one of 17, one of 1."""
    widths = sorted((level, len(hashes) // 32) for (level, _), hashes in WHOLE.tiles.items())

    assert widths == sorted([*[(0, 256)] * 273, (0, 112), (1, 256), (1, 17), (2, 1)])


# The tree that the first implementation of RFC 6962 is tested with (google/certificate-transparency).
REFERENCE_LEAVES = (
    *("", "00", "10", "2021", "3031", "40414243", "5051525354555657"),
    "606162636465666768696a6b6c6d6e6f",
)
REFERENCE_ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
REFERENCE_CONSISTENCY = {
    (6, 8): (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 5): (
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
}


def test_the_reference_tree_has_its_published_roots_and_proofs():
    tree = tree_of([merkle.leaf_hash(bytes.fromhex(leaf)) for leaf in REFERENCE_LEAVES])

    roots = [merkle.root(tree.read, size).hex() for size in range(1, 9)]
    assert roots == list(REFERENCE_ROOTS)
    for (old, new), proof in REFERENCE_CONSISTENCY.items():
        assert [each.hex() for each in merkle.consistency_proof(tree.read, old, new)] == list(proof)


def test_another_implementation_makes_the_same_roots_and_inclusion_proofs_and_accepts_ours():
    """pymerkle, as a program of its own: it is GPL, and no part of this one."""
    sizes = [*range(1, 40), 255, 256, 257, 300]
    asked = [(index, size) for size in sizes for index in sorted({0, size // 3, size // 2, size - 1})]
    ours = [
        {
            "index": index,
            "size": size,
            "root": merkle.root(WHOLE.read, size).hex(),
            "path": [each.hex() for each in merkle.inclusion_proof(WHOLE.read, index, size)],
        }
        for index, size in asked
    ]

    assert other_tree.refused([str(number).encode() for number in range(300)], ours) == []

    broken = [proof | {"root": ours[0]["root"]} for proof in ours[1:]]
    assert len(other_tree.refused([str(number).encode() for number in range(300)], broken)) == len(broken)


def test_another_implementation_makes_the_same_consistency_proofs():
    """Between sizes of every shape: powers of two, one more, one less, and a tree with itself."""
    sizes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 32, 33, 100, 127, 128, 255, 256, 257, 300]
    ours: list[dict[str, Any]] = [
        {
            "old": old,
            "new": new,
            "old_root": merkle.root(WHOLE.read, old).hex(),
            "new_root": merkle.root(WHOLE.read, new).hex(),
            "path": [each.hex() for each in merkle.consistency_proof(WHOLE.read, old, new)],
        }
        for old in sizes
        for new in sizes
        if old <= new
    ]
    entries = [str(number).encode() for number in range(300)]

    assert other_tree.refused_consistency(entries, ours) == []

    proven = [proof for proof in ours if len(proof["path"]) > 1]
    for wrong in (
        [proof | {"path": proof["path"][::-1]} for proof in proven],
        [proof | {"path": proof["path"][:-1]} for proof in proven],
        [proof | {"old_root": proof["new_root"]} for proof in proven],
    ):
        assert len(other_tree.refused_consistency(entries, wrong)) == len(proven) > 100


@given(st.data())
def test_a_tree_is_proven_to_begin_with_an_older_one(data):
    new = data.draw(st.integers(1, 70_000))
    old = data.draw(st.integers(1, new))

    proof = merkle.consistency_proof(WHOLE.read, old, new)

    assert merkle.consistent(old, new, merkle.root(WHOLE.read, old), merkle.root(WHOLE.read, new), proof)


@given(st.data())
def test_a_leaf_is_proven_to_be_included(data):
    size = data.draw(st.integers(1, 70_000))
    index = data.draw(st.integers(0, size - 1))

    proof = merkle.inclusion_proof(WHOLE.read, index, size)

    assert merkle.included(LEAVES[index], index, size, proof, merkle.root(WHOLE.read, size))


class TestBroken:
    """No proof holds once anything about it is another."""

    @given(st.data())
    def test_an_inclusion_proof_with_one_broken_byte(self, data):
        size = data.draw(st.integers(2, 70_000))
        index = data.draw(st.integers(0, size - 1))
        root = merkle.root(WHOLE.read, size)
        proof = merkle.inclusion_proof(WHOLE.read, index, size)
        broken = _broken(data, proof)

        assert not merkle.included(LEAVES[index], index, size, broken, root)
        assert not merkle.included(LEAVES[index - 1], index, size, proof, root)
        assert not merkle.included(LEAVES[index], index, size, proof[:-1], root)
        assert not merkle.included(LEAVES[index], index, size, [*proof, proof[0]], root)
        assert not merkle.included(LEAVES[index], size, size, proof, root)

    @given(st.data())
    def test_a_consistency_proof_with_one_broken_byte(self, data):
        new = data.draw(st.integers(2, 70_000))
        old = data.draw(st.integers(1, new - 1))
        old_root, new_root = merkle.root(WHOLE.read, old), merkle.root(WHOLE.read, new)
        proof = merkle.consistency_proof(WHOLE.read, old, new)
        assert merkle.consistent(old, new, old_root, new_root, proof)

        assert not merkle.consistent(old, new, old_root, new_root, _broken(data, proof))
        assert not merkle.consistent(old, new, new_root, new_root, proof)
        assert not merkle.consistent(old, new, old_root, old_root, proof)
        assert not merkle.consistent(old, new, old_root, new_root, proof[:-1])
        assert not merkle.consistent(old, new, old_root, new_root, [*proof, old_root])

    def test_what_the_tiles_do_not_hold_is_named(self):
        with pytest.raises(TreeTooSmall, match="holds 112 hashes"):
            merkle.root(WHOLE.read, 70_001)
        with pytest.raises(TreeTooSmall):
            merkle.inclusion_proof(WHOLE.read, 5, 5)
        with pytest.raises(TreeTooSmall):
            merkle.consistency_proof(WHOLE.read, 6, 5)
        assert not merkle.consistent(0, 5, merkle.EMPTY_ROOT, merkle.root(WHOLE.read, 5), [])
        assert not merkle.consistent(4, 5, WHOLE.tiles[2, 0], WHOLE.tiles[2, 0], [])


def _broken(data, proof):
    at = data.draw(st.integers(0, len(proof) * 32 - 1))
    raw = bytearray(b"".join(proof))
    raw[at] ^= data.draw(st.integers(1, 255))
    return [bytes(raw[start : start + 32]) for start in range(0, len(raw), 32)]
