"""The audit log's doors: tlog-tiles for programs, checkpoints and proofs in JSON, witnesses' signatures."""

import re
from base64 import b64encode
from typing import Any, Final

import falcon

from api.answers import send
from api.listings import Row, send_list
from api.operations import operation
from api.problems import HttpProblem
from api.schemas.audit import (
    AuditKeySchema,
    CheckpointQuery,
    CheckpointSchema,
    ConsistencyQuery,
    ConsistencySchema,
    CosignatureSchema,
    InclusionQuery,
    InclusionSchema,
)
from api.schemas.fields import page_of
from api.services import Resource
from ledger.audit import merkle
from projections import audit_log, checkpoints

CHECKPOINT = CheckpointSchema()
READ: Final = ("finance:read", "finance:approve")
TILE: Final = re.compile(
    r"(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?"
)
FOR_EVER: Final = "public, max-age=31536000, immutable"
OCTETS: Final = "application/octet-stream"
TEXT: Final = "text/plain"


class Checkpoint(Resource):
    """The newest checkpoint."""

    @operation("Get the newest checkpoint", tag="audit", produces=TEXT, problems=("not-found",))
    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """A signed note (c2sp.org/tlog-checkpoint), with what witnesses signed below it."""
        with self.database.read() as connection:
            row = checkpoints.latest(connection)
            note = None if row is None else checkpoints.note_of(connection, row)
        if note is None:
            raise HttpProblem("not-found", "nothing was signed yet")
        resp.content_type = f"{TEXT}; charset=utf-8"
        resp.set_header("Cache-Control", "no-cache")
        resp.data = note.encode()


class Tile(Resource):
    """A tile of the tree."""

    @operation("Get a tile of the Merkle tree", tag="audit", produces=OCTETS)
    def on_get(self, _req: falcon.Request, resp: falcon.Response, path: str) -> None:
        """`<L>/<N>[.p/<W>]` as c2sp.org/tlog-tiles says: hashes only, of what checkpoints cover."""
        level, tile, width = _tile_of(path, entries=False)
        with self.database.read() as connection:
            hashes = audit_log.read_tile(connection, level, tile)
        _send_octets(resp, _cut(hashes, width))


class EntryBundle(Resource):
    """The entries of a tile of leaves."""

    @operation("Get the entries of a tile", tag="audit", scopes=READ, produces=OCTETS)
    def on_get(self, _req: falcon.Request, resp: falcon.Response, path: str) -> None:
        """`<N>[.p/<W>]`: each entry behind its length in two bytes, as c2sp.org/tlog-tiles says."""
        _, tile, width = _tile_of(f"entries/{path}", entries=True)
        with self.database.read() as connection:
            entries = audit_log.entries_of(self.ledger, connection, tile)
        found = entries[: width or merkle.TILE_HASHES]
        if len(found) < (width or merkle.TILE_HASHES):
            raise HttpProblem("not-found", "the tree has not come so far")
        _send_octets(resp, b"".join(len(entry).to_bytes(2, "big") + entry for entry in found))


