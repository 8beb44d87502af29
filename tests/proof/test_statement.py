"""A statement's export: the standalone verifier says yes, or names what the statement has wrong."""

import json
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from ledger import ids
from ledger.audit.revshare_verify import STATEMENT, Wrong, main, parse_key, verify
from ledger.events.payout import PayoutReturned
from ledger.events.period import PeriodClosed, PeriodTotalsFrozen, StatementIssued
from ledger.partner_commands import ChangePartnerLocale
from ledger.store.application import Change
from payouts.outcomes import Confirmed
from projections.audit_log import Sequencer
from projections.checkpoints import CheckpointMaker, latest
from projections.export import NotSealed, export_part, header
from projections.statements.deriving import content
from projections.statements.issuing import CorrectStatement, correct
from projections.statements.proof import VERSION, statement_proof
from tests.proof.edits import missed_edits
from tests.proof.stage import SIGNER
from tests.support.closing import close, lived, paid, rows, stated
from tests.support.finance import Finance, Script, day

KEY = parse_key(str(SIGNER.verifier))
SHARES = {"cara": 1_234_567, "dora": 7_654_321, "emil": 2_222_333}
"""What partners earn in March, in numbers that no hash or time has by chance."""


@pytest.fixture(params=["sqlite", "postgresql"])
def finance(request):
    """A program that closed January and February, sealed."""
    made = Finance(request.getfixturevalue(f"{request.param}_database_url"), Script(Confirmed("tr_1")))  # type: ignore[arg-type]
    acme, _ = lived(made)
    seal(made)
    made.late = next(  # type: ignore[attr-defined]
        number for number, row in enumerate(rows(made)) if (row.partner_id, row.period) == (acme, "2024-02")
    )
    yield made
    made.close()


def seal(finance):
    """Seal and sign all there is."""
    Sequencer(finance.ledger).catch_up()
    assert CheckpointMaker(finance.ledger, SIGNER).step(now_wanted=True) is not None


def exported(finance, number):
    """The export of one of the statements, as lines."""
    file = b"".join(statement_proof(finance.ledger, rows(finance)[number].statement_id))
    return file.splitlines(keepends=True)


def test_the_verifier_says_yes_to_each_statement(finance):
    """And its totals are what the lines moved."""
    for number, statement in enumerate(stated(finance)):
        result = verify(exported(finance, number), KEY)

        holder = str(statement.partner.partner_id)
        moved = sum(line.moved.available_minor for line in statement.lines)
        assert result.totals.get((holder, "commission_payable", "GBP"), 0) == -moved
        assert result.facts >= len(statement.lines) + 2


def test_the_export_is_the_same_for_ever(finance):
    """Whatever comes later, and is sealed."""
    before = exported(finance, finance.late)
    finance.world.now = day(75)
    finance.earn(finance.partner("new", linked=False), 10_00)
    seal(finance)

    assert exported(finance, finance.late) == before


def test_a_statement_that_no_checkpoint_covers_has_no_proof(finance):
    """It is asked for again when one was signed."""
    finance.world.now = day(100)
    close(finance, "2024-03")

    with pytest.raises(NotSealed):
        exported(finance, len(rows(finance)) - 1)


def test_a_correction_is_proven_with_what_it_corrects(finance):
    """Its lines are those of the first version; what became of the payout stands there, too."""
    paid(finance)
    correct(
        finance.ledger, CorrectStatement(statement_id=rows(finance)[0].statement_id, reason="paid"), by="f"
    )
    finance.settle()
    seal(finance)

    lines = exported(finance, len(rows(finance)) - 1)

    assert verify(lines, KEY).facts == len(exported(finance, 0)) - 2 + 2
    issues = [line for line in lines if b'"topic":"StatementIssued@1"' in line]
    with pytest.raises(Wrong, match="it corrects"):
        verify([line for line in lines if line != issues[0]], KEY)


