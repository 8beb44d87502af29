"""Every way to alter one place of a statement, as its issuer could have issued it."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

from ledger.audit import revshare_verify
from ledger.audit.revshare_verify import Fact, Wrong

ISSUED = {
    "number": "number",
    "content_version": "content_version",
    "statement_version": "version",
    "currency": "currency",
    "opening": "opening",
    "closing": "closing",
}
"""What the fact of an issue repeats of the statement, and where it stands there."""


class Lie(NamedTuple):
    """A statement with one place altered: where (a JSON pointer), how, and all that it says then."""

    pointer: str
    how: str
    told: dict[str, Any]


def lies(told: dict[str, Any]) -> Iterator[Lie]:
    """Each value another one or none, each name left out or put in or in another place, each item of a list
    left out, twice, or in its neighbour's place."""
    for pointer, way in _places(told, ()):
        for how, value in _others(_at(told, way)):
            yield _with(told, pointer, how, way, value)


def _places(value: Any, way: tuple[Any, ...]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    yield "/" + "/".join(map(str, way)), way
    named = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in named:
        yield from _places(inner, (*way, name))


def _at(value: Any, way: tuple[Any, ...]) -> Any:
    for name in way:
        value = value[name]
    return value


def _with(told: dict[str, Any], pointer: str, how: str, way: tuple[Any, ...], value: Any) -> Lie:
    copy = json.loads(json.dumps(told))
    if not way:
        return Lie(pointer, how, value)
    _at(copy, way[:-1])[way[-1]] = value
    return Lie(pointer, how, copy)


def _others(value: Any) -> Iterator[tuple[str, Any]]:
    match value:
        case dict():
            names = list(value)
            for name in names:
                yield f"without {name}", {each: value[each] for each in names if each != name}
            yield "with more", {**value, "more": 1}
            yield "in another order", {each: value[each] for each in reversed(names)}
        case list():
            for number in range(len(value)):
                yield f"without {number}", value[:number] + value[number + 1 :]
                yield f"twice {number}", [*value[: number + 1], *value[number:]]
            for number in range(len(value) - 1):
                here, there = value[number : number + 2]
                yield f"swapped {number}", [*value[:number], there, here, *value[number + 2 :]]
            yield "with more", [*value, value[-1] if value else {}]
        case bool() | None:
            yield "something", "2024-01"
            yield "a number", 1
        case int():
            yield "one more", value + 1
            yield "its sign", -value - 1
            yield "a text", str(value)
            yield "none", None
            yield "a fraction", float(value)
        case _:
            yield "another", _another(value)
            yield "longer", f"{value}x"
            yield "empty", ""
            yield "none", None


def _another(text: str) -> str:
    """What could stand there as well: another id, a moment later, another month, else other letters."""
    if len(text) == 36 and text.count("-") == 4:
        return str(UUID(int=UUID(text).int ^ 1))
    if len(text) == 7 and text[4] == "-":
        return f"{int(text[:4]) - 1}{text[4:]}"
    try:
        later = datetime.fromisoformat(text) + timedelta(seconds=1)
    except ValueError:
        return text.swapcase() if text.swapcase() != text else f"1{text}"
    return later.isoformat().replace("+00:00", "Z")


def issued(told: dict[str, Any], facts: Sequence[Fact], count: int) -> tuple[bytes, list[Fact]]:
    """A lie as its issuer would have issued it: its line, and the facts with an issue that says the same.

    `count` is the place of the issue in its stream, which tells it from the other issues.
    """
    line = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
    made = []
    for fact in facts:
        if fact.topic == "StatementIssued@1" and fact.version == count:
            state = json.loads(fact.state or b"")
            words = state["fact"]
            words |= {name: told[there] for name, there in ISSUED.items() if there in told}
            for name, there in (("program_id", "program"), ("partner_id", "partner"), ("period", "period")):
                inner = told.get(there)
                if isinstance(inner, dict) and name in inner:
                    words[name] = inner[name]
            if isinstance(told.get("lines"), list):
                words["lines"] = len(told["lines"])
            words["content_sha256"] = sha256(line).hexdigest()
            fact = fact._replace(state=json.dumps(state).encode())
        made.append(fact)
    return line + b"\n", made


def said(told: dict[str, Any], facts: Sequence[Fact], count: int, version: int) -> str | None:
    """What the verifier says of a lie that was issued; None: it says yes."""
    line, made = issued(told, facts, count)
    try:
        revshare_verify.check_statement(line, made, version)
    except Wrong as wrong:
        return str(wrong)
    return None


def missed(
    told: dict[str, Any], facts: Sequence[Fact], count: int, version: int
) -> tuple[int, set[str], set[str]]:
    """How many lies there are, where the verifier does not see one, and where it sees something and can't
    say what, though the lie has the form of a statement."""
    number, unseen, unnamed = 0, set(), set()
    for lie in lies(told):
        number += 1
        answer = said(lie.told, facts, count, version)
        if answer is None:
            unseen.add(f"{lie.pointer} {lie.how}")
        elif lie.how in {"another", "longer", "one more"} and "not of its form" in answer:
            unnamed.add(f"{lie.pointer} {lie.how}: {answer}")
    return number, unseen, unnamed


def places(found: Iterable[str]) -> set[str]:
    """The places of lies, whatever the line or payout."""
    return {
        "/".join("*" if part.isdigit() else part for part in each.partition(" ")[0].split("/"))
        for each in found
    }
