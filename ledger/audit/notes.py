"""Checkpoints as C2SP signed notes: text, then lines of Ed25519 signatures; witnesses sign beside the log.

Formats: c2sp.org/signed-note, c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature (the Ed25519 kind).
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE: Final = b"\x01"
COSIGNATURE: Final = b"\x04"
_LINE: Final = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/=]+)")
_NAME: Final = re.compile(r"[^\s+]+")
_SIZE: Final = re.compile(r"0|[1-9][0-9]*")
_ID_BYTES: Final = 4
_TIME_BYTES: Final = 8


class BadNote(ValueError):
    """A text that is no signed note, or a checkpoint, or is not signed by whom it must be."""


class Checkpoint(NamedTuple):
    """The head of a tree: how many leaves, and their root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


class Verifier(NamedTuple):
    """A key that signatures are checked with. `kind` is SIGNATURE or COSIGNATURE (a witness's)."""

    name: str
    public: bytes
    kind: bytes = SIGNATURE

    @property
    def key_id(self) -> bytes:
        """The first bytes of a signature, which tell whose it is."""
        return sha256(self.name.encode() + b"\n" + self.kind + self.public).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{b64encode(self.kind + self.public).decode()}"


def parse_verifier(text: str) -> Verifier:
    """A verifier key (`name+id+base64`, as golang.org/x/mod/sumdb/note writes it). Raises BadNote."""
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    try:
        raw = b64decode(encoded, validate=True)
    except NotBase64 as error:
        raise BadNote(f"no verifier key: {error}") from None
    verifier = Verifier(name, raw[1:], raw[:1])
    if len(raw) != 33 or verifier.kind not in (SIGNATURE, COSIGNATURE) or not _NAME.fullmatch(name):
        raise BadNote("no verifier key of Ed25519")
    if verifier.key_id.hex() != key_id:
        raise BadNote("the verifier key's id does not fit its name and key")
    return verifier


class Signer:
    """Signs checkpoints. Its name is the log's origin."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        if not _NAME.fullmatch(name):
            raise BadNote("a key's name has no spaces and no plus sign")
        self._key = key
        self.verifier = Verifier(name, key.public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """The note: a text with the signature below it."""
        return f"{text}\n{_signature_line(self.verifier, self._key.sign(text.encode()))}"


def cosign(text: str, name: str, key: Ed25519PrivateKey, seconds: int) -> str:
    """A witness's line below a checkpoint; `seconds` since 1970 is when it saw the tree."""
    verifier = Verifier(name, key.public_key().public_bytes_raw(), COSIGNATURE)
    signed = key.sign(_cosigned(text, seconds))
    return _signature_line(verifier, seconds.to_bytes(_TIME_BYTES, "big") + signed)


def split(note: str) -> tuple[str, list[str]]:
    """The text of a note, and its signature lines. Raises BadNote."""
    text, gap, signatures = note.rpartition("\n\n")
    if not gap or not signatures.endswith("\n"):
        raise BadNote("no signed note: a text, an empty line, and lines of signatures")
    if any(ord(sign) < 0x20 and sign != "\n" for sign in note):
        raise BadNote("a note holds no control characters")
    lines = signatures.removesuffix("\n").split("\n")
    for line in lines:
        if not _LINE.fullmatch(line):
            raise BadNote(f"no signature line: {line[:80]!r}")
    return text + "\n", lines


def signer_of(line: str) -> str:
    """Whose name a line below a note's text has; it ends with a line feed. Raises BadNote if it is anything
    but one signature line: what else stood there would be a part of the note."""
    _, lines = split(f"a text\n\n{line}")
    match = _LINE.fullmatch(lines[0])
    if match is None or line != f"{lines[0]}\n":
        raise BadNote(f"no signature line: {line[:80]!r}")
    return match[1]


def open_note(note: str, verifiers: Sequence[Verifier]) -> tuple[str, list[Verifier]]:
    """The text of a note and which of these keys signed it. Raises BadNote if none did, or one did badly."""
    text, lines = split(note)
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    found: list[Verifier] = []
    for line in lines:
        match = _LINE.fullmatch(line)
        assert match is not None
        try:
            raw = b64decode(match[2], validate=True)
        except NotBase64:
            raw = b""
        if b64encode(raw).decode() != match[2]:  # only one text stands for some bytes
            raise BadNote(f"no signature line: {line[:80]!r}")
        verifier = known.get((match[1], raw[:_ID_BYTES]))
        if verifier is None:
            continue
        if not _signed(verifier, text, raw[_ID_BYTES:]):
            raise BadNote(f"the signature of {verifier.name} does not fit the text")
        if verifier not in found:
            found.append(verifier)
    if not found:
        raise BadNote("none of the known keys has signed the note")
    return text, found


def parse_checkpoint(text: str) -> Checkpoint:
    """The tree head that a note's text names. Raises BadNote."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
        raise BadNote("no checkpoint: origin, size and root, a line each")
    origin, size, encoded = lines[:3]
    try:
        root = b64decode(encoded, validate=True)
    except NotBase64:
        root = b""
    if not _SIZE.fullmatch(size) or len(root) != 32:
        raise BadNote("no checkpoint: a size in decimals and a root of 32 bytes in base64")
    return Checkpoint(origin, int(size), root)


def _signature_line(verifier: Verifier, signature: bytes) -> str:
    return f"— {verifier.name} {b64encode(verifier.key_id + signature).decode()}\n"


def _cosigned(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def _signed(verifier: Verifier, text: str, signature: bytes) -> bool:
    signed = text.encode()
    if verifier.kind == COSIGNATURE:
        signed = _cosigned(text, int.from_bytes(signature[:_TIME_BYTES], "big"))
        signature = signature[_TIME_BYTES:]
    try:
        Ed25519PublicKey.from_public_bytes(verifier.public).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True
