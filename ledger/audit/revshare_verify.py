"""Checks an export of the revshare audit log, or a statement. A single file: nothing of revshare is needed.

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
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

WHOLE, PART, STATEMENT = "revshare log export", "revshare log part", "revshare statement"
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
    """A line of an export: its place in the tree and in the log, its leaf and proof, its legs and words."""

    place: int
    position: int
    leaf: bytes
    proof: list[bytes] | None
    legs: list[tuple[str, int, str, str, str]]
    """Account, amount, currency, partner, program."""
    stream: str
    version: int
    topic: str
    state: bytes


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
    if (
        kind not in (WHOLE, PART, STATEMENT)
        or not isinstance(note, str)
        or written.encode(errors="replace") != line
    ):
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
        told = [(leg[0].decode(), int(leg[1]), *(leg[at].decode() for at in (2, 4, 3))) for leg in legs]
    except (OverflowError, UnicodeDecodeError):
        raise Wrong(f"{where}: a number or a text that no entry can hold") from None
    if made.hex().encode() != leaf:
        raise Wrong(f"{where}: its leaf is {leaf.decode()}, and what it says gives {made.hex()}")
    sums: dict[str, int] = {}
    for _, minor, currency, *_ in told:
        sums[currency] = sums.get(currency, 0) + minor
    if any(sums.values()):
        raise Wrong(f"{where}: its legs do not sum to zero")
    hashes = None if proof is None else [bytes.fromhex(each.decode()) for each in re.findall(HASH, proof)]
    words_of = (stream.decode(), int(version), topic.decode(), state)
    return Fact(int(index), int(position), made, hashes, told, *words_of)


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
    totals: dict[tuple[str, str, str], int] = {}
    if kind == WHOLE:
        return Result(head, check_whole(facts_of(source, 2), head, heads, totals), totals)
    statement = next(source, b"") if kind == STATEMENT else b""
    seen: list[Fact] = []
    first = 2 if kind == PART else 3
    count = check_part(facts_of(source, first), head, heads, totals, None if kind == PART else seen)
    if kind == STATEMENT:
        check_statement(statement, seen)
    return Result(head, count, totals)


def facts_of(lines: Iterator[bytes], first: int) -> Iterator[tuple[int, Fact]]:
    """The facts with their numbers of line, whose positions grow."""
    last = -1
    for number, line in enumerate(lines, start=first):
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
    seen: list[Fact] | None = None,
) -> int:
    """Some leaves, each with its proof; those that were `seen`."""
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
        if seen is not None:
            seen.append(fact)
    return count


def add(totals: dict[tuple[str, str, str], int], fact: Fact) -> None:
    """Add a fact's legs to the totals."""
    for account, amount, currency, partner, _ in fact.legs:
        place = (partner, account, currency)
        totals[place] = totals.get(place, 0) + amount


# Statements


MOVES = {
    "commission_accrued": (0, -1),
    "commission_payable": (1, -1),
    "payout_clearing": (2, -1),
    "stripe_balance": (3, -1),
    "bank_balance": (3, -1),
    "clawback_receivable": (4, 1),
    "withholding_payable": (5, -1),
}
"""Account of the chart → the column of a balance that it moves, and its sign there. All of these accounts
together, with the other sign, are the last column."""
CONTENT_VERSIONS = (1,)
"""The forms of a statement's content that are checked here."""
COLUMNS = ("pending", "available", "in_transit", "paid", "clawback", "withheld", "earned")
KINDS = {
    "RewardAccrued": "reward_accrued",
    "RewardReversed": "reward_reversed",
    "RewardMatured": "reward_matured",
    "MaturedRewardReversed": "matured_reward_reversed",
    "ClawbackOffset": "clawback_offset",
    "ClawbackWrittenOff": "clawback_written_off",
    "PayoutReserved": "payout_reserved",
    "PayoutReleased": "payout_released",
    "TransferConfirmed": "transfer_confirmed",
    "TransferReversalCredited": "transfer_reversed",
}


