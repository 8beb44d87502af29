"""Checks an export of the revshare audit log, or a statement. A single file: nothing of revshare is needed.

    python revshare_verify.py EXPORT --key 'name+id+base64' [--kept CHECKPOINT]... [--totals]

It takes Python 3.11 or newer and the package `cryptography`. It says yes and ends with 0, or names the first
thing that is wrong and ends with 1. Of a statement it also says what of it nothing in the file shows. The
format, and all that is checked here, stands in docs/audit-log.md: read both and believe neither.
"""

import argparse
import json
import re
import sys
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple, NoReturn
from uuid import NAMESPACE_URL, UUID, uuid5
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

WHOLE, PART, STATEMENT = "revshare log export", "revshare log part", "revshare statement"
VERSIONS = {WHOLE: (1,), PART: (1,), STATEMENT: (1, 2)}
"""The versions of each kind of file that are checked here."""
LEFT_OUT = "that no fact was left out; the whole log shows that"
MAGIC = b"revshare entry v1\n"
ID = rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
NUMBER, AMOUNT = rb"(?:0|[1-9][0-9]{0,19})", rb"(?:0|-?[1-9][0-9]{0,18})"
TEXT, HASH = rb'[^"\\\x00-\x1f]*', rb"[0-9a-f]{64}"
LEG = (TEXT, AMOUNT, TEXT, ID, ID, NUMBER)


def leg_form(parts: Iterable[bytes]) -> bytes:
    """How a leg is written: account, amount, currency, program, partner, version of the posting rule."""
    return rb'\["%b",%b,"%b","%b","%b",%b\]' % tuple(parts)


def list_form(item: bytes) -> bytes:
    """How a list is written."""
    return rb"\[((?:%b(?:,%b)*)?)\]" % (item, item)


LEGS = re.compile(leg_form(b"(%b)" % part for part in LEG))
LINE = re.compile(
    rb'\{"index":(%b),"position":(%b),"stream":"(%b)","version":(%b),"topic":"(%b)","legs":%b,"leaf":"(%b)",'
    rb'(?:"proof":%b,)?(?:"state":(.*)|"words":\[(%b),"(%b)"\])\}\n'
    % (
        *(NUMBER, NUMBER, ID, NUMBER, TEXT, list_form(leg_form(LEG)), HASH, list_form(b'"%b"' % HASH)),
        *(NUMBER, HASH),
    ),
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
    """A line of an export: its place in the tree and in the log, its leaf and proof, its legs and words.

    `state` is None if the line has its words by their hash only.
    """

    place: int
    position: int
    leaf: bytes
    proof: list[bytes] | None
    legs: list[tuple[str, int, str, str, str]]
    """Account, amount, currency, partner, program."""
    stream: str
    version: int
    topic: str
    state: bytes | None


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


def parse_header(line: bytes) -> tuple[str, int, str]:
    """Which kind of export it is, in which version, and its checkpoint."""
    try:
        header = parsed(line)
        kind, version, note = header["format"], header["version"], header["checkpoint"]
        is_written = written({"format": kind, "version": version, "checkpoint": note}) + b"\n" == line
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Wrong("line 1: no header of an export") from None
    if [type(kind), type(version), type(note)] != [str, int, str] or not is_written:
        raise Wrong("line 1: no header of an export, or not written as it must be")
    if version not in VERSIONS.get(kind, ()):
        raise Wrong(f"line 1: {quoted(kind)} of version {version}, which this verifier does not know")
    return kind, version, note


def parsed(raw: bytes) -> Any:
    """What a JSON text says, if every reader finds the same in it: UTF-8, no name twice, no NaN."""
    return json.loads(raw.decode(), object_pairs_hook=named_once, parse_constant=no_number)


def named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, none of whose names stands there twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"a name stands there twice: {quoted([name for name, _ in pairs])}")
    return found


def no_number(text: str) -> NoReturn:
    """NaN and the like, which Python takes and JSON does not."""
    raise ValueError(f"{text} is no number")


