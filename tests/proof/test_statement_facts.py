"""Facts that an issuer put into its own log, so that a statement rests on them: each lie is named."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ledger.audit.revshare_verify import Fact, Wrong, check_statement, verify
from tests.proof.exports import KEY, Export
from tests.proof.lies import issued


def without_a_line(each: Export) -> tuple[dict[str, Any], list[Fact]]:
    """All that a correction says without one of its lines: its sums are right, and its fact is not shown."""
    told = json.loads(json.dumps(each.told))
    line = next(line for line in told["lines"] if line["payout_id"] is None)
    told["lines"].remove(line)
    for name, moved in line["moved"].items():
        told["closing"][name] -= moved
    told["tax_withheld_minor"] -= line["moved"]["withheld_minor"]
    return told, [fact for fact in each.facts if fact.position != line["position"]]


def test_a_correction_has_the_lines_and_balances_of_what_it_corrects_or_says_so(exports):
    """Of a first version nobody could tell; here the issue that is corrected stands in the file."""
    each = next(each for each in exports if each.told["corrects"])
    told, facts = without_a_line(each)
    first = next(one for one in exports if one.told["number"] == each.told["corrects"])

    line, made = issued(told, facts, each.count)
    with pytest.raises(Wrong, match="line 2: /differs is"):
        check_statement(line, made, 2)

    was, now = first.told, told
    told["differs"] = [{"pointer": "/lines", "was": str(len(was["lines"])), "now": str(len(now["lines"]))}]
    told["differs"] += [
        {"pointer": f"/closing/{name}", "was": str(was["closing"][name]), "now": str(now["closing"][name])}
        for name in was["closing"]
        if was["closing"][name] != now["closing"][name]
    ]
    told["differs"] = sorted([*told["differs"], *each.told["differs"]], key=lambda one: one["pointer"])
    line, made = issued(told, facts, each.count)
    assert check_statement(line, made, 2)


def changed(fact: Fact, **changes: Any) -> Fact:
    """A fact with some of its words changed."""
    state = json.loads(fact.state or b"")
    state["fact"] |= changes
    return fact._replace(state=json.dumps(state).encode())


def words_of(fact: Fact) -> dict[str, Any]:
    """What a fact says."""
    words: dict[str, Any] = json.loads(fact.state or b"{}").get("fact", {})
    return words


def frames(each: Export) -> Iterator[tuple[str, list[Fact], str]]:
    """What can be done to the issues and closings around a statement, and how that must be named."""
    facts, last = each.facts, max(fact.position for fact in each.facts)
    index = {fact.position: at for at, fact in enumerate(facts)}
    issue = next(fact for fact in facts if (fact.topic, fact.version) == ("StatementIssued@1", each.count))
    others = [fact for fact in facts if fact.topic == issue.topic and fact is not issue]
    closed = next(
        fact
        for fact in facts
        if fact.topic == "PeriodClosed@1" and words_of(fact)["period"] == each.told["period"]["period"]
    )

    def put(fact: Fact, **fields: Any) -> list[Fact]:
        place = index[fact.position]
        made = [*facts[:place], fact._replace(**fields), *facts[place + 1 :]]
        return sorted(made, key=lambda one: one.position)

    for other in others:
        yield "another stream", put(other, stream=closed.stream), "is of another account"
        renamed = put(changed(other, number="acme-000099"))
        yield "another number", renamed, f'it is not number {other.version}: "acme-000099"'
        later = put(other, position=last + 1, version=999)
        yield "issued later", later, "nothing of the statement rests on this"
        if words_of(other)["period"] < words_of(issue)["period"]:
            correction = put(changed(other, statement_version=2))
            yield "a correction", correction, "nothing of the statement rests on this"
    if not others and closed.version == 1:
        early = changed(issue, period="2000-01", content_sha256="")._replace(position=0, version=0)
        yield "a month before all", [early, *facts], "it opens with a month that was not closed"
    yield "closed later", put(closed, position=last + 1), "its month was closed at position"
    ahead = put(changed(closed, through_position=last + 5))
    yield "closed by what came later", ahead, "its month was closed at position"
    twice = [*facts, closed._replace(position=last + 1)]
    yield "closed twice", twice, f"version {closed.version} of its stream follows"


def test_issues_and_closings_stand_in_their_streams_in_their_order(exports):
    """Nothing that a statement rests on is of another stream, later than it, or there twice."""
    names = set()
    for each in exports:
        for name, made, says in frames(each):
            names.add(name)
            with pytest.raises(Wrong, match=says):
                check_statement(each.lines[1], made, 2)

    assert len(names) == 8


def test_a_line_moves_money(exports):
    """A fact without legs is of nobody's account: it could be another partner's."""
    each = next(each for each in exports if len(each.told["lines"]) > 1)
    told = json.loads(json.dumps(each.told))
    line = next(line for line in told["lines"] if line["payout_id"] is None)
    for name, moved in line["moved"].items():
        told["closing"][name] -= moved
        line["moved"][name] = 0
    told["tax_withheld_minor"] = told["closing"]["withheld_minor"] - told["opening"]["withheld_minor"]
    facts = [fact._replace(legs=[]) if fact.position == line["position"] else fact for fact in each.facts]

    with pytest.raises(Wrong, match="its lines are not the facts that stand below it"):
        check_statement(*issued(told, facts, each.count), 2)


ODD: list[Any] = [
    None,
    True,
    -1,
    1.5,
    10**30,
    "",
    "Europe",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    [],
    {},
]
"""What stands in no fact at such a place; some of it, Python's own functions stumble over."""