class Told(NamedTuple):
    """A fact of a statement's export, its words read."""

    fact: Fact
    name: str
    recorded_at: str
    words: dict[str, Any]


def check_statement(line: bytes, facts: Sequence[Fact]) -> None:
    """A statement against the facts that it rests on, which are proven."""
    content = line.removesuffix(b"\n")
    try:
        statement = json.loads(content)
        told = [read_words(fact) for fact in facts]
        check_told(statement, sha256(content).hexdigest(), told)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise Wrong(f"line 2: no statement, or a fact is not of its form: {error!r}") from None


def read_words(fact: Fact) -> Told:
    """The words of a fact."""
    state = json.loads(fact.state)
    return Told(fact, fact.topic.partition("@")[0], state["recorded_at"], state["fact"])


def check_told(statement: dict[str, Any], digest: str, told: Sequence[Told]) -> None:
    """Everything that a statement says, as far as the file shows it."""
    issues = [each for each in told if each.name == "StatementIssued"]
    closings = [each for each in told if each.name == "PeriodClosed"]
    issued = next((each for each in issues if each.words["content_sha256"] == digest), None)
    if issued is None:
        raise Wrong(f"line 2: no proven fact has issued this statement (its SHA-256 is {digest})")
    check_issue(statement, issued)
    check_opening(statement, [each for each in issues if each is not issued])
    closed, through = check_month(statement, closings)
    lines = [each for each in told if each not in issues and each not in closings]
    if [line["position"] for line in statement["lines"]] != [each.fact.position for each in lines]:
        raise Wrong("line 2: its lines are not the facts that stand below it, in their order")
    sums = amounts(statement["opening"])
    for line, each in zip(statement["lines"], lines, strict=True):
        check_line(statement, line, each)
        check_rule(statement, line, closed, through)
        sums = [have + more for have, more in zip(sums, amounts(line["moved"]), strict=True)]
    if sums != amounts(statement["closing"]):
        raise Wrong("line 2: its opening balance and lines do not make its closing balance")
    if statement["tax_withheld_minor"] != sums[5] - amounts(statement["opening"])[5]:
        raise Wrong("line 2: the tax withheld is not what its lines withhold")


def check_issue(statement: dict[str, Any], issued: Told) -> None:
    """Number, version, whose it is, balances, as the fact of its issue has them; the stream numbers it."""
    words = issued.words
    if words["content_version"] not in CONTENT_VERSIONS:
        raise Wrong(f"line 2: issued in form {words['content_version']}, which this verifier does not know")
    said = {
        "content_version": statement["content_version"],
        "number": statement["number"],
        "statement_version": statement["version"],
        "program_id": statement["program"]["program_id"],
        "partner_id": statement["partner"]["partner_id"],
        "period": statement["period"]["period"],
        "currency": statement["currency"],
        "opening": statement["opening"],
        "closing": statement["closing"],
        "lines": len(statement["lines"]),
        "count": issued.fact.version,
    }
    for name, value in said.items():
        if words[name] != value:
            raise Wrong(f"line 2: its {name} is {value}, and it was issued with {words[name]}")
    if not statement["number"].endswith(f"-{issued.fact.version:06}"):
        raise Wrong(f"line 2: number {statement['number']} is the {issued.fact.version}th of its program")


def check_opening(statement: dict[str, Any], others: Sequence[Told]) -> None:
    """The opening balance is the closing balance of the statement before; without one it is nothing.

    A correction stands beside the version before it.
    """
    opening = {f"{name}_minor": 0 for name in COLUMNS}
    corrected = None
    for other in others:
        words = other.words
        mine = (statement["program"]["program_id"], statement["partner"]["partner_id"], statement["currency"])
        if (words["program_id"], words["partner_id"], words["currency"]) != mine:
            raise Wrong(f"position {other.fact.position}: statement {words['number']} is of another account")
        if words["period"] < statement["period"]["period"]:
            opening = words["closing"]
        else:
            corrected = (words["number"], words["statement_version"] + 1)
    if corrected != (statement["corrects"] and (statement["corrects"], statement["version"])):
        raise Wrong(f"line 2: it corrects {statement['corrects']}, and below it stands {corrected}")
    if statement["opening"] != opening:
        raise Wrong("line 2: its opening balance is not the closing balance of the statement before")