def written(value: object) -> bytes:
    """The one way in which JSON is written here."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def parse_line(number: int, line: bytes) -> Fact:
    """A fact, whose leaf is the hash of all that the line says."""
    match = LINE.fullmatch(line)
    if match is None:
        raise Wrong(f"line {number}: not written as a fact must be")
    index, position, stream, version, topic, posted, leaf, proof, state, length, digest = match.groups()
    where = f"line {number} (index {index.decode()}, position {position.decode()})"
    legs = LEGS.findall(posted)
    shown = (length, digest) if state is None else (len(state), sha256(state).hexdigest().encode())
    try:
        head = int(position).to_bytes(8, "big") + unhyphened(stream) + int(version).to_bytes(8, "big")
        words = int(shown[0]).to_bytes(4, "big") + bytes.fromhex(shown[1].decode())
        packed = len(legs).to_bytes(2, "big") + b"".join(packed_leg(*leg) for leg in legs)
        made = sha256(b"\x00" + MAGIC + head + text(topic) + words + packed).digest()
        told = [(leg[0].decode(), int(leg[1]), *(leg[at].decode() for at in (2, 4, 3))) for leg in legs]
        words_of = (stream.decode(), int(version), topic.decode(), state)
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
    """By partner, account, currency; of a statement, what its lines sum to."""
    remarks: tuple[str, ...]
    """What vouches for the tree; of a statement which one it is; and what was not checked."""


def verify(lines: Iterable[bytes], key: Key | None, kept: Sequence[str] = ()) -> Result:
    """Check an export, line by line. Raises Wrong."""
    source = iter(lines)
    kind, version, note = parse_header(next(source, b""))
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
    vouched = vouched_by(key, heads)
    if kind == WHOLE:
        count = check_whole(facts_of(source, 2), head, heads, totals)
        return Result(head, count, totals, (vouched, "not checked: whether what the facts say is so"))
    if kind == PART:
        count = check_part(facts_of(source, 2), head, heads, totals)
        return Result(head, count, totals, (vouched, f"not shown by a part: {LEFT_OUT}"))
    statement = next(source, b"")
    seen: list[Fact] = []
    count = check_part(facts_of(source, 3, by_hash=version > 1), head, heads, {}, seen)
    lines_of, remarks = check_statement(statement, seen, version)
    for fact in lines_of:
        add(totals, fact)
    return Result(head, count, totals, (vouched, *remarks))


def vouched_by(key: Key | None, heads: dict[int, Head]) -> str:
    """Why the tree is believed."""
    signed = "" if key is None else f"signed by the key of {key.name}"
    if not heads:
        return f"{signed}; not shown: that others are given the same tree (--kept holds it to what they keep)"
    kept = f"held to {len(heads)} kept checkpoint{'s' * (len(heads) > 1)}, of up to {max(heads)} leaves"
    return f"{signed}, {kept}" if signed else kept


def facts_of(lines: Iterator[bytes], first: int, *, by_hash: bool = False) -> Iterator[tuple[int, Fact]]:
    """The facts with their numbers of line, whose positions grow. `by_hash`: some may lack their words."""
    last = -1
    for number, line in enumerate(lines, start=first):
        fact = parse_line(number, line)
        if fact.position <= last:
            raise Wrong(f"line {number}: position {fact.position} follows {last}")
        if fact.state is None and not by_hash:
            raise Wrong(f"line {number}: its words are missing")
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


STATES = {
    "PayoutDrafted": "draft",
    "PayoutApproved": "approved",
    "PayoutCanceled": "canceled",
    "PayoutIntentRecorded": "intent",
    "TransferSent": "sent",
    "TransferUnknown": "unknown",
    "TransferSearchBegan": "unknown",
    "PayoutLeftToHuman": "held",
    "TransferFoundAbsent": "absent",
    "PayoutResolved": "absent",  # or there is one, which TransferConfirmed right behind it says
    "TransferConfirmed": "confirmed",
    "TransferRejected": "rejected",
    "BankRejectionWithdrawn": "intent",
    "PayoutPaid": "paid",
    "PayoutReturned": "returned",
}
"""A fact of a payout → the state in which it leaves the payout; after others that stays as it was."""
ROOT = str(uuid5(NAMESPACE_URL, "urn:revshare"))
ABOUT = ("PartnerApplied", "PartnerLocaleChanged")
"""The facts of a partner that a statement tells of."""
READ = {
    *KINDS,
    *ABOUT,
    *("StatementIssued", "PeriodClosed"),
    *("PayoutDrafted", "PayoutIntentRecorded", "PayoutPaid", "PayoutReversed"),
}
"""The facts whose words are read; others, of payouts, may stand there by the hash of theirs."""
FIELDS = (
    *("content_version", "number", "version", "program", "partner", "period", "currency", "opening"),
    *("closing", "lines", "payouts", "tax_withheld_minor", "corrects", "reason", "differs"),
)
"""What a statement of form 1 says, in order."""
ANYTHING = object()
"""Stands where the file shows nothing of what a statement says."""
UNCHECKED: dict[int, tuple[str, ...]] = {
    1: (
        *("/program/name", "/partner/name", "/partner/email", "/partner/country", "/partner/locale"),
        *("/payouts", "/lines/*/belongs_to", "/differs"),
    ),
    2: ("/program/name",),
}
"""By the version of the file: the places of a statement that nothing in it shows."""


class Told(NamedTuple):
    """A fact of a statement's export, its words read; there are none if it has them by their hash only."""

    fact: Fact
    name: str
    recorded_at: str
    words: dict[str, Any]