def test_finance_s_remarks_on_a_payout_stay_its_own(finance):
    """They stand in the proof by their hash; what they did to the payout is shown all the same."""
    paid(finance)
    (payout,) = stated(finance)[0].payouts
    version = len(finance.ledger.history(payout.payout_id))
    back = PayoutReturned(effective_at=day(13), reason="Jane's account is closed")
    assert finance.ledger.append([Change(payout.payout_id, version, [back])], by="payouts")
    partner_id = stated(finance)[0].partner.partner_id
    finance.world.desk.execute(ChangePartnerLocale(partner_id=partner_id, locale="de-AT"), by="test")
    wish = CorrectStatement(statement_id=rows(finance)[0].statement_id, reason="It came back")
    correct(finance.ledger, wish, by="f")
    finance.settle()
    seal(finance)

    lines = exported(finance, len(rows(finance)) - 1)

    told = json.loads(lines[1])
    assert (told["payouts"][0]["state"], told["partner"]["locale"]) == ("returned", "de-AT")
    assert verify(lines, KEY).facts == len(lines) - 2
    assert b"Jane" not in b"".join(lines)
    number = next(number for number, line in enumerate(lines) if b'"topic":"PayoutReturned@1"' in line)
    with pytest.raises(Wrong, match="/payouts/0/state is"):
        verify([*lines[:number], *lines[number + 1 :]], KEY)
    with pytest.raises(Wrong, match="its leaf is"):
        verify(
            [*lines[:number], lines[number].replace(b'"words":[', b'"words":[1'), *lines[number + 1 :]], KEY
        )


def test_a_fact_whose_words_are_needed_has_them(finance):
    """By their hash alone stand facts of payouts that nothing is read of; in no part, and in no old file."""
    lines = exported(finance, 0)
    for number, line in enumerate(lines[2:], start=2):
        if b'"state":' in line:
            front, _, state = line.removesuffix(b"}\n").partition(b',"state":')
            by_hash = b'%b,"words":[%d,"%b"]}\n' % (front, len(state), sha256(state).hexdigest().encode())
            with pytest.raises(Wrong, match="its words are missing"):
                verify([*lines[:number], by_hash, *lines[number + 1 :]], KEY)
    assert any(b',"words":[' in line for line in lines)
    for old in (
        lines[0].replace(b'"version":2', b'"version":1'),
        lines[0].replace(b"statement", b"log part"),
    ):
        with pytest.raises(Wrong, match=r"its words are missing|not written|does not know"):
            verify([old, *lines[1:]], KEY)


def test_a_line_from_before_all_closings_is_of_a_month_by_the_calendar(finance):
    """The first closing shows that no month was closed there; without it the verifier can't tell."""
    world = finance.world
    world.now = day(75)
    acme = stated(finance)[0].partner.partner_id
    world.touch("early", acme, day(-20))
    world.send(world.sale("early", "early", 100_00, day(-17)))
    finance.settle()
    world.now = day(100)
    close(finance, "2024-03")
    seal(finance)
    number = next(
        number
        for number, row in enumerate(rows(finance))
        if (row.partner_id, row.period) == (acme, "2024-03")
    )

    lines = exported(finance, number)

    assert {line["belongs_to"] for line in json.loads(lines[1])["lines"]} == {"2023-12"}
    assert verify(lines, KEY).remarks
    first = facts_of_closings(finance, PeriodClosed)[0].position
    place = next(at for at, line in enumerate(lines[2:], start=2) if json.loads(line)["position"] == first)
    with pytest.raises(Wrong, match="the closing of its month does not stand below"):
        verify([*lines[:place], *lines[place + 1 :]], KEY)


def test_the_verifier_says_what_it_did_not_check(finance, tmp_path, capsys):
    """Below its yes."""
    file = tmp_path / "statement.proof"
    file.write_bytes(b"".join(exported(finance, 0)))

    assert main([str(file), "--key", str(SIGNER.verifier)]) == 0

    yes, vouched, which, unchecked, beyond = capsys.readouterr().out.splitlines()
    assert yes.startswith("yes: ")
    assert vouched.startswith(f"signed by the key of {KEY.name}; not shown: ")
    assert which.startswith(f'statement "{rows(finance)[0].number}", version 1: ')
    assert unchecked == "not checked, for nothing in the file shows it: /program/name"
    assert beyond.startswith("not shown by a statement alone: that no fact was left out")


def test_single_bytes_are_all_seen(finance):
    """Of a statement with everything in it."""
    assert missed_edits(b"".join(exported(finance, finance.late)), count=300, seed=3) == []