class AuditKey(Resource):
    """Who signs."""

    @operation("Get the verifier key", tag="audit", answer=AuditKeySchema())
    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Of the log, and of the witnesses whose signatures it takes."""
        verifier = self.services.audit_verifier()
        witnesses = [str(witness) for witness in self.services.witnesses]
        send(resp, {"origin": verifier.name, "verifier_key": str(verifier), "witnesses": witnesses})


class Checkpoints(Resource):
    """All checkpoints."""

    @operation(
        "List checkpoints", tag="audit", scopes=READ, query=CheckpointQuery(), answer=page_of(CHECKPOINT)
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, query: Row) -> None:
        """The latest first."""
        send_list(req, resp, self.database, query, checkpoints.list_checkpoints, _show)


class Cosignatures(Resource):
    """What witnesses sign."""

    @operation(
        "Add a witness's signature",
        tag="audit",
        scopes=("finance:read",),
        body=CosignatureSchema(),
        answer=CHECKPOINT,
        problems=("not-found", "bad-cosignature"),
        example={
            "line": "— witness.example/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDI="
        },
    )
    def on_post(self, _req: falcon.Request, resp: falcon.Response, size: int, body: Row) -> None:
        """A line of c2sp.org/tlog-cosignature below a checkpoint, by a witness that the settings name."""
        row = checkpoints.cosign(self.ledger, size, body["line"], self.services.witnesses)
        send(resp, _show(row))


class Inclusion(Resource):
    """That a fact is in the tree."""

    @operation(
        "Prove that a fact is in the log",
        tag="audit",
        scopes=READ,
        query=InclusionQuery(),
        answer=InclusionSchema(),
        problems=("not-found",),
    )
    def on_get(self, _req: falcon.Request, resp: falcon.Response, query: Row) -> None:
        """With the checkpoint whose root the proof leads to."""
        with self.database.read() as connection:
            index = audit_log.index_of(connection, query["position"])
            row = None if index is None else checkpoints.of_size(connection, index, query["size"])
            if index is None or row is None:
                raise HttpProblem("not-found", "no checkpoint covers a fact at this position")
            entry = audit_log.entry_at(self.ledger, connection, query["position"])
            proof = merkle.inclusion_proof(audit_log.tiles_of(connection), index, row.size)
            note = checkpoints.note_of(connection, row)
        found = {"position": query["position"], "index": index, "size": row.size, "entry": _base64(entry)}
        send(resp, found | {"proof": [_base64(each) for each in proof], "checkpoint": note})


class Consistency(Resource):
    """That nothing before was changed."""

    @operation(
        "Prove that the log only grew",
        tag="audit",
        scopes=READ,
        query=ConsistencyQuery(),
        answer=ConsistencySchema(),
        problems=("not-found",),
    )
    def on_get(self, _req: falcon.Request, resp: falcon.Response, query: Row) -> None:
        """From a tree that somebody kept the head of, to a signed later one."""
        with self.database.read() as connection:
            newest = checkpoints.latest(connection)
            wanted = query["new"] or (newest.size if newest else None)
            row = checkpoints.of_size(connection, query["old"] - 1, wanted)
            if query["old"] == 0 or row is None:
                raise HttpProblem("not-found", "no checkpoint covers a tree of this size")
            proof = merkle.consistency_proof(audit_log.tiles_of(connection), query["old"], row.size)
            note = checkpoints.note_of(connection, row)
        found = {"old": query["old"], "new": row.size, "checkpoint": note}
        send(resp, found | {"proof": [_base64(each) for each in proof]})


def _show(row: Any) -> Row:
    return {**{name: row[name] for name in CHECKPOINT.fields}, "root": _base64(row["root"])}


def _base64(value: bytes) -> str:
    return b64encode(value).decode()


def _tile_of(path: str, *, entries: bool) -> tuple[int, int, int | None]:
    match = TILE.fullmatch(path)
    if match is None or (match[1] == "entries") != entries or int(match[3] or 1) >= merkle.TILE_HASHES:
        raise HttpProblem("not-found", "no tile is called so: <L>/<N>[.p/<W>], as c2sp.org/tlog-tiles says")
    index = int(match[2].replace("x", "").replace("/", ""))
    return 0 if entries else int(match[1]), index, int(match[3]) if match[3] else None


def _cut(hashes: bytes, width: int | None) -> bytes:
    wanted = (width or merkle.TILE_HASHES) * merkle.HASH_BYTES
    if len(hashes) < wanted:
        raise HttpProblem("not-found", "the tree has not come so far")
    return hashes[:wanted]


def _send_octets(resp: falcon.Response, data: bytes) -> None:
    resp.content_type = OCTETS
    resp.set_header("Cache-Control", FOR_EVER)
    resp.data = data