Streams = dict[str, list[Told]]
"""Facts by their streams, in order."""


class Frame(NamedTuple):
    """What stands around a statement's lines: its issue, the closing of its month, what came before."""

    issued: Told
    before: Told | None
    """The issue of the statement that the opening balance is from."""
    corrected: Told | None
    closed: Told
    closed_before: Told | None


def check_statement(line: bytes, facts: Sequence[Fact], version: int) -> tuple[list[Fact], tuple[str, ...]]:
    """A statement against the facts that it rests on, which are proven: its lines' facts, and remarks."""
    content = line.removesuffix(b"\n")
    try:
        statement = parsed(content)
        if written(statement) != content:
            raise Wrong("line 2: not written as a statement must be")
        told = [read_words(fact) for fact in facts]
        frame = frame_of(sha256(content).hexdigest(), told)
        lines = check_told(statement, frame, told, version)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise Wrong(f"line 2: no statement, or a fact is not of its form: {error!r}") from None
    name = f"{quoted(statement['number'])}, version {statement['version']}"
    gap = "a statement before it, for it opens with nothing"
    if frame.before is not None:
        gap = f"a statement between {quoted(frame.before.words['number'])} and this one"
    return [each.fact for each in lines], (
        f"statement {name}: all that it says is what these facts say, but for what was not checked",
        f"not checked, for nothing in the file shows it: {', '.join(UNCHECKED[version])}",
        f"not shown by a statement alone: {LEFT_OUT} (it could be a line, {gap}, what became of a payout or"
        " the partner at last, a later correction)",
    )


def read_words(fact: Fact) -> Told:
    """The words of a fact."""
    name = fact.topic.partition("@")[0]
    if fact.state is None:
        if name in READ:
            raise Wrong(f"position {fact.position}: its words are missing")
        return Told(fact, name, "", {})
    state = parsed(fact.state)
    return Told(fact, name, state["recorded_at"], state["fact"])