def test_lines_of_the_file_are_not_left_out_or_put_in(finance):
    """A fact that is no line, a line without its fact, the frame."""
    lines = exported(finance, finance.late)
    other = exported(finance, finance.late + 1 if finance.late == 1 else 1)
    for number in range(1, len(lines)):
        with pytest.raises(Wrong):
            verify(lines[:number] + lines[number + 1 :], KEY)
    more = next(line for line in other[2:] if line not in lines)
    together = sorted({*lines[2:], more}, key=lambda line: json.loads(line)["index"])
    with pytest.raises(Wrong):
        verify([*lines[:2], *together], KEY)


def facts_of_closings(finance, kind):
    """The facts of this kind among the closings, in order."""
    history = finance.ledger.history(ids.periods_id(finance.world.program_id))
    return [each for each in history if isinstance(each.fact, kind)]


def test_nothing_in_it_is_of_other_partners_or_of_the_program(finance):
    """A partner gets it: no other's id or name, none of the totals, no remark of the closing."""
    finance.world.now = day(80)
    others = {finance.partner(name, linked=False): amount for name, amount in SHARES.items()}
    for partner_id, amount in others.items():
        finance.earn(partner_id, amount)
    finance.world.now = day(100)
    close(finance, "2024-03", reason="cara is late again")
    seal(finance)
    frozen = facts_of_closings(finance, PeriodTotalsFrozen)[-1].fact
    total = sum(SHARES.values())
    assert {abs(each.moved_minor) for each in frozen.totals} >= {total}
    secret = {str(total), frozen.salt, "cara is late", '"totals"', "PeriodTotalsFrozen"}
    secret |= {str(abs(each.opening_minor + each.moved_minor)) for each in frozen.totals if each.moved_minor}

    found = rows(finance)
    for number, row in enumerate(found):
        told = b"".join(exported(finance, number)).decode()
        strangers = {str(each.partner_id) for each in found} - {str(row.partner_id)}
        amounts = {str(amount) for other, amount in others.items() if other != row.partner_id}
        assert len(strangers) == 4
        assert [each for each in sorted(secret | strangers | amounts) if each in told] == []


def test_the_closing_before_is_the_one_that_stands_there(finance):
    """An older closing in its place, or the program's totals beside it: neither is taken."""
    finance.world.now = day(100)
    close(finance, "2024-03")
    seal(finance)
    number = next(number for number, row in enumerate(rows(finance)) if row.period == "2024-03")
    lines = exported(finance, number)
    with finance.ledger.database.read() as connection:
        note = latest(connection).note
    january, february, _ = facts_of_closings(finance, PeriodClosed)
    totals = facts_of_closings(finance, PeriodTotalsFrozen)[0]
    places = {json.loads(line)["position"] for line in lines[2:]}

    for other, says in (
        (places - {february.position} | {january.position}, "closing of the month before"),
        (places - {february.position}, "closing of the month before"),
        (places | {totals.position}, "nothing of the statement rests on this"),
    ):
        part: list[bytes] = []
        export_part(finance.ledger, sorted(other), part.append)
        with pytest.raises(Wrong, match=says):
            verify([header(STATEMENT, note, VERSION), lines[1], *part[1:]], KEY)


def change(path: str, value: Any):
    """Give one place of a statement another value."""

    def act(told: dict[str, Any]) -> None:
        *way, last = path.split("/")
        here: Any = told
        for name in way:
            here = here[int(name)] if isinstance(here, list) else here[name]
        here[int(last) if isinstance(here, list) else last] = value

    return act


def more_moved(told: dict[str, Any]) -> None:
    """A line and the closing balance: the sums are right, the legs are not."""
    told["lines"][0]["moved"]["clawback_minor"] += 1
    told["closing"]["clawback_minor"] += 1


def no_line(told: dict[str, Any]) -> None:
    """A line is left out, and the balance goes with it."""
    told["closing"] = told["opening"]
    told["lines"].clear()


