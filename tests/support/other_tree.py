"""An RFC 6962 tree that is not ours checks our proofs: pymerkle, run as a program (GPL), never imported."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

_BEGIN = """
import json, sys
from pymerkle import InclusionProof, InmemoryTree, InvalidProof
asked = json.load(sys.stdin)
tree = InmemoryTree(algorithm="sha256")
for entry in asked["entries"]:
    tree.append_entry(bytes.fromhex(entry))
refused = []
for place, ours in enumerate(asked["proofs"]):
    try:
"""
_INCLUSION = """
        index, size, root = ours["index"] + 1, ours["size"], bytes.fromhex(ours["root"])
        leaf = tree.get_leaf(index)
        theirs = tree.prove_inclusion(index, size).serialize()
        proof = InclusionProof.deserialize(theirs | {"path": [leaf.hex(), *ours["path"]]})
        proof.verify(leaf, root, index=index, size=size)
"""
# Its proofs go down to a leaf where RFC 9162 ends with the subtree behind the older tree: the hashes below it
# (those at the beginning that are not of the older tree) are folded first. A tree whose size is a power of
# two is no part of a proof there, since whoever asks has its root.
_CONSISTENCY = """
        old, new = ours["old"], ours["new"]
        proof = tree.prove_consistency(old, new)
        roots = bytes.fromhex(ours["old_root"]), bytes.fromhex(ours["new_root"])
        proof.verify(*roots, prior_size=old, later_size=new)
        below = proof.subset.index(1)
        behind = proof.path[0] if below else None
        for digest in proof.path[1:below]:
            behind = tree.hash_pair(behind, digest)
        path = [] if behind is None else [behind]
        if sum(proof.subset) > 1:
            path.insert(0, proof.path[below])
        path += proof.path[below + 1 :]
        if [digest.hex() for digest in path] != ours["path"]:
            raise InvalidProof("another path")
"""
_END = """
    except InvalidProof:
        refused.append(place)
json.dump(refused, sys.stdout)
"""


def refused(entries: Sequence[bytes], proofs: Sequence[dict[str, Any]]) -> list[int]:
    """Which inclusion proofs it does not accept, of the tree that it makes of these entries itself."""
    return _run(_INCLUSION, entries, proofs)


def refused_consistency(entries: Sequence[bytes], proofs: Sequence[dict[str, Any]]) -> list[int]:
    """Which consistency proofs are not those that it makes, and finds to hold between the same two roots."""
    return _run(_CONSISTENCY, entries, proofs)


def _run(program: str, entries: Sequence[bytes], proofs: Sequence[dict[str, Any]]) -> list[int]:
    done = subprocess.run(
        [sys.executable, "-c", _BEGIN + program + _END],
        input=json.dumps({"entries": [entry.hex() for entry in entries], "proofs": list(proofs)}),
        capture_output=True,
        text=True,
        check=True,
    )
    return list(json.loads(done.stdout))