def check_told(statement: dict[str, Any], frame: Frame, told: Sequence[Told], version: int) -> list[Told]:
    """Work out by the facts what the statement must say, and hold it to that. Its lines' facts."""
    streams = streams_of(told)
    lines = lines_of(told, frame)
    if [line["position"] for line in statement["lines"]] != [each.fact.position for each in lines]:
        raise Wrong("line 2: its lines are not the facts that stand below it, in their order")
    expected_lines, months = [], []
    for said, each in zip(statement["lines"], lines, strict=True):
        belongs_to, closing = month_of(said, each, streams, frame, version)
        expected_lines.append(line_of(said, each, frame.issued.words) | {"belongs_to": belongs_to})
        months.append(closing)
    payouts = list(dict.fromkeys(line["payout_id"] for line in expected_lines if line["payout_id"]))
    expected = {
        **head_of(statement, frame),
        **money_of(frame, expected_lines),
        **details_of(streams, frame, payouts, version),
        "corrects": frame.corrected and frame.corrected.words["number"],
        "reason": frame.corrected and frame.issued.words["reason"],
    }
    if version > 1:
        expected["partner"] |= partner_of(streams, frame.issued.words)
    hold("/lines", statement["lines"], expected_lines)  # first: balances follow from them
    hold("", statement, {name: expected[name] for name in FIELDS})
    check_issue(frame, expected)
    known = {each.fact.position for each in (*frame, *lines, *months) if each is not None}
    check_use(told, known, frame.issued.words["partner_id"], set(payouts), version)
    return lines


def streams_of(told: Sequence[Told]) -> Streams:
    """The facts by their streams, in whose order they stand: none twice, none before an earlier one."""
    streams: Streams = {}
    for each in told:
        stream = streams.setdefault(each.fact.stream, [])
        if stream and each.fact.version <= stream[-1].fact.version:
            before = stream[-1].fact
            raise Wrong(
                f"position {each.fact.position}: version {each.fact.version} of its stream follows"
                f" version {before.version} at position {before.position}"
            )
        stream.append(each)
    return streams


def head_of(statement: dict[str, Any], frame: Frame) -> dict[str, Any]:
    """Which statement it is, and whose."""
    issue, closed = frame.issued.words, frame.closed.words
    program, partner = statement["program"]["reference"], statement["partner"]["reference"]
    if not isinstance(statement["program"]["name"], str):
        raise Wrong("line 2: /program/name is no text")
    made_of((program,), "/program/reference", (ROOT, "program"), issue["program_id"])
    made_of((partner,), "/partner/reference", (ROOT, "partner"), issue["partner_id"])
    for each in (frame.issued, frame.before, frame.corrected):
        if each is not None and each.words["number"] != f"{program}-{each.fact.version:06}":
            number = quoted(each.words["number"])
            raise Wrong(f"position {each.fact.position}: it is not number {each.fact.version}: {number}")
    return {
        "content_version": CONTENT_VERSIONS[CONTENT_VERSIONS.index(issue["content_version"])],
        "number": f"{program}-{frame.issued.fact.version:06}",
        "version": 1 if frame.corrected is None else frame.corrected.words["statement_version"] + 1,
        "program": {
            "program_id": issue["program_id"],
            "reference": program,
            "name": ANYTHING,
            "time_zone": closed["time_zone"],
        },
        "partner": {
            "partner_id": issue["partner_id"],
            "reference": partner,
            **dict.fromkeys(("name", "email", "country", "locale"), ANYTHING),
        },
        "period": {
            **{name: closed[name] for name in ("period", "begins_at", "ends_at")},
            "closed_at": frame.closed.recorded_at,
        },
        "currency": issue["currency"],
    }


def money_of(frame: Frame, lines: list[dict[str, Any]]) -> dict[str, Any]:
    """The opening balance is the closing balance of the statement before, without one it is nothing; with the
    lines it makes the closing balance."""
    opening = {f"{name}_minor": 0 for name in COLUMNS}
    if frame.before is not None:
        opening = {name: frame.before.words["closing"][name] for name in opening}
    moves = [opening, *(line["moved"] for line in lines)]
    closing = {name: sum(each[name] for each in moves) for name in opening}
    withheld = closing["withheld_minor"] - opening["withheld_minor"]
    return {"opening": opening, "closing": closing, "lines": lines, "tax_withheld_minor": withheld}