def check_month(statement: dict[str, Any], closings: Sequence[Told]) -> tuple[dict[str, Any], int]:
    """The closing of its month, and the position through which the month before was closed."""
    month = statement["period"]
    closed = next((each for each in closings if each.words["period"] == month["period"]), None)
    if closed is None or closed.words["program_id"] != statement["program"]["program_id"]:
        raise Wrong(f"line 2: no proven fact has closed {month['period']}")
    words = closed.words
    for name in ("begins_at", "ends_at"):
        if words[name] != month[name]:
            raise Wrong(f"line 2: {name} is {month[name]}, and the month was closed with {words[name]}")
    if closed.recorded_at != month["closed_at"] or words["time_zone"] != statement["program"]["time_zone"]:
        raise Wrong("line 2: the month was closed at another time, or in another time zone")
    before = [each for each in closings if each is not closed]
    places = [(each.fact.stream, each.fact.version, each.words["program_id"]) for each in before]
    # A closing is followed by a fact with the program's totals, which is nobody's but finance's.
    wanted = (closed.fact.stream, closed.fact.version - 2, words["program_id"])
    if places != ([] if closed.fact.version == 1 else [wanted]):
        raise Wrong("line 2: the closing of the month before does not stand below it")
    if before and before[0].words["ends_at"] != words["begins_at"]:
        raise Wrong("line 2: its month does not begin where the one before ended")
    return words, before[0].words["through_position"] if before else 0


def check_line(statement: dict[str, Any], line: dict[str, Any], each: Told) -> None:
    """A line says what its fact and legs say."""
    where = f"line 2, position {each.fact.position}"
    mine = (statement["currency"], statement["partner"]["partner_id"], statement["program"]["program_id"])
    moved = [0] * len(COLUMNS)
    for account, amount, *of in each.fact.legs:
        if tuple(of) != mine:
            raise Wrong(f"{where}: its legs are of another account")
        if account in MOVES:
            column, sign = MOVES[account]
            moved[column] += sign * amount
            moved[-1] -= amount
    if amounts(line["moved"]) != moved:
        raise Wrong(f"{where}: it moved {amounts(line['moved'])}, and its legs say {moved}")
    said = {"kind": KINDS.get(each.name), "recorded_at": each.recorded_at, "reason": each.words.get("reason")}
    said["effective_at"] = each.words["effective_at"]
    said["payout_id"] = each.fact.stream if each.name == "TransferConfirmed" else each.words.get("payout_id")
    for name in ("reward_id", "conversion_id"):
        said[name] = each.words.get(name)
    for name, value in said.items():
        if line[name] != value:
            raise Wrong(f"{where}: its {name} is {line[name]}, and the fact says {value}")


def check_rule(statement: dict[str, Any], line: dict[str, Any], closed: dict[str, Any], through: int) -> None:
    """A line is of the month: true in it; or earlier, and told after that was closed, which it then says."""
    where = f"line 2, position {line['position']}"
    at, begins, ends = (
        datetime.fromisoformat(text)
        for text in (line["effective_at"], closed["begins_at"], closed["ends_at"])
    )
    if at >= ends or line["position"] > closed["through_position"]:
        raise Wrong(f"{where}: it is of a later month")
    month = line["belongs_to"]
    if at >= begins and month is not None:
        raise Wrong(f"{where}: it says that it belongs to {month}, and it is of this month")
    if at < begins and (month is None or month >= statement["period"]["period"]):
        raise Wrong(f"{where}: it is of an earlier month, and does not say so")
    if at < begins and line["position"] <= through:
        raise Wrong(f"{where}: it was known when the month before was closed, and is not of this one")


def amounts(columns: dict[str, int]) -> list[int]:
    """The columns of a balance."""
    if list(columns) != [f"{name}_minor" for name in COLUMNS]:
        raise ValueError("a balance has other columns")
    return list(columns.values())


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
