"""The door for conversions: bytes → commands → facts, many at once, each with an answer of its own."""

import json
import re
from collections.abc import Sequence
from datetime import UTC
from typing import Any, Final, Literal, cast, get_args
from uuid import UUID

import msgspec

from ledger import conversion, ids, program
from ledger.commands import (
    REFERENCE_PATTERN,
    ConversionCommand,
    PositiveAmountMinor,
    RecordMilestone,
    RecordRenewal,
    RecordSale,
    RecordSignup,
    RecordUsage,
)
from ledger.events.base import Recorded
from ledger.money import CURRENCY_DIGITS
from ledger.refusals import LostRace, Refusal
from ledger.store.application import ATTEMPTS_MAX, Change, Decider, Ledger, Loaded

CONVERSION: Final = Decider(conversion.INITIAL, conversion.evolve)
PROGRAM: Final = Decider(program.INITIAL, program.evolve)
BATCH_ITEMS_MAX: Final = 10_000
PART_ITEMS: Final = 2_500
"""How many items of a batch are decoded, decided and sent to be written at once."""
_NEW: Final = frozenset[type]((RecordSale, RecordRenewal, RecordUsage, RecordSignup, RecordMilestone))


class Problem(msgspec.Struct, frozen=True):
    """Why an item was not taken: the refusal's name, a sentence, a JSON pointer to the field at fault."""

    type: str
    detail: str
    pointer: str = ""


class ItemProblem(msgspec.Struct, frozen=True):
    """An item that could not even be read."""

    problem: Problem


class ItemResult(msgspec.Struct, frozen=True, gc=False):
    """What became of an item. `position` is that of its fact in the log, where it is new."""

    status: Literal["new", "duplicate", "conflict", "invalid"]
    conversion_id: UUID | None = None
    position: int | None = None
    problem: Problem | None = None


class TooManyItems(Refusal):
    """A batch holds more items than one request may."""


class Unreadable(Refusal):
    """The body is no JSON of the shape asked for."""


Item = ConversionCommand | ItemProblem
Unread = bytes | msgspec.Raw
"""The JSON of an item that nobody has decoded yet."""

_decoder: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(ConversionCommand)
_raw_items: Final = msgspec.json.Decoder(list[msgspec.Raw])


def decode_item(body: bytes | memoryview | msgspec.Raw) -> Item:
    """One item from JSON, validated by one typed decode."""
    plain = body if isinstance(body, bytes) else bytes(body)
    escaped = b"\\" in plain
    try:
        command = cast(ConversionCommand, _decoder.decode(body))
        # Without escapes the quotes tell how many texts there are: where it is as many as a command of its
        # kind needs, and once a product, no name stands twice, and most bodies need no closer look.
        extra = plain.count(b'"') - _QUOTES[type(command)]
        if escaped or (extra and extra != _of_product(command, plain) and _twice(plain)):
            check_names(plain)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return ItemProblem(problem_of(error))
    # Control characters come in JSON by escapes only, but for DEL.
    return _checked(command, references=escaped or b"\x7f" in plain)


def _quotes(kind: type[msgspec.Struct]) -> int:
    """How many quotes the JSON of a command has at least: two of each name, and of each text.
    One of the names, and of the texts, is the kind."""
    needed = [field.type for field in msgspec.structs.fields(kind) if field.required]
    texts = [of for of in needed if of != PositiveAmountMinor]
    return 2 * len(needed) + 2 * len(texts) + 4


def _of_product(command: ConversionCommand, body: bytes) -> int:
    """How many quotes a product adds that stands there once, its name's and its own: nobody needs to tell it,
    and many do. Null counts as encoders without blanks write it; other bodies are looked at closer."""
    if getattr(command, "product", None) is not None:
        return 4
    return 2 if b'"product":null' in body else 0


_names: Final = re.compile(rb'"(\w+)"\s*:').findall


def _twice(body: bytes) -> bool:
    """Whether a name stands twice in an object without escapes and without objects within."""
    names = _names(body)
    return len(set(names)) != len(names)


_QUOTES: Final = {kind: _quotes(kind) for kind in get_args(ConversionCommand)}


def check_names(body: bytes) -> None:
    """That no object of a JSON document has a name twice, of which readers take one or the other. Raises
    msgspec.DecodeError. The document was decoded already: only its names are looked at.
    """
    json.loads(body, object_pairs_hook=_named_once, parse_int=str, parse_float=str)