def hold(pointer: str, said: Any, expected: Any) -> None:
    """Names the first place at which a statement says something else than what its facts do."""
    if expected is ANYTHING:
        return
    if type(said) is type(expected) and isinstance(said, dict):
        if list(said) == list(expected):
            for name, value in said.items():
                hold(f"{pointer}/{name}", value, expected[name])
            return
        said, expected = list(said), list(expected)
    if type(said) is type(expected) and isinstance(said, list) and len(said) == len(expected):
        for number, value in enumerate(said):
            hold(f"{pointer}/{number}", value, expected[number])
        return
    if type(said) is not type(expected) or said != expected:
        raise Wrong(
            f"line 2: {pointer or '/'} is {quoted(said)}, and the facts below it say {quoted(expected)}"
        )


def quoted(value: Any) -> str:
    """A value in a message."""
    told = json.dumps(value, ensure_ascii=False, default=lambda _other: "anything")
    return told if len(told) <= 120 else f"{told[:120]}…"


def derived(parent: str, *names: str) -> str:
    """The id of what is called so: version 5 of RFC 9562, below its parent's id."""
    if not re.fullmatch(ID.decode(), parent):
        raise Wrong(f"line 2: {quoted(parent)} is no id")
    return str(uuid5(UUID(parent), "\x1f".join(names)))


def made_of(names: Sequence[str], pointer: str, noun: tuple[str, str], wanted: str) -> None:
    """Names from outside, of which an id was made: so the id shows that they are the ones."""
    parent, kind = noun
    if any("\x1f" in name for name in names) or derived(parent, kind, *names) != wanted:
        raise Wrong(f"line 2: {pointer} is {quoted(list(names))}, and {wanted} is the id of something else")


def account_of(words: dict[str, Any]) -> tuple[str, str, str]:
    """Whose money a fact is about."""
    return words["currency"], words["partner_id"], words["program_id"]


# What stands around the lines


def frame_of(digest: str, told: Sequence[Told]) -> Frame:
    """The issue of the statement with this hash, what came before it, and the closing of its month."""
    issues = [each for each in told if each.name == "StatementIssued"]
    issued = next((each for each in issues if each.words["content_sha256"] == digest), None)
    if issued is None:
        raise Wrong(f"line 2: no proven fact has issued this statement (its SHA-256 is {digest})")
    words = issued.words
    if words["content_version"] not in CONTENT_VERSIONS:
        raise Wrong(f"line 2: issued in form {words['content_version']}, which this verifier does not know")
    before = corrected = None
    for other in issues:
        if other is issued:
            continue
        if account_of(other.words) != account_of(words) or other.fact.stream != issued.fact.stream:
            number = quoted(other.words["number"])
            raise Wrong(f"position {other.fact.position}: statement {number} is of another account")
        is_earlier = other.fact.position < issued.fact.position
        if is_earlier and other.words["period"] == words["period"] and corrected is None:
            corrected = other
        elif is_earlier and opens_next(other, words["period"]) and before is None:
            before = other
        else:
            raise Wrong(f"position {other.fact.position}: nothing of the statement rests on this")
    closed, closed_before = months_of(words, [each for each in told if each.name == "PeriodClosed"])
    frame = Frame(issued, before, corrected, closed, closed_before)
    check_order(frame)
    return frame


def opens_next(other: Told, period: str) -> bool:
    """Whether a later month can open with what this statement closed with; corrections move nothing."""
    return bool(other.words["period"] < period) and other.words["statement_version"] == 1


def months_of(issue: dict[str, Any], closings: Sequence[Told]) -> tuple[Told, Told | None]:
    """The closing of a statement's month, and that of the month before."""
    stream = derived(issue["program_id"], "periods")
    for each in closings:
        if (each.fact.stream, each.words["program_id"]) != (stream, issue["program_id"]):
            raise Wrong(f"position {each.fact.position}: no closing of the statement's program")
    closed = next((each for each in closings if each.words["period"] == issue["period"]), None)
    if closed is None:
        raise Wrong(f"line 2: no proven fact has closed {issue['period']}")
    # A closing is followed by a fact with the program's totals, which is nobody's but finance's.
    number = closed.fact.version - 2
    before = next((each for each in closings if each.fact.version == number), None)
    if before is None and closed.fact.version != 1:
        raise Wrong("line 2: the closing of the month before does not stand below it")
    if before is not None and before.words["ends_at"] != closed.words["begins_at"]:
        raise Wrong("line 2: its month does not begin where the one before ended")
    return closed, before


