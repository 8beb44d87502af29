"""The single-file verifier: it imports nothing of ours, and names the first thing that is wrong."""

import ast
import io
import json
import sys
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.audit import entries, merkle, revshare_verify
from ledger.audit.notes import Checkpoint, Signer
from ledger.audit.revshare_verify import Wrong, parse_key, verify
from ledger.postings import Leg

SIGNER = Signer("ledger.example/log", Ed25519PrivateKey.from_private_bytes(b"\x07" * 32))
OTHER = Signer("ledger.example/log", Ed25519PrivateKey.from_private_bytes(b"\x08" * 32))
KEY = parse_key(str(SIGNER.verifier))
ONE, TWO = UUID(int=1), UUID(int=2)
PAIR = (Leg("commission_expense", 200, "GBP", ONE, TWO), Leg("commission_accrued", -200, "GBP", ONE, TWO))


def leaf_of(number, legs=PAIR):
    state = b'{"fact":{"number":%d}}' % number
    return merkle.leaf_hash(
        entries.entry(number + 1, TWO, number + 1, "Told@1", state, [(1, leg) for leg in legs])
    )


def line(number, *, legs=PAIR, proof=None, **changes):
    told = {
        "index": number,
        "position": number + 1,
        "stream": str(TWO),
        "version": number + 1,
        "topic": "Told@1",
        "legs": [[leg.account, leg.amount_minor, leg.currency, str(ONE), str(TWO), 1] for leg in legs],
        "leaf": leaf_of(number, legs).hex(),
    } | changes
    if proof is not None:
        told["proof"] = [each.hex() for each in proof]
    written = json.dumps(told, separators=(",", ":"))[:-1]
    return f'{written},"state":{{"fact":{{"number":{number}}}}}}}\n'.encode()


def note(size, signer=SIGNER, leaves=None):
    root = merkle.root_of(leaves or [leaf_of(number) for number in range(size)])
    return signer.sign(Checkpoint("ledger.example/log", size, root).text)


def header(note, kind="revshare log export"):
    told = {"format": kind, "version": 1, "checkpoint": note}
    return (json.dumps(told, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def whole(size, **given):
    return [header(note(size, **given)), *map(line, range(size))]


def part(*numbers, size=7):
    leaves = [leaf_of(number) for number in range(size)]
    tiles = merkle.grow([], 0, leaves)
    proofs = [merkle.inclusion_proof(lambda *at: tiles[at], number, size) for number in numbers]
    lines = [line(number, proof=proof) for number, proof in zip(numbers, proofs, strict=True)]
    return [header(note(size), "revshare log part"), *lines]


def test_it_imports_the_standard_library_and_cryptography_alone():
    tree = ast.parse(Path(revshare_verify.__file__).read_text("utf-8"))

    imported = {
        name.partition(".")[0]
        for found in ast.walk(tree)
        if isinstance(found, ast.Import | ast.ImportFrom)
        for name in (
            [found.module or "."] if isinstance(found, ast.ImportFrom) else [n.name for n in found.names]
        )
    }

    assert imported - sys.stdlib_module_names == {"cryptography"}
    assert not any(isinstance(found, ast.ImportFrom) and found.level for found in ast.walk(tree))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 300])
def test_a_whole_log_is_accepted_with_the_key_or_the_kept_checkpoint(size):
    result = verify(whole(size), KEY)

    assert (result.facts, result.head.size) == (size, size)
    assert result.totals == {
        (str(TWO), "commission_expense", "GBP"): 200 * size,
        (str(TWO), "commission_accrued", "GBP"): -200 * size,
    }
    assert verify(whole(size), None, [note(size)]).facts == size
    assert verify(whole(size), KEY, [note(at) for at in range(1, size + 1)]).facts == size


def test_some_facts_are_accepted_by_their_proofs():
    assert verify(part(0, 3, 6), KEY).facts == 3
    assert verify(part(0, 3, 6), None, [note(7)]).facts == 3


def changed(lines, at, line):
    return [*lines[:at], line, *lines[at + 1 :]]


