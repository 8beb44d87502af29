"""Schemas of the audit log: checkpoints, proofs, and who may check them."""

from marshmallow import fields, validate

from api.schemas.fields import PageQuery, QueryWhole, Strict, Text, Time, Whole

_whole = validate.Range(min=0, max=2**63 - 1)


class CheckpointSchema(Strict):
    """A signed head of the tree. `note` is what was signed, with every signature below it."""

    size = Whole(required=True, metadata={"description": "How many facts it covers."})
    position = Whole(required=True, metadata={"description": "Where the last of them stands in the log."})
    root = Text(required=True, metadata={"description": "Root of the Merkle tree (RFC 9162), base64."})
    cause = Text(required=True, metadata={"description": "Why it was signed then."})
    made_at = Time(required=True)
    note = Text(required=True, metadata={"description": "c2sp.org/tlog-checkpoint."})


class CheckpointQuery(PageQuery):
    """Which checkpoints."""


class InclusionQuery(Strict):
    """Which fact, in which tree."""

    position = QueryWhole(required=True, validate=_whole)
    size = QueryWhole(
        load_default=None,
        validate=_whole,
        metadata={"description": "Default: the oldest checkpoint that covers it."},
    )


class ConsistencyQuery(Strict):
    """From which tree to which."""

    old = QueryWhole(required=True, validate=_whole)
    new = QueryWhole(
        load_default=None, validate=_whole, metadata={"description": "Default: the newest checkpoint."}
    )


class InclusionSchema(Strict):
    """That a fact is a leaf of a checkpoint's tree (RFC 9162, 2.1.3)."""

    position = Whole(required=True)
    index = Whole(required=True)
    size = Whole(required=True)
    entry = Text(required=True, metadata={"description": "The leaf's bytes (docs/audit-log.md), base64."})
    proof = fields.List(Text(), required=True, metadata={"description": "Hashes from the leaf up, base64."})
    checkpoint = Text(required=True, metadata={"description": "The signed note of that tree."})


class ConsistencySchema(Strict):
    """That a tree is the beginning of a later one (RFC 9162, 2.1.4)."""

    old = Whole(required=True)
    new = Whole(required=True)
    proof = fields.List(Text(), required=True, metadata={"description": "Hashes, base64."})
    checkpoint = Text(required=True, metadata={"description": "The signed note of the later tree."})


class AuditKeySchema(Strict):
    """Who signs: keep it where nobody of ours can change it."""

    origin = Text(required=True)
    verifier_key = Text(required=True, metadata={"description": "c2sp.org/signed-note: name+id+key."})
    witnesses = fields.List(Text(), required=True)


class CosignatureSchema(Strict):
    """A witness's line below a checkpoint (c2sp.org/tlog-cosignature)."""

    line = Text(required=True, validate=validate.Length(1, 1_000))
