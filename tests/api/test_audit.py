"""The doors for whoever does not trust us: tiles, entries, checkpoints, proofs, and what witnesses sign."""

import base64

import pytest

from ledger.audit import merkle, notes
from projections.audit_log import Sequencer
from projections.checkpoints import CheckpointMaker
from tests.api.house import WITNESS, WITNESS_KEY, House, problem, sale

SALES = 300


@pytest.fixture
def sealed(house: House) -> House:
    """A house with some hundred facts, sealed and signed."""
    program_id = house.program()
    house.partner(program_id)
    house.referred(program_id)
    lines = [sale(program_id, str(number)) for number in range(SALES)]
    assert house.post("/v1/conversions/batch", lines).status_code == 200
    house.catch_up()
    Sequencer(house.ledger).catch_up()
    assert CheckpointMaker(house.ledger, house.signer).step() is not None
    return house


def head(house: House) -> notes.Checkpoint:
    """The newest checkpoint, checked with the key that the house gives out."""
    verifier = notes.parse_verifier(house.get("/v1/audit/key").json["verifier_key"])
    note = house.client.simulate_get("/audit/checkpoint")
    assert note.headers["content-type"] == "text/plain; charset=utf-8"
    text, _ = notes.open_note(note.text, [verifier])
    return notes.parse_checkpoint(text)


def test_without_a_checkpoint_there_is_none_to_give(house: House):
    assert house.client.simulate_get("/audit/checkpoint").status_code == 404
    assert house.get("/v1/audit/inclusion?position=1").status_code == 404


def test_the_whole_log_can_be_checked_from_its_tiles_and_entries(sealed: House):
    """As a client of c2sp.org/tlog-tiles does: every entry hashes to its leaf, and the leaves to the root."""
    checkpoint = head(sealed)
    full, rest = divmod(checkpoint.size, 256)
    names = [f"{tile:03}" for tile in range(full)] + [f"{full:03}.p/{rest}"]
    leaves: list[bytes] = []
    for name in names:
        tile = sealed.client.simulate_get(f"/audit/tile/0/{name}")
        bundle = sealed.get(f"/audit/tile/entries/{name}")
        assert tile.headers["content-type"] == bundle.headers["content-type"] == "application/octet-stream"
        hashes = [tile.content[at : at + 32] for at in range(0, len(tile.content), 32)]
        assert [merkle.leaf_hash(entry) for entry in entries_of(bundle.content)] == hashes
        leaves += hashes

    assert full >= 2
    assert merkle.root_of(leaves) == checkpoint.root
    above = sealed.client.simulate_get(f"/audit/tile/1/000.p/{full}").content
    assert above == b"".join(merkle.root_of(leaves[at * 256 : (at + 1) * 256]) for at in range(full))


def entries_of(bundle: bytes) -> list[bytes]:
    found = []
    while bundle:
        length = int.from_bytes(bundle[:2], "big")
        found.append(bundle[2 : 2 + length])
        bundle = bundle[2 + length :]
    return found


@pytest.mark.parametrize(
    "path",
    [
        "0/999",
        "0/000.p/256",
        "0/000.p/0",
        "0/0",
        "0/x001",
        "64/000",
        "00/000",
        "0/000/",
        "entries/999",
        "a",
        "5/000",
        "0/x999/x999/x999/x999/x999/x999/999",
    ],
)
def test_what_is_no_tile_is_not_there(sealed: House, path):
    assert sealed.get(f"/audit/tile/{path}").status_code == 404


def test_entries_need_a_key_and_hashes_do_not(sealed: House):
    assert sealed.client.simulate_get("/audit/tile/entries/000").status_code == 401
    assert sealed.get("/audit/tile/entries/000", sealed.shop).status_code == 403
    assert sealed.client.simulate_get("/audit/tile/0/000").status_code == 200


