"""Checks an export of the revshare audit log, whole or in part. A single file: nothing of revshare is needed.

    python revshare_verify.py EXPORT --key 'name+id+base64' [--kept CHECKPOINT]... [--totals]

It takes Python 3.11 or newer and the package `cryptography`. It says yes and ends with 0, or names the first
thing that is wrong and ends with 1. The format, and all that is checked here, stands in docs/audit-log.md:
read both and believe neither.
"""

import argparse
import json
import re
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

WHOLE, PART = "revshare log export", "revshare log part"
MAGIC = b"revshare entry v1\n"
UUID = rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
NUMBER, AMOUNT = rb"(?:0|[1-9][0-9]{0,19})", rb"(?:0|-?[1-9][0-9]{0,18})"
TEXT, HASH = rb'[^"\\\x00-\x1f]*', rb"[0-9a-f]{64}"
LEG = (TEXT, AMOUNT, TEXT, UUID, UUID, NUMBER)


def leg_form(parts: Iterable[bytes]) -> bytes:
    """How a leg is written: account, amount, currency, program, partner, version of the posting rule."""
    return rb'\["%b",%b,"%b","%b","%b",%b\]' % tuple(parts)


def list_form(item: bytes) -> bytes:
    """How a list is written."""
    return rb"\[((?:%b(?:,%b)*)?)\]" % (item, item)


LEGS = re.compile(leg_form(b"(%b)" % part for part in LEG))
LINE = re.compile(
    rb'\{"index":(%b),"position":(%b),"stream":"(%b)","version":(%b),"topic":"(%b)","legs":%b,"leaf":"(%b)",'
    rb'(?:"proof":%b,)?"state":(.*)\}\n'
    % (NUMBER, NUMBER, UUID, NUMBER, TEXT, list_form(leg_form(LEG)), HASH, list_form(b'"%b"' % HASH)),
    re.DOTALL,
)


class Wrong(Exception):
    """The first thing that is not as it must be."""


class Head(NamedTuple):
    """The head of a tree, as a checkpoint names it."""

    origin: str
    size: int
    root: bytes


class Key(NamedTuple):
    """A verifier key."""

    name: str
    key_id: bytes
    public: bytes


class Fact(NamedTuple):
    """A line of an export: its place in the tree and in the log, its leaf and proof, its legs."""

    place: int
    position: int
    leaf: bytes
    proof: list[bytes] | None
    legs: list[tuple[str, int, str, str]]
    """Account, amount, currency, partner."""


class Tree:
    """The tree of RFC 9162 over leaves that come one after the other."""

    def __init__(self) -> None:
        self.size = 0
        self._roots: list[tuple[int, bytes]] = []
        """Complete subtrees from left to right: their sizes and roots."""

    def add(self, leaf: bytes) -> None:
        """One leaf more."""
        self.size += 1
        self._roots.append((1, leaf))
        while len(self._roots) > 1 and self._roots[-1][0] == self._roots[-2][0]:
            (size, right), (_, left) = self._roots.pop(), self._roots.pop()
            self._roots.append((2 * size, node(left, right)))

    def root(self) -> bytes:
        """The root over the leaves so far."""
        if not self._roots:
            return sha256(b"").digest()
        found = self._roots[-1][1]
        for _, left in reversed(self._roots[:-1]):
            found = node(left, found)
        return found