def check_order(frame: Frame) -> None:
    """An issue stands in its program's stream, behind all that it looks at, in the place that numbers it."""
    issued, words, corrected = frame.issued, frame.issued.words, frame.corrected
    where = f"position {issued.fact.position}"
    if issued.fact.stream != derived(words["program_id"], "statements"):
        raise Wrong(f"{where}: it issues a statement outside of the program's stream of them")
    through, details = frame.closed.words["through_position"], words["details_position"]
    if not through < frame.closed.fact.position < issued.fact.position:
        closed = frame.closed.fact.position
        raise Wrong(f"{where}: its month was closed at position {closed}, by what stood up to {through}")
    last = "" if frame.closed_before is None else frame.closed_before.words["period"]
    if frame.before is not None and frame.before.words["period"] > last:
        raise Wrong(f"{where}: it opens with a month that was not closed before")
    if corrected is None:
        if words["statement_version"] != 1 or words.get("corrects") is not None or words.get("reason"):
            raise Wrong(f"{where}: it corrects a statement, which does not stand below it")
        if details != through:
            raise Wrong(f"{where}: it looks at position {details}, and its month was closed at {through}")
        return
    old = corrected.words
    if words.get("corrects") != derived(words["program_id"], "statement", str(corrected.fact.version)):
        raise Wrong(f"{where}: it corrects another statement than {old['number']}")
    if not old["details_position"] <= details < issued.fact.position:
        raise Wrong(f"{where}: it looks at position {details}, before what it corrects or behind itself")


def check_issue(frame: Frame, expected: dict[str, Any]) -> None:
    """The fact of the issue says what the statement does."""
    words = frame.issued.words
    said = {
        "count": frame.issued.fact.version,
        "statement_version": expected["version"],
        "period": expected["period"]["period"],
        "opening": expected["opening"],
        "closing": expected["closing"],
        "lines": len(expected["lines"]),
    }
    for name, value in said.items():
        if words[name] != value:
            raise Wrong(
                f"line 2: its {name} is {quoted(value)}, and it was issued with {quoted(words[name])}"
            )


def check_use(
    told: Sequence[Told], known: set[int], partner: str, payouts: Collection[str], version: int
) -> None:
    """Nothing stands in the file that the statement does not rest on, and nothing but its lines moves money,
    except that a payout's transfer may be of another month. `known`: positions of what it does rest on,
    beside the facts of its partner and payouts."""
    for each in told:
        about = {partner} if each.name in ABOUT else payouts
        if each.fact.position not in known and (
            version == 1
            or each.fact.stream not in about
            or (each.fact.legs and each.name != "TransferConfirmed")
        ):
            raise Wrong(f"position {each.fact.position}: nothing of the statement rests on this")


# Lines


def lines_of(told: Sequence[Told], frame: Frame) -> list[Told]:
    """The facts that moved the account's money and are of the month: true in it; or earlier, and told after
    that was closed."""
    closed, through = frame.closed.words, 0
    if frame.closed_before is not None:
        through = frame.closed_before.words["through_position"]
    begins, ends = (moment(closed[name]) for name in ("begins_at", "ends_at"))
    found = []
    for each in told:
        if each.name not in KINDS or not each.fact.legs:
            continue
        where, at = each.fact.position, moment(each.words["effective_at"])
        is_earlier = at < begins and where <= through
        if not is_earlier and at < ends and where <= closed["through_position"]:
            found.append(each)
        elif each.name != "TransferConfirmed":
            raise Wrong(f"position {where}: this is of {'an earlier' if is_earlier else 'a later'} month")
    return found