def odd(words: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A fact's words with one place odd, or gone."""
    for name in words:
        yield {other: value for other, value in words.items() if other != name}
        for value in ODD:
            yield words | {name: value}


def test_whatever_a_fact_says_the_verifier_ends_with_a_word(exports):
    """Yes or no, and no trace of a program that broke off."""
    late = next(each for each in exports if any(line["belongs_to"] for line in each.told["lines"]))
    corrected = next(each for each in exports if each.told["corrects"])
    answers = set()
    for export in (late, corrected):
        firsts = {
            fact.topic: number for number, fact in reversed(list(enumerate(export.facts))) if fact.state
        }
        for number in firsts.values():
            for words in odd(words_of(export.facts[number])):
                state = json.dumps({"recorded_at": "2024-01-01T00:00:00Z", "by": "x", "fact": words})
                made = [*export.facts]
                made[number] = made[number]._replace(state=state.encode())
                answers.add(answer_to(export.lines[1], made))

    assert len(answers) > 50
    assert None in answers, "of some words nothing is read"


def answer_to(line: bytes, facts: list[Fact]) -> str | None:
    """What the verifier finds wrong."""
    try:
        check_statement(line, facts, 2)
    except Wrong as wrong:
        return str(wrong)
    return None


@pytest.mark.parametrize(
    "twist",
    [
        lambda state: state.replace(b'"fact":{', b'"fact":{"program_id":"x",', 1),
        lambda state: state.replace(b'"by":', b'"nan":NaN,"by":', 1),
        lambda state: state.decode().encode("utf-16"),
        lambda state: state[:-1],
        lambda _: b"[" * 100_000,
    ],
    ids=["a name twice", "no number", "UTF-16", "cut", "deep"],
)
def test_words_that_readers_could_read_otherwise_are_no_words(exports, twist):
    """A second reader takes the first of two names, or none: the statement would say another thing to it."""
    each = exports[0]
    for number, fact in enumerate(each.facts):
        if fact.topic == "StatementIssued@1":
            made = [*each.facts]
            made[number] = fact._replace(state=twist(fact.state))
            with pytest.raises(Wrong, match="is not of its form"):
                check_statement(each.lines[1], made, 2)


def test_the_program_s_name_is_a_text(exports):
    """Which one, nothing in the file shows."""
    for name in (None, 1, ["x"]):
        told = json.loads(json.dumps(exports[0].told))
        told["program"]["name"] = name
        with pytest.raises(Wrong, match="/program/name is no text"):
            check_statement(*issued(told, exports[0].facts, exports[0].count), 2)


def test_its_yes_names_the_statement_that_the_opening_balance_is_from(exports):
    """So whoever keeps that statement sees that none is missing between them."""
    told = {each.told["number"]: verify(each.lines, KEY).remarks[-1] for each in exports}

    first, *_ = [each.told["number"] for each in exports]
    assert "a statement before it, for it opens with nothing" in told[first]
    assert any(f'a statement between "{first}" and this one' in remark for remark in told.values())