def torn(line):
    """With a topic that is no UTF-8, and the leaf that goes with it."""
    return line.replace(b"Told@1", b"Told\xff1").replace(leaf_of(0).hex().encode(), TORN.hex().encode())


STATE_OF_0 = b'{"fact":{"number":0}}'
ENTRY_OF_0 = entries.entry(1, TWO, 1, "Told@1", STATE_OF_0, [(1, leg) for leg in PAIR])
TORN = merkle.leaf_hash(ENTRY_OF_0.replace(b"Told@1", b"Told\xff1"))
PROOF_OF_3 = [bytes.fromhex(each) for each in json.loads(part(3)[1])["proof"]]
WRONGS = {
    "no header": ([], (), "line 1: no header"),
    "a header with a space": ([header(note(1)).replace(b":1", b": 1"), line(0)], (), "line 1: no header"),
    "a version that is no number": (
        [header(note(1)).replace(b'"version":1', b'"version":true'), line(0)],
        (),
        "line 1: no header",
    ),
    "a version with a fraction": (
        [header(note(1)).replace(b'"version":1', b'"version":1.0'), line(0)],
        (),
        "line 1: no header",
    ),
    "no kind": ([header(note(1), []), line(0)], (), "line 1: no header"),
    "a version of later": (
        [header(note(1)).replace(b'"version":1', b'"version":2'), line(0)],
        (),
        'line 1: "revshare log export" of version 2, which this verifier does not know',
    ),
    "a topic that is no text": ([header(note(1, leaves=[TORN])), torn(line(0))], (), "no entry can hold"),
    "another key's signature": (whole(2, signer=OTHER), (), "not signed by the key"),
    "a fact changed": (
        changed(whole(3), 2, line(1).replace(b'"number":1', b'"number":2')),
        (),
        "line 3 .*its leaf is",
    ),
    "a leaf changed with its fact": (
        changed(whole(3), 2, line(1, leaf=leaf_of(1, ()).hex(), legs=())),
        (),
        "do not give the root",
    ),
    "a fact missing": ([*whole(3)[:2], *whole(3)[3:]], (), "line 3: the leaf of index 1 is expected"),
    "the last fact missing": (whole(3)[:-1], (), "is of 3 leaves, and the export has 2"),
    "a fact too many": ([*whole(3), line(3)], (), "is of 3 leaves, and the export has 4"),
    "two facts swapped": ([*whole(3)[:2], line(2), line(1)], (), "line 3: the leaf of index 1 is expected"),
    "a fact twice": ([*whole(3)[:2], line(0)], (), "line 3: position 1 follows 1"),
    "legs that do not sum to zero": (
        [header(note(1, leaves=[leaf_of(0, PAIR[:1])])), line(0, legs=PAIR[:1])],
        (),
        "do not sum to zero",
    ),
    "a number with a zero before it": (
        changed(whole(1), 1, line(0).replace(b'"version":1', b'"version":01')),
        (),
        "line 2: not written",
    ),
    "a number too large": (changed(whole(1), 1, line(0, position=2**64)), (), "a number or a text"),
    "an id in capitals": (
        changed(whole(1), 1, line(0, stream=str(UUID(int=0xA)).upper())),
        (),
        "line 2: not written",
    ),
    "no last line feed": ([*whole(2)[:-1], whole(2)[-1][:-1]], (), "line 3: not written"),
    "a proof that is too long": (
        changed(part(0, 3), 1, part(0)[1].replace(b'"proof":["', b'"proof":["00', 1)),
        (),
        "line 2: not written",
    ),
    "the proof of another leaf": (changed(part(0), 1, line(0, proof=PROOF_OF_3)), (), "line 2 .*not proven"),
    "facts of a part in another order": (
        [*part(0)[:1], part(3)[1], part(0)[1]],
        (),
        "line 3: position 1 follows 4",
    ),
    "a part without a proof": ([part(0)[0], line(0)], (), "line 2 .*not proven"),
    "a whole log with proofs": ([whole(7)[0], part(0)[1]], (), "line 2: the leaf of index 0"),
    "shorter than what was kept": (whole(3), (note(4),), "a checkpoint of 4 was kept"),
    "not what was kept": (
        whole(3),
        (note(1), note(2, leaves=[leaf_of(0), leaf_of(5)])),
        "index 1 to 1 are not those of the kept",
    ),
    "kept of another key": (whole(3), (note(2, signer=OTHER),), "not signed by the key"),
}


