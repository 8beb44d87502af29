"""Whatever is altered in a statement, its verifier names it, or says that it does not check that place."""

from typing import Any

import pytest

from ledger import payout
from ledger.audit import revshare_verify
from ledger.audit.revshare_verify import UNCHECKED, Wrong, check_statement, verify
from tests.proof.exports import KEY
from tests.proof.lies import missed, places


def test_there_is_something_of_everything(exports):
    """Of what a statement can say, so that no lie is without its place."""
    told = [each.told for each in exports]
    kinds = {line["kind"] for each in told for line in each["lines"]}

    assert kinds == set(revshare_verify.KINDS.values())
    assert {each["currency"] for each in told} == {"GBP", "JPY"}
    assert any(each["differs"] and each["corrects"] and each["reason"] for each in told)
    assert any(each["tax_withheld_minor"] for each in told)
    assert any(line["belongs_to"] for each in told for line in each["lines"])
    assert {payout["state"] for each in told for payout in each["payouts"]} >= {"paid", "rejected"}
    for each in exports:
        assert verify(each.lines, KEY).facts == len(each.facts)


def test_no_lie_is_missed_but_where_it_is_said(exports):
    """Each value, name and item, in every statement; what is not checked is printed, and nothing else."""
    count, unseen, unnamed = 0, set[str](), set[str]()
    for each in exports:
        number, some, others = missed(each.told, each.facts, each.count, 2)
        count, unseen, unnamed = count + number, unseen | some, unnamed | others

    assert places(unseen) == set(UNCHECKED[2]) == {"/program/name"}
    assert unnamed == set()
    assert count > 3_000
    assert "/program/name" in verify(exports[0].lines, KEY).remarks[2]


def test_of_an_old_file_more_is_not_checked_and_that_is_said(exports):
    """The list that it prints has every place that it misses, and no other."""
    unseen = set[str]()
    for each in exports:
        facts = each.as_version_1()
        line = each.lines[1]
        _, remarks = check_statement(line, facts, 1)
        assert all(place in remarks[1] for place in UNCHECKED[1])
        assert verify(each.file_of_version_1(), KEY).remarks[1:] == remarks
        unseen |= missed(each.told, facts, each.count, 1)[1]

    found = places(unseen)
    assert {place for place in found if not place.startswith(UNCHECKED[1])} == set()
    assert {place for place in UNCHECKED[1] if not any(each.startswith(place) for each in found)} == set()


@pytest.mark.parametrize(
    "hole",
    [
        *("/partner/email", "/partner/locale", "/period/closed_at", "/payouts", "/payouts/0/reference"),
        *(
            "/lines/0/reason",
            "/lines/1/recorded_at",
            "/tax_withheld_minor",
            "/differs",
            "/reason",
            "/version",
        ),
    ],
)
def test_a_verifier_with_a_hole_fails_here(exports, monkeypatch, hole):
    """So the walk does find what is not checked."""
    whole = revshare_verify.hold

    def holed(pointer: str, said: Any, expected: Any) -> None:
        if pointer != hole:
            whole(pointer, said, expected)

    monkeypatch.setattr(revshare_verify, "hold", holed)

    unseen = set[str]()
    for each in exports:
        unseen |= missed(each.told, each.facts, each.count, 2)[1]

    assert {each for each in unseen if each.startswith(hole)}


def test_payouts_have_the_states_that_the_ledger_gives_them():
    """The verifier's table of its own is the ledger's, and no fact is missing in it."""
    after = {each.__name__: state for each, state in payout._STATUS_AFTER.items()}

    # Resolved as confirmed, a payout has its TransferConfirmed right behind; a rejection that is withdrawn
    # leaves it with its intent.
    assert after | {"PayoutResolved": "absent", "BankRejectionWithdrawn": "intent"} == revshare_verify.STATES


def test_a_machine_without_the_time_zone_says_that_it_cannot_tell():
    """A line from before the first closing is of a month by the calendar there."""
    assert revshare_verify.zone_of("Europe/Vienna").key == "Europe/Vienna"
    for name in ("Europe/Atlantis", "Europe"):
        with pytest.raises(Wrong, match=f"has no time zone {name}"):
            revshare_verify.zone_of(name)


def test_what_was_not_issued_is_not_looked_at_further(exports):
    """Altered by anybody else than the issuer: its hash is in no proven fact."""
    lines = exports[0].lines
    altered = lines[1].replace(b'"withheld_minor":', b'"withheld_minor":1', 1)

    with pytest.raises(Wrong, match="no proven fact has issued this statement"):
        verify([lines[0], altered, *lines[2:]], KEY)
    with pytest.raises(Wrong, match="not written as a statement must be"):
        verify([lines[0], lines[1].replace(b":", b": ", 1), *lines[2:]], KEY)


def test_every_fact_of_the_file_is_needed(exports):
    """Without it, or with one of another statement beside it, the verifier says no: but without the last fact
    of a payout if that changes nothing of what is told."""
    for each in exports:
        for number, fact in enumerate(each.facts):
            others = [*each.facts[:number], *each.facts[number + 1 :]]
            if any(other.stream == fact.stream and other.version > fact.version for other in others) or (
                fact.topic != "PayoutReversed@2"
            ):
                with pytest.raises(Wrong):
                    check_statement(each.lines[1], others, 2)
    one, *others = exports
    strangers = {fact.position: fact for other in others for fact in other.facts}
    for fact in (fact for place, fact in strangers.items() if place not in {f.position for f in one.facts}):
        with pytest.raises(Wrong):
            check_statement(one.lines[1], sorted([*one.facts, fact], key=lambda each: each.position), 2)