def test_a_fact_is_proven_to_be_in_the_log(sealed: House):
    [leg, *_] = sealed.get("/v1/journal").json["items"]

    proof = sealed.get(f"/v1/audit/inclusion?position={leg['position']}").json

    text, _ = notes.open_note(proof["checkpoint"], [sealed.signer.verifier])
    checkpoint = notes.parse_checkpoint(text)
    path = [base64.b64decode(each) for each in proof["proof"]]
    leaf = merkle.leaf_hash(base64.b64decode(proof["entry"]))
    assert merkle.included(leaf, proof["index"], proof["size"], path, checkpoint.root)
    assert checkpoint == head(sealed)


def test_the_log_is_proven_to_have_only_grown(sealed: House):
    old = head(sealed)
    program_id = sealed.get("/v1/programs").json["items"][0]["program_id"]
    sealed.post("/v1/conversions", sale(program_id, "later"))
    Sequencer(sealed.ledger).catch_up()
    CheckpointMaker(sealed.ledger, sealed.signer).step(now_wanted=True)

    proof = sealed.get(f"/v1/audit/consistency?old={old.size}").json

    new = head(sealed)
    path = [base64.b64decode(each) for each in proof["proof"]]
    assert (proof["old"], proof["new"]) == (old.size, new.size)
    assert new.size == old.size + 1
    assert merkle.consistent(old.size, new.size, old.root, new.root, path)
    listed = sealed.get("/v1/audit/checkpoints").json["items"]
    assert [each["size"] for each in listed] == [new.size, old.size]
    assert [each["cause"] for each in listed] == ["asked", "first"]


@pytest.mark.parametrize("asked", ["old=0", "old=1000000", "old=5&new=4", "old=5&new=7"])
def test_no_proof_between_trees_that_were_not_signed(sealed: House, asked):
    assert sealed.get(f"/v1/audit/consistency?{asked}").status_code == 404


class TestWitness:
    """A witness signs below a checkpoint; nobody else can."""

    def test_its_line_is_served_with_the_checkpoint(self, sealed: House):
        checkpoint = head(sealed)
        line = notes.cosign(checkpoint.text, WITNESS.name, WITNESS_KEY, 1_780_000_000)
        door = f"/v1/audit/checkpoints/{checkpoint.size}/cosignatures"

        for _ in range(2):
            assert sealed.post(door, {"line": line}).status_code == 200

        note = sealed.client.simulate_get("/audit/checkpoint").text
        _, signed_by = notes.open_note(note, [sealed.signer.verifier, WITNESS])
        assert signed_by == [sealed.signer.verifier, WITNESS]
        assert note.count(WITNESS.name) == 1
        [listed] = sealed.get("/v1/audit/checkpoints").json["items"]
        assert listed["note"] == note

    def test_a_line_of_another_tree_or_key_is_refused(self, sealed: House):
        """And a good one with anything beside it: all of it would be served as a part of our note."""
        checkpoint = head(sealed)
        note = sealed.client.simulate_get("/audit/checkpoint").text
        longer = notes.cosign(f"{checkpoint.text}\nmore of the text\n", WITNESS.name, WITNESS_KEY, 1)
        good = notes.cosign(checkpoint.text, WITNESS.name, WITNESS_KEY, 1)
        stranger = notes.cosign(checkpoint.text, "stranger.example", WITNESS_KEY, 1)
        door = f"/v1/audit/checkpoints/{checkpoint.size}/cosignatures"
        for line in (
            notes.cosign(checkpoint._replace(size=1).text, WITNESS.name, WITNESS_KEY, 1),
            notes.cosign(checkpoint.text, "stranger.example", WITNESS_KEY, 1),
            "— witness.example/w1 AAAA",
            "nothing",
            f"{stranger}{good}",
            f"{good}{stranger}",
            f"more of the text\n\n{longer}",
        ):
            answer = sealed.post(door, {"line": line})
            assert problem(answer) == (422, "bad-cosignature")
        for size in (1, 2**63, 10**30):
            door = f"/v1/audit/checkpoints/{size}/cosignatures"
            assert sealed.post(door, {"line": good}).status_code == 404
        assert sealed.client.simulate_get("/audit/checkpoint").text == note