def node(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether an inclusion proof holds (RFC 9162, 2.1.3.2)."""
    if index >= size:
        return False
    here, last, found = index, size - 1, leaf
    for other in proof:
        if last == 0:
            return False
        if here & 1 or here == last:
            found = node(other, found)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            found = node(found, other)
        here, last = here >> 1, last >> 1
    return last == 0 and found == root


# Keys and checkpoints


def parse_key(text: str) -> Key:
    """A verifier key: name+id+base64 of a byte 1 and the public key."""
    name, _, rest = text.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    raw = base64_of(encoded)
    expected = sha256(name.encode() + b"\n" + raw).digest()[:4]
    if raw[:1] != b"\x01" or len(raw) != 33 or expected.hex() != key_id:
        raise Wrong("the key is no verifier key of Ed25519 (name+id+base64)")
    return Key(name, expected, raw[1:])


def open_checkpoint(note: str, key: Key | None, *, alone: bool) -> Head:
    """The head in a note. With a key it must be signed by it; `alone`: and nobody else may have signed."""
    text, gap, signatures = note.rpartition("\n\n")
    lines = text.split("\n")
    if not gap or not signatures.endswith("\n") or len(lines) < 3 or (alone and len(lines) > 3):
        raise Wrong("the checkpoint is no signed note: origin, size, root, an empty line, signatures")
    origin, size, encoded = lines[:3]
    root = base64_of(encoded)
    if not re.fullmatch(NUMBER.decode(), size) or len(root) != 32:
        raise Wrong("the checkpoint names no size and root")
    signed = signatures.removesuffix("\n").split("\n")
    if alone and len(signed) != 1:
        raise Wrong(f"the checkpoint has {len(signed)} signatures and must have the log's alone")
    if key is not None:
        if origin != key.name:
            raise Wrong(f"the checkpoint is of {origin}, and the key is of {key.name}")
        if not any(is_signed(line, f"{text}\n", key) for line in signed):
            raise Wrong("the checkpoint is not signed by the key")
    return Head(origin, int(size), root)


def is_signed(line: str, text: str, key: Key) -> bool:
    """Whether a line is the key's signature of the text."""
    match = re.fullmatch(r"— ([^\s+]+) ([A-Za-z0-9+/=]+)", line)
    if match is None or match[1] != key.name:
        return False
    raw = base64_of(match[2])
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(raw[4:], text.encode())
    except (InvalidSignature, ValueError):
        return False
    return raw[:4] == key.key_id


def base64_of(text: str) -> bytes:
    """The bytes that a base64 text stands for; only one text stands for them."""
    try:
        raw = b64decode(text, validate=True)
    except ValueError:
        raw = b""
    if b64encode(raw).decode() != text:
        raise Wrong(f"no base64: {text[:80]!r}")
    return raw


# Lines


def parse_header(line: bytes) -> tuple[str, str]:
    """Which kind of export it is, and its checkpoint."""
    try:
        header = json.loads(line)
        kind, note = header["format"], header["checkpoint"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Wrong("line 1: no header of an export") from None
    again = {"format": kind, "version": 1, "checkpoint": note}
    written = json.dumps(again, ensure_ascii=False, separators=(",", ":")) + "\n"
    if kind not in (WHOLE, PART) or not isinstance(note, str) or written.encode(errors="replace") != line:
        raise Wrong("line 1: no header of an export, or not written as it must be")
    return kind, note


def parse_line(number: int, line: bytes) -> Fact:
    """A fact, whose leaf is the hash of all that the line says."""
    match = LINE.fullmatch(line)
    if match is None:
        raise Wrong(f"line {number}: not written as a fact must be")
    index, position, stream, version, topic, written, leaf, proof, state = match.groups()
    where = f"line {number} (index {index.decode()}, position {position.decode()})"
    legs = LEGS.findall(written)
    try:
        head = int(position).to_bytes(8, "big") + unhyphened(stream) + int(version).to_bytes(8, "big")
        words = len(state).to_bytes(4, "big") + sha256(state).digest()
        packed = len(legs).to_bytes(2, "big") + b"".join(packed_leg(*leg) for leg in legs)
        made = sha256(b"\x00" + MAGIC + head + text(topic) + words + packed).digest()
        told = [(leg[0].decode(), int(leg[1]), leg[2].decode(), leg[4].decode()) for leg in legs]
    except (OverflowError, UnicodeDecodeError):
        raise Wrong(f"{where}: a number or a text that no entry can hold") from None
    if made.hex().encode() != leaf:
        raise Wrong(f"{where}: its leaf is {leaf.decode()}, and what it says gives {made.hex()}")
    sums: dict[str, int] = {}
    for _, minor, currency, _ in told:
        sums[currency] = sums.get(currency, 0) + minor
    if any(sums.values()):
        raise Wrong(f"{where}: its legs do not sum to zero")
    hashes = None if proof is None else [bytes.fromhex(each.decode()) for each in re.findall(HASH, proof)]
    return Fact(int(index), int(position), made, hashes, told)


def packed_leg(
    account: bytes, amount: bytes, currency: bytes, program: bytes, partner: bytes, rule: bytes
) -> bytes:
    """A leg as an entry holds it."""
    front = text(account) + text(currency) + int(amount).to_bytes(8, "big", signed=True)
    return front + unhyphened(program) + unhyphened(partner) + int(rule).to_bytes(4, "big")


def unhyphened(uuid: bytes) -> bytes:
    """The 16 bytes of an id."""
    return bytes.fromhex(uuid.replace(b"-", b"").decode())


def text(value: bytes) -> bytes:
    """A text in an entry: its length, then its bytes."""
    return len(value).to_bytes(2, "big") + value


# The whole


class Result(NamedTuple):
    """What a good export says."""

    head: Head
    facts: int
    totals: dict[tuple[str, str, str], int]
    """By partner, account, currency."""


def verify(lines: Iterable[bytes], key: Key | None, kept: Sequence[str] = ()) -> Result:
    """Check an export, line by line. Raises Wrong."""
    source = iter(lines)
    kind, note = parse_header(next(source, b""))
    head = open_checkpoint(note, key, alone=True)
    heads: dict[int, Head] = {}
    for other in kept:
        each = open_checkpoint(other, key, alone=False)
        if each.origin != head.origin or heads.setdefault(each.size, each) != each:
            raise Wrong(f"a kept checkpoint of {each.size} leaves is of another log than {head.origin}")
    if key is None and head.size not in heads:
        raise Wrong(
            f"nothing vouches for the tree of {head.size} leaves: no key, no kept checkpoint of that size"
        )
    if max(heads, default=0) > head.size:
        raise Wrong(f"the export ends at {head.size} leaves, and a checkpoint of {max(heads)} was kept")
    facts = facts_of(source)
    totals: dict[tuple[str, str, str], int] = {}
    count = (
        check_whole(facts, head, heads, totals) if kind == WHOLE else check_part(facts, head, heads, totals)
    )
    return Result(head, count, totals)


def facts_of(lines: Iterator[bytes]) -> Iterator[tuple[int, Fact]]:
    """The facts with their numbers of line, whose positions grow."""
    last = -1
    for number, line in enumerate(lines, start=2):
        fact = parse_line(number, line)
        if fact.position <= last:
            raise Wrong(f"line {number}: position {fact.position} follows {last}")
        last = fact.position
        yield number, fact


def check_whole(
    facts: Iterator[tuple[int, Fact]],
    head: Head,
    heads: dict[int, Head],
    totals: dict[tuple[str, str, str], int],
) -> int:
    """Every leaf of the tree, in order: they must give the root, and each that was kept on the way."""
    tree = Tree()
    sound = 0
    for number, fact in facts:
        if fact.place != tree.size or fact.proof is not None:
            raise Wrong(
                f"line {number}: the leaf of index {tree.size} is expected, and it is that of {fact.place}"
            )
        tree.add(fact.leaf)
        add(totals, fact)
        other = heads.get(tree.size)
        if other is not None:
            if other.root != tree.root():
                raise Wrong(
                    f"the leaves of index {sound} to {tree.size - 1} are not those of the kept checkpoint"
                    f" of {tree.size} leaves (lines {sound + 2} to {number})"
                )
            sound = tree.size
    if tree.size != head.size:
        raise Wrong(f"the checkpoint is of {head.size} leaves, and the export has {tree.size}")
    if tree.root() != head.root:
        raise Wrong(f"the leaves of index {sound} to {tree.size - 1} do not give the root of the checkpoint")
    return tree.size


def check_part(
    facts: Iterator[tuple[int, Fact]],
    head: Head,
    heads: dict[int, Head],
    totals: dict[tuple[str, str, str], int],
) -> int:
    """Some leaves, each with its proof."""
    if heads.keys() - {head.size}:
        raise Wrong(f"a part is held to a kept checkpoint of its own size alone: {head.size} leaves")
    if head.size in heads and heads[head.size].root != head.root:
        raise Wrong(f"the part's checkpoint of {head.size} leaves is not the kept one")
    count, last = 0, -1
    for number, fact in facts:
        if fact.place <= last:
            raise Wrong(f"line {number}: index {fact.place} follows {last}")
        if fact.proof is None or not included(fact.leaf, fact.place, head.size, fact.proof, head.root):
            raise Wrong(
                f"line {number} (index {fact.place}, position {fact.position}): not proven to be in the tree"
            )
        count, last = count + 1, fact.place
        add(totals, fact)
    return count


def add(totals: dict[tuple[str, str, str], int], fact: Fact) -> None:
    """Add a fact's legs to the totals."""
    for account, amount, currency, partner in fact.legs:
        place = (partner, account, currency)
        totals[place] = totals.get(place, 0) + amount


def main(arguments: Sequence[str] | None = None) -> int:
    """Check what the command line names."""
    parser = argparse.ArgumentParser(description="Check an export of the revshare audit log.")
    parser.add_argument("export", help="the file")
    parser.add_argument("--key", help="the verifier key that you kept: name+id+base64")
    parser.add_argument("--kept", action="append", default=[], help="a file with a checkpoint that you kept")
    parser.add_argument("--totals", action="store_true", help="print the legs' totals by partner and account")
    options = parser.parse_args(arguments)
    if options.key is None and not options.kept:
        parser.error("give a --key, or a checkpoint that was --kept")
    try:
        key = None if options.key is None else parse_key(options.key)
        kept = [read(path) for path in options.kept]
        with open(options.export, "rb") as file:
            result = verify(file, key, kept)
    except OSError as error:
        parser.error(str(error))
    except Wrong as error:
        sys.stdout.write(f"no: {error}\n")
        return 1
    if options.totals:
        for (partner, account, currency), amount in sorted(result.totals.items()):
            sys.stdout.write(f"{partner} {account} {amount} {currency}\n")
    head = result.head
    sys.stdout.write(f"yes: {result.facts} facts of the tree of {head.size} leaves of {head.origin}\n")
    return 0


def read(path: str) -> str:
    """A kept checkpoint."""
    with open(path, "rb") as file:
        return file.read().decode(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