def moment(text: str) -> datetime:
    """A time as it is written."""
    return datetime.fromisoformat(text)


def line_of(said: dict[str, Any], each: Told, issue: dict[str, Any]) -> dict[str, Any]:
    """What a line must say, by its fact and legs; but the month that it belongs to."""
    moved = [0] * len(COLUMNS)
    for account, amount, *of in each.fact.legs:
        if tuple(of) != account_of(issue):
            raise Wrong(f"position {each.fact.position}: its legs are of another account")
        if account in MOVES:
            column, sign = MOVES[account]
            moved[column] += sign * amount
            moved[-1] -= amount
    words, conversion = each.words, each.words.get("conversion_id")
    source = external_id = None
    if conversion:
        source, external_id = said["source"], said["external_id"]
        where = f"source and external_id at position {each.fact.position}"
        made_of((source, external_id), where, (issue["program_id"], "conversion"), conversion)
    return {
        "position": each.fact.position,
        "effective_at": words["effective_at"],
        "recorded_at": each.recorded_at,
        "kind": KINDS[each.name],
        "moved": {f"{name}_minor": amount for name, amount in zip(COLUMNS, moved, strict=True)},
        "conversion_id": conversion,
        "source": source,
        "external_id": external_id,
        "reward_id": words.get("reward_id"),
        "payout_id": each.fact.stream if each.name == "TransferConfirmed" else words.get("payout_id"),
        "reason": words.get("reason"),
    }


def month_of(
    said: dict[str, Any], each: Told, streams: Streams, frame: Frame, version: int
) -> tuple[Any, Told | None]:
    """The earlier month to which a late line belongs, and the closing that shows it; of all others None."""
    at, closed = moment(each.words["effective_at"]), frame.closed.words
    if at >= moment(closed["begins_at"]):
        return None, None
    if version == 1:
        if not isinstance(said["belongs_to"], str) or said["belongs_to"] >= closed["period"]:
            raise Wrong(f"position {each.fact.position}: it is of an earlier month, and does not say so")
        return ANYTHING, None
    for other in (each for each in streams[frame.closed.fact.stream] if each.name == "PeriodClosed"):
        begins = moment(other.words["begins_at"])
        if begins <= at < moment(other.words["ends_at"]):
            return other.words["period"], other
        if at < begins and other.fact.version == 1:  # before all that was closed: by the calendar there
            return at.astimezone(zone_of(closed["time_zone"])).strftime("%Y-%m"), other
    raise Wrong(f"position {each.fact.position}: the closing of its month does not stand below")


def zone_of(name: str) -> ZoneInfo:
    """A time zone, as this machine knows it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError):  # which of them: a name may be that of a folder
        raise Wrong(f"this machine can't tell: it has no time zone {name} (`pip install tzdata`)") from None


# Partner and payouts


def details_of(streams: Streams, frame: Frame, payouts: Sequence[str], version: int) -> dict[str, Any]:
    """The payouts as they stood at the position that the issue looks at, and what a correction says of them,
    of the partner and of balances that the statement before it did not."""
    if version == 1:
        return {"payouts": ANYTHING, "differs": ANYTHING}
    issue = frame.issued.words
    histories = {each: history_of(each, streams, issue) for each in payouts}
    views = [
        figures_of(words)
        | {
            "partner": partner_of(streams, words),
            "payouts": [payout_of(histories[each], words["details_position"]) for each in payouts],
        }
        for words in (issue, *(each.words for each in (frame.corrected,) if each is not None))
    ]
    now, *before = (flat("", view) for view in views)
    differs = [
        {"pointer": pointer, "was": was[pointer], "now": now[pointer]}
        for was in before
        for pointer in sorted(now)
        if was[pointer] != now[pointer]
    ]
    return {"payouts": views[0]["payouts"], "differs": differs}


def figures_of(issue: dict[str, Any]) -> dict[str, Any]:
    """What an issue says of the lines and balances. No correction can have others without saying so."""
    found: dict[str, Any] = {"lines": issue["lines"]}
    for name in ("opening", "closing"):
        found[name] = {f"{column}_minor": issue[name][f"{column}_minor"] for column in COLUMNS}
    return found


def flat(pointer: str, value: Any) -> dict[str, str | None]:
    """Every single value in something, as a text, by its pointer."""
    if not isinstance(value, dict | list):
        return {pointer: None if value is None else str(value)}
    found: dict[str, str | None] = {}
    for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
        found |= flat(f"{pointer}/{name}", inner)
    return found


def partner_of(streams: Streams, issue: dict[str, Any]) -> dict[str, Any]:
    """What the partner applied with, and the last language that somebody said, up to the issue's position."""
    mine = [each for each in streams.get(issue["partner_id"], ()) if each.name in ABOUT]
    mine = [each for each in mine if each.fact.position <= issue["details_position"]]
    if not mine or (mine[0].name, mine[0].fact.version) != ("PartnerApplied", 1):
        raise Wrong("line 2: what its partner applied with does not stand below it")
    found = {name: mine[0].words.get(name) for name in ("name", "email", "country")}
    return found | {"locale": mine[-1].words.get("locale")}