@pytest.mark.parametrize("name", WRONGS)
def test_the_first_thing_wrong_is_named(name):
    lines, kept, told = WRONGS[name]

    with pytest.raises(Wrong, match=told):
        verify(lines, KEY, kept)


def test_without_a_key_only_what_was_kept_counts():
    with pytest.raises(Wrong, match="nothing vouches for the tree of 3 leaves"):
        verify(whole(3), None, [note(2)])
    with pytest.raises(Wrong, match="not those of the kept"):
        verify(whole(3), None, [note(3, leaves=[leaf_of(9)] * 3)])


def test_a_checkpoint_in_an_export_has_one_signature():
    """Of a second one nobody could say whose it is: it could be anything."""
    signed = note(1) + OTHER.sign("x\n").partition("\n\n")[2]

    with pytest.raises(Wrong, match="has 2 signatures"):
        verify([header(signed), line(0)], KEY)
    assert verify(whole(1), KEY, [signed]).facts == 1, "a kept one may have its witnesses'"


def test_its_yes_says_what_vouches_for_the_tree_and_what_it_did_not_check():
    """A part shown as if it were all of it, a tree shown to one alone: neither is known from the file."""
    apart = "not shown: that others are given the same tree (--kept holds it to what they keep)"
    beyond = "that no fact was left out; the whole log shows that"

    assert verify(whole(3), KEY).remarks == (
        f"signed by the key of ledger.example/log; {apart}",
        "not checked: whether what the facts say is so",
    )
    assert verify(whole(3), KEY, [note(2), note(3)]).remarks[0] == (
        "signed by the key of ledger.example/log, held to 2 kept checkpoints, of up to 3 leaves"
    )
    assert verify(part(0, 3), None, [note(7)]).remarks == (
        "held to 1 kept checkpoint, of up to 7 leaves",
        f"not shown by a part: {beyond}",
    )


CLEAR = "\r\x1b[2Kyes: 9 facts \x9b\u202e\u2028č"
"""A name that would be another line, or nothing of the one before it, on a screen."""


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_names_of_the_issuer_s_choice_write_no_line_of_their_own(tmp_path, monkeypatch, encoding):
    """Nor do they end it where the screen has no such letters."""
    signer = Signer(f"č{chr(0x202E)}log", Ed25519PrivateKey.from_private_bytes(b"\x07" * 32))
    root = merkle.root_of([leaf_of(0)])
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(header(signer.sign(Checkpoint(signer.verifier.name, 1, root).text)) + line(0))
    bad.write_bytes(header(SIGNER.sign(Checkpoint(CLEAR, 1, root).text)) + line(0))
    screen = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", screen)

    assert revshare_verify.main([str(good), "--key", str(signer.verifier)]) == 0
    assert revshare_verify.main([str(bad), "--key", str(SIGNER.verifier)]) == 1

    screen.flush()
    told = screen.buffer.getvalue().decode(encoding).splitlines()
    letter = "č" if encoding == "utf-8" else r"\u010d"
    assert [each.partition(" ")[0] for each in told] == ["yes:", "signed", "not", "no:"]
    assert told[0] == f"yes: 1 facts of the tree of 1 leaves of {letter}\\u202elog"
    assert told[-1] == (
        rf"no: the checkpoint is of \r\x1b[2Kyes: 9 facts \x9b\u202e\u2028{letter}, and the key is of"
        " ledger.example/log"
    )


@pytest.mark.parametrize(
    "key", ["", "name", str(SIGNER.verifier)[:-1], str(SIGNER.verifier).replace("/", "+")]
)
def test_no_key_is_no_key(key):
    with pytest.raises(Wrong):
        parse_key(key)