def _named_once(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise msgspec.DecodeError(f"the name {twice!r} stands there twice")


def convert_item(data: Any) -> Item:
    """One item from JSON values that were decoded already (the data of a CloudEvent)."""
    try:
        command = cast(ConversionCommand, msgspec.convert(data, ConversionCommand))
        msgspec.json.encode(command)  # other decoders let half a surrogate pair pass, which no UTF-8 holds
    except (msgspec.ValidationError, UnicodeEncodeError, RecursionError) as error:
        return ItemProblem(problem_of(error))
    return _checked(command, references=True)


_REFERENCE: Final = re.compile(REFERENCE_PATTERN)
_REFERENCES: Final = ("source", "external_id", "customer", "product", "refund_id", "dispute_id")


def _checked(command: ConversionCommand, *, references: bool) -> Item:
    """The command, or the field that holds what its type lets pass, and no fact may hold."""
    currency = getattr(command, "currency", "GBP")
    # Those that there are need no closer look, which is nearly all of a batch.
    if currency not in CURRENCY_DIGITS and not (
        currency.isascii() and currency.isalpha() and currency.isupper()
    ):
        detail = "must be the three capital letters of a currency (ISO 4217)"
        return ItemProblem(Problem("InvalidField", detail, "/currency"))
    if not 1 < command.effective_at.year < 9999:
        try:
            command.effective_at.astimezone(UTC)
        except OverflowError:  # a zone can lead beyond the calendar's ends
            return ItemProblem(Problem("InvalidField", "is out of range", "/effective_at"))
    if references:
        for name in _REFERENCES:
            value = getattr(command, name, None)
            if value is not None and not _REFERENCE.match(value):
                detail = "must not hold control characters"
                return ItemProblem(Problem("InvalidField", detail, f"/{name}"))
    return command


_PATH: Final = re.compile(r" - at `\$([.\[][\w.\[\]]*)`\Z")
_NAMED_FIELD: Final = re.compile(r"(?:required|unknown) field `(.*)`\Z", re.DOTALL)


def problem_of(error: Exception) -> Problem:
    """The problem that a failed decode says, its path as a JSON pointer (RFC 6901)."""
    if isinstance(error, RecursionError):
        return Problem("Unreadable", "no valid JSON: it is nested too deeply")
    if not isinstance(error, msgspec.ValidationError):
        return Problem("Unreadable", f"no valid JSON: {error}")
    detail, pointer = str(error), ""
    path = _PATH.search(detail)
    if path is not None:
        detail = detail[: path.start()]
        pointer = path[1].replace("[...]", "").replace(".", "/").replace("[", "/").replace("]", "")
    named = _NAMED_FIELD.search(detail)
    if named is not None:
        pointer += "/" + named[1].replace("~", "~0").replace("/", "~1")
    return Problem("InvalidField", detail, pointer)


def split_array(body: bytes) -> list[Unread]:
    """The items of a JSON array, unread. Refuses what is no array, or is too long."""
    try:
        raw = _raw_items.decode(body)
    except RecursionError:
        raise Unreadable("the body is no JSON array: it is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(f"the body is no JSON array: {error}") from None
    _check_count(len(raw))
    return cast("list[Unread]", raw)


def split_ndjson(body: bytes) -> list[Unread]:
    """The items of a body of one JSON document a line, unread; empty lines are passed over."""
    lines: list[Unread] = [line for line in body.split(b"\n") if line.strip()]
    _check_count(len(lines))
    return lines


def _check_count(count: int) -> None:
    if count > BATCH_ITEMS_MAX:
        raise TooManyItems(f"{count} items; one request may hold {BATCH_ITEMS_MAX}", limit=BATCH_ITEMS_MAX)


class _Try(msgspec.Struct, gc=False):
    """The items of one stream, in the order they came, on their way to the store."""

    stream_id: UUID
    currency: str
    items: list[tuple[int, ConversionCommand]]


class _Sent(msgspec.Struct, gc=False):
    """A conversion on its way into a stream of its own."""

    index: int
    command: ConversionCommand
    stream_id: UUID
    currency: str


class Intake:
    """Records conversions and facts about them: optimistic first, by the full history where that fails."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._currencies: dict[int, str] = {}  # by the program's id as a number; they never change

    def record(self, items: Sequence[Item | Unread], *, by: str) -> list[ItemResult]:
        """Record items; each is answered for itself, in order. The answer comes after the commit.

        What is unread is decoded when its turn comes: while the database writes what stands before it.
        """
        results: list[ItemResult | None] = [None] * len(items)
        others = self._record_fresh(items, results, by)
        for _ in range(ATTEMPTS_MAX):
            if not others:
                break
            others = self._record_upon_history(others, results, by)
        for attempt in others:
            for index, _command in attempt.items:
                results[index] = _refused(LostRace("others changed the conversion at the same time"))
        return [result for result in results if result is not None]

    def _record_fresh(
        self, items: Sequence[Item | Unread], results: list[ItemResult | None], by: str
    ) -> list[_Try]:
        """Conversions as if never seen: the insert tells. Gives back the others, to be decided upon history.

        A large batch is sent in parts: while the database writes one, the next is made ready.
        """
        now = self._ledger.clock()
        seen: set[int] = set()  # streams as numbers, which hash faster
        later: list[_Sent] = []
        parts = []
        for start in range(0, len(items), PART_ITEMS):
            fresh: list[_Sent] = []
            units: list[list[Recorded]] = []
            for index in range(start, min(start + PART_ITEMS, len(items))):
                sent = self._placed(index, items[index], results)
                if sent is None:
                    continue
                if sent.stream_id.int in seen or type(sent.command) not in _NEW:
                    seen.add(sent.stream_id.int)
                    later.append(sent)
                    continue
                seen.add(sent.stream_id.int)
                try:
                    facts = conversion.decide(
                        sent.command, conversion.INITIAL, currency=sent.currency, now=now
                    )
                except Refusal as refusal:
                    results[index] = _refused(refusal, sent.stream_id)
                    continue
                fresh.append(sent)
                units.append([Recorded(sent.stream_id, 1, now, by, facts[0])])
            if units:
                parts.append((fresh, self._ledger.send_units(units)))
        for fresh, outcome in parts:
            for sent, positions in zip(fresh, outcome(), strict=True):
                if positions is None:
                    later.append(sent)
                else:
                    results[sent.index] = ItemResult("new", sent.stream_id, positions[0])
        return self._by_stream(later)

    def _placed(self, index: int, item: Item | Unread, results: list[ItemResult | None]) -> _Sent | None:
        """Where an item belongs; None where it can be answered at once."""
        if isinstance(item, bytes | msgspec.Raw):
            item = decode_item(item)
        if isinstance(item, ItemProblem):
            results[index] = ItemResult("invalid", problem=item.problem)
            return None
        currency = self._currency(item.program_id)
        if currency is None:
            problem = Problem("UnknownProgram", "no program has this id", "/program_id")
            results[index] = ItemResult("invalid", problem=problem)
            return None
        stream_id = ids.conversion_id(item.program_id, item.source, item.external_id)
        return _Sent(index, item, stream_id, currency)

    @staticmethod
    def _by_stream(sent: list[_Sent]) -> list[_Try]:
        """Items of the same stream together, in the order in which they came."""
        tries: dict[int, _Try] = {}
        for one in sorted(sent, key=lambda one: one.index):
            attempt = tries.setdefault(one.stream_id.int, _Try(one.stream_id, one.currency, []))
            attempt.items.append((one.index, one.command))
        return list(tries.values())

    def _currency(self, program_id: UUID) -> str | None:
        known = self._currencies.get(program_id.int)
        if known is None:
            state = self._ledger.load(program_id, PROGRAM).state
            if state is None:
                return None
            known = self._currencies[program_id.int] = state.currency
        return known

    def _record_upon_history(
        self, tries: list[_Try], results: list[ItemResult | None], by: str
    ) -> list[_Try]:
        """Items decided upon what their streams hold. Gives back those that lost a race."""
        loaded = self._ledger.load_many([attempt.stream_id for attempt in tries], CONVERSION)
        waiting: list[tuple[_Try, list[int]]] = []
        changes: list[Change] = []
        for attempt in tries:
            change, new = self._decide(attempt, loaded[attempt.stream_id], results)
            if new:
                waiting.append((attempt, new))
                changes.append(change)
        units = [self._ledger.stamp([change], by=by) for change in changes]
        raced: list[_Try] = []
        for (attempt, new), positions in zip(waiting, self._store(units), strict=True):
            if positions is None:
                raced.append(attempt)
                continue
            for index, position in zip(new, positions, strict=True):
                results[index] = ItemResult("new", attempt.stream_id, position)
        return raced

    def _decide(
        self, attempt: _Try, loaded: Loaded[conversion.ConversionState], results: list[ItemResult | None]
    ) -> tuple[Change, list[int]]:
        state = loaded.state
        facts = []
        new = []
        for index, command in attempt.items:
            try:
                decided = conversion.decide(
                    command, state, currency=attempt.currency, now=self._ledger.clock()
                )
            except Refusal as refusal:
                results[index] = _refused(refusal, attempt.stream_id)
                continue
            if not decided:
                results[index] = ItemResult("duplicate", attempt.stream_id)
                continue
            new.append(index)
            for fact in decided:
                facts.append(fact)
                state = conversion.evolve(state, fact)
        return Change(attempt.stream_id, loaded.version, facts), new

    def _store(self, units: list[list[Recorded]]) -> list[list[int] | None]:
        return self._ledger.append_units(units) if units else []


def _refused(refusal: Refusal, stream_id: UUID | None = None) -> ItemResult:
    name = type(refusal).__name__
    problem = Problem(name, refusal.message, refusal.pointer)
    status: Literal["conflict", "invalid"] = "conflict" if name in _CONFLICTS else "invalid"
    return ItemResult(status, stream_id, problem=problem)


_CONFLICTS: Final = frozenset({"ContentConflict", "LostRace"})
