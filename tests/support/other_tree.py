"""An RFC 6962 tree that is not ours checks our proofs: pymerkle, run as a program (GPL), never imported."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

_PROGRAM = """
import json, sys
from pymerkle import InclusionProof, InmemoryTree, InvalidProof
asked = json.load(sys.stdin)
tree = InmemoryTree(algorithm="sha256")
for entry in asked["entries"]:
    tree.append_entry(bytes.fromhex(entry))
refused = []
for place, ours in enumerate(asked["proofs"]):
    index, size, root = ours["index"] + 1, ours["size"], bytes.fromhex(ours["root"])
    leaf = tree.get_leaf(index)
    theirs = tree.prove_inclusion(index, size).serialize()
    proof = InclusionProof.deserialize(theirs | {"path": [leaf.hex(), *ours["path"]]})
    try:
        proof.verify(leaf, root, index=index, size=size)
    except InvalidProof:
        refused.append(place)
json.dump(refused, sys.stdout)
"""


def refused(entries: Sequence[bytes], proofs: Sequence[dict[str, Any]]) -> list[int]:
    """Which inclusion proofs it does not accept, of the tree that it makes of these entries itself."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        input=json.dumps({"entries": [entry.hex() for entry in entries], "proofs": list(proofs)}),
        capture_output=True,
        text=True,
        check=True,
    )
    return list(json.loads(done.stdout))