LIES = [
    ("number", change("number", "another-000099"), "/number is"),
    ("version", change("version", 7), "/version is 7"),
    ("partner", change("partner/partner_id", "00000000-0000-0000-0000-000000000001"), "another account"),
    ("another currency", change("currency", "EUR"), "another account"),
    ("the month's end", change("period/ends_at", "2024-03-01T01:00:00Z"), "ends_at is"),
    ("another month", change("period/period", "2024-05"), "no proven fact has closed 2024-05"),
    ("its zone", change("program/time_zone", "Europe/Berlin"), "/program/time_zone is"),
    ("opening", change("opening/paid_minor", 1), "/opening/paid_minor is 1"),
    ("closing", change("closing/paid_minor", 1), "/closing/paid_minor is 1"),
    ("a line's amounts", more_moved, "/lines/0/moved/clawback_minor is"),
    ("a line's kind", change("lines/0/kind", "clawback_offset"), '/lines/0/kind is "clawback_offset"'),
    ("a line's time", change("lines/0/effective_at", "2024-02-03T00:00:00Z"), "/lines/0/effective_at is"),
    ("when it was told", change("lines/0/recorded_at", "2024-02-03T00:00:00Z"), "/lines/0/recorded_at is"),
    ("a line's reward", change("lines/0/reward_id", None), "/lines/0/reward_id is null"),
    ("not late", change("lines/0/belongs_to", None), "/lines/0/belongs_to is null"),
    ("late for another", change("lines/0/belongs_to", "2024-02"), "/lines/0/belongs_to is"),
    ("the order's name", change("lines/0/external_id", "another"), "source and external_id"),
    ("the partner's name", change("partner/name", "Another Ltd"), "/partner/name is"),
    ("no line", no_line, "not the facts that stand below it"),
    ("tax", change("tax_withheld_minor", 1), "/tax_withheld_minor is 1"),
    ("no statement", lambda told: told.clear(), "no statement"),
]


@pytest.mark.parametrize(("lie", "says"), [lie[1:] for lie in LIES], ids=[lie[0] for lie in LIES])
def test_a_lie_that_was_issued_and_sealed_is_named(sqlite_database_url, lie, says):
    """The issuer itself states what is not so: the hash fits, and the facts do not."""
    finance: Any = Finance(sqlite_database_url, Script(Confirmed("tr_1")))  # type: ignore[arg-type]
    acme, _ = lived(finance)
    found = [(row, made) for row, made in zip(rows(finance), stated(finance), strict=True)]
    row, made = next(each for each in found if (each[0].partner_id, each[0].period) == (acme, "2024-02"))
    told = json.loads(content(made))
    count = len(found) + 1
    told["number"] = f"{finance.name}-{count:06}"
    lie(told)
    lied = json.dumps(told, separators=(",", ":")).encode()
    stream = ids.statements_id(finance.world.program_id)
    fact: Any = finance.ledger.history(stream)[row.count - 1].fact
    assert isinstance(fact, StatementIssued)
    issued = msgspec.structs.replace(
        fact,
        number=f"{finance.name}-{count:06}",
        count=count,
        content_sha256=sha256(lied).hexdigest(),
        lines=len(told.get("lines", ())),
        **{
            name: msgspec.convert(told[name], type(fact.opening))
            for name in ("opening", "closing")
            if name in told
        },
        **_as_told(told),
    )
    recorded = finance.ledger.append([Change(stream, count - 1, [issued])], by="liar")
    finance.runner.catch_up()
    seal(finance)

    with pytest.raises(Wrong, match=says):
        verify(forged(finance, row, recorded[0].position, lied), KEY)
    finance.close()


def _as_told(told: dict[str, Any]) -> dict[str, Any]:
    """What the fact says as the lie does, so that the deeper checks are met; number and version stay."""
    if not told:
        return {}
    return {
        "partner_id": told["partner"]["partner_id"],
        "currency": told["currency"],
        "period": told["period"]["period"],
    }


def forged(finance, row, position, lied):
    """The lie as an export: the statement's own facts, with the lie's issue in the place of the true one."""
    lines = b"".join(statement_proof(finance.ledger, row.statement_id)).splitlines()
    places = [json.loads(line)["position"] for line in lines[2:]]
    places = [each for each in places if each != row.position] + [position]
    part: list[bytes] = []
    export_part(finance.ledger, places, part.append)
    with finance.ledger.database.read() as connection:
        note = latest(connection).note
    return [header(STATEMENT, note, VERSION), lied + b"\n", *part[1:]]