def history_of(payout: str, streams: Streams, issue: dict[str, Any]) -> list[Told]:
    """A payout's facts from the first on, without a gap; it is of the statement's account."""
    found = streams.get(payout, [])
    if [each.fact.version for each in found] != list(range(1, len(found) + 1)):
        raise Wrong(f"line 2: facts of payout {payout} are missing below it")
    if not found or found[0].name != "PayoutDrafted" or account_of(found[0].words) != account_of(issue):
        raise Wrong(f"line 2: payout {payout} was not drafted for this account")
    if found[-1].fact.position > issue["details_position"]:
        raise Wrong(f"position {found[-1].fact.position}: the statement does not look so far")
    return found


def payout_of(history: Sequence[Told], until: int) -> dict[str, Any]:
    """A payout as its facts up to a position leave it."""
    draft = history[0].words
    state, transfer, reference = "none", None, None
    times = dict.fromkeys(("intent_at", "confirmed_at", "paid_at"))
    for each in history:
        if each.fact.position > until:
            break
        state = STATES.get(each.name, state)
        match each.name:
            case "PayoutIntentRecorded":
                times["intent_at"] = each.words["effective_at"]
            case "TransferConfirmed":
                times["confirmed_at"], transfer = each.words["effective_at"], each.words["transfer_id"]
            case "PayoutPaid":
                times["paid_at"], reference = each.words["effective_at"], each.words.get("reference")
            case "PayoutReversed" if not each.words.get("left_minor"):
                state = "reversed"
            case "PayoutDrafted" if each is not history[0]:
                raise Wrong(f"position {each.fact.position}: a payout is drafted once")
    withheld = draft.get("withheld_minor", 0)
    return {
        "payout_id": history[0].fact.stream,
        "state": state,
        "provider": draft.get("provider", "stripe"),
        "amount_minor": draft["amount_minor"],
        "withheld_minor": withheld,
        "net_minor": draft["amount_minor"] - withheld,
        "reference": transfer or reference,
        **times,
    }


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
        say(f"no: {error}")
        return 1
    if options.totals:
        for (partner, account, currency), amount in sorted(result.totals.items()):
            say(f"{partner} {account} {amount} {currency}")
    head = result.head
    say(f"yes: {result.facts} facts of the tree of {head.size} leaves of {head.origin}")
    for remark in result.remarks:
        say(remark)
    return 0


def say(line: str) -> None:
    """Print a line. Names in it are the issuer's choice, who could write a line of its own with them, or over
    this one: what does not print, or not here, is shown by its number."""
    shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)
    encoding = sys.stdout.encoding or "ascii"
    sys.stdout.write(shown.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def read(path: str) -> str:
    """A kept checkpoint."""
    with open(path, "rb") as file:
        return file.read().decode(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
