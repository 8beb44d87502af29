"""Signed notes against a published vector; what is signed by nobody we know, or badly, is refused."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.audit import notes
from ledger.audit.notes import BadNote, Checkpoint, Signer, Verifier

# Published in the documentation of golang.org/x/mod/sumdb/note, the format's first implementation (BSD-3).
PUBLISHED_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PUBLISHED_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6Ryy"
    "BwJnAM=\n"
)
ORIGIN = "ledger.example/log"
CHECKPOINT = Checkpoint(ORIGIN, 70_000, bytes(range(32)))


@pytest.fixture
def signer() -> Signer:
    return Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"\x01" * 32))


def test_the_published_note_is_signed_by_the_published_key():
    verifier = notes.parse_verifier(PUBLISHED_KEY)

    text, signed_by = notes.open_note(PUBLISHED_NOTE, [verifier])

    assert text.startswith("If you think cryptography is the answer")
    assert signed_by == [verifier]
    assert str(verifier) == PUBLISHED_KEY


@pytest.mark.parametrize("at", range(0, len(PUBLISHED_NOTE), 7))
def test_the_published_note_with_another_letter_is_refused(at):
    other = "A" if PUBLISHED_NOTE[at] != "A" else "B"

    with pytest.raises(BadNote):
        notes.open_note(
            PUBLISHED_NOTE[:at] + other + PUBLISHED_NOTE[at + 1 :], [notes.parse_verifier(PUBLISHED_KEY)]
        )


def test_a_checkpoint_is_signed_and_read_again(signer):
    note = signer.sign(CHECKPOINT.text)

    text, signed_by = notes.open_note(note, [signer.verifier])

    assert notes.parse_checkpoint(text) == CHECKPOINT
    assert signed_by == [signer.verifier]
    assert note.split("\n")[:2] == [ORIGIN, "70000"]


def test_a_witness_signs_beside_the_log(signer):
    witness = Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)
    verifier = Verifier("witness.example/w1", witness.public_key().public_bytes_raw(), notes.COSIGNATURE)
    note = signer.sign(CHECKPOINT.text) + notes.cosign(CHECKPOINT.text, verifier.name, witness, 1_679_315_147)

    _, signed_by = notes.open_note(note, [signer.verifier, verifier])

    assert signed_by == [signer.verifier, verifier]
    assert notes.parse_verifier(str(verifier)) == verifier
    later = note.replace(CHECKPOINT.text, CHECKPOINT._replace(size=70_001).text)
    with pytest.raises(BadNote, match="does not fit the text"):
        notes.open_note(later, [verifier])


def test_a_note_that_only_strangers_signed_is_refused(signer):
    stranger = Signer("stranger.example", Ed25519PrivateKey.from_private_bytes(b"\x03" * 32))
    note = stranger.sign(CHECKPOINT.text)

    with pytest.raises(BadNote, match="none of the known keys"):
        notes.open_note(note, [signer.verifier])


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text\n",
        "text\n\n",
        "text\n\nno line\n",
        "te\x00xt\n\n— a YWJjZA==\n",
        "text\n\n— a YWJjZA==",
        "text\n\n— a =\n",
    ],
)
def test_what_is_no_note_is_refused(note, signer):
    with pytest.raises(BadNote):
        notes.open_note(note, [signer.verifier])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\n1\n",
        "a\n01\nAAAA\n",
        "a\n-1\nAAAA\n",
        "a\n1\nAAAA\n",
        f"\n1\n{'A' * 43}=\n",
        f"a\n1\n{'A' * 43}=\n\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text):
    with pytest.raises(BadNote):
        notes.parse_checkpoint(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a+b",
        "a+b+c",
        PUBLISHED_KEY.replace("c74f20a3", "c74f20a4"),
        PUBLISHED_KEY[:-4],
        "a+00000000+YWJjZA==",
    ],
)
def test_what_is_no_verifier_key_is_refused(text):
    with pytest.raises(BadNote):
        notes.parse_verifier(text)


def test_a_signers_name_has_no_spaces():
    with pytest.raises(BadNote):
        Signer("a name", Ed25519PrivateKey.generate())
