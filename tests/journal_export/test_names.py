"""Names with odd characters survive both formats: the tools accept them, and give them back."""

from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import UUID, uuid4, uuid5

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from projections.journal_export.names import account_name, amount, hledger_text, part
from projections.journal_export.selection import Entry, Party
from projections.journal_export.texts import Beancount, Hledger
from tests.projections.world import BEGIN
from tests.support import ledger_tools

ODD = [
    '"',
    ";",
    "|",
    ",",
    "\\",
    "%",
    ":",
    "=",
    "*",
    "!",
    "(",
    ")",
    "#",
    "^",
    "@",
    "{",
    "}",
    "~",
    "é",
    "日",
    "🙂",
]
WORDS = st.text(
    st.one_of(
        st.sampled_from([*ODD, " ", " ", "\n", "\t", "\r", "\u0085", "\u2028", "\xa0", "1", "a", "Z", "-"]),
        st.characters(exclude_categories=["Cs"], exclude_characters="\x00"),
    ),
    min_size=1,
    max_size=30,
)


def entry(number: int, program: Party, partner: Party, currency: str) -> Entry:
    """A fact of two legs."""
    return Entry(
        position=number,
        event_id=uuid4(),
        event_version=1,
        topic="RewardAccrued@1",
        posting_version=1,
        effective_at=BEGIN,
        recorded_at=BEGIN,
        day=date(2024, 1, 2),
        program=program,
        partner=partner,
        reward_id=uuid4(),
        payout_id=None,
        conversion_id=None,
        legs=[("commission_expense", 1_234, currency), ("commission_accrued", -1_234, currency)],
    )


def written(form: Any, entries: list[Entry], file: Path) -> Path:
    """A file of these facts."""
    currencies = sorted({leg[2] for each in entries for leg in each.legs})
    pieces = list(form.head(currencies, date(2024, 1, 1)))
    declared = set()
    for each in entries:
        pieces.append(form.party(each.partner))
        for account, _, _ in each.legs:
            name = account_name(account, each.program, each.partner)
            if name not in declared:
                declared.add(name)
                pieces.append(form.account(name, currencies, date(2024, 1, 1)))
    pieces += [form.transaction(each) for each in entries]
    file.write_text("".join(pieces), encoding="utf-8")
    return file


def entries_of(names: list[tuple[str, str]], currency: str) -> list[Entry]:
    """A fact of a partner for each name and reference."""
    parties = [Party(uuid4(), reference, name) for name, reference in names]
    return [entry(number, each, each, currency) for number, each in enumerate(parties, start=1)]


@pytest.fixture
def file(tmp_path):
    """Where to write."""
    return tmp_path / "names.journal"


NAMED = st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=25)
CURRENCIES = st.sampled_from(["GBP", "JPY", "BHD"])
FEW = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))


def test_beancount_gives_the_names_back(file):
    """Payee and reference as they were."""

    @FEW
    @example([('1st; "Quote" | A, B\nC\tD\\', "-")], "JPY")
    @given(NAMED, CURRENCIES)
    def holds(names: list[tuple[str, str]], currency: str) -> None:
        entries = entries_of(names, currency)
        written(Beancount(), entries, file)
        assert ledger_tools.bean_check(file) == ""
        read = ledger_tools.beancount_transactions(file)
        assert [(each["payee"], each["meta"]["partner"]) for each in read] == names
        assert [each["postings"][0][1:] for each in read] == [
            amount(1_234, currency).split(" ") for _ in names
        ]

    holds()


@pytest.mark.hledger
def test_hledger_gives_the_names_back(file):
    """Description and tags, unquoted as an address is."""

    @FEW
    @example([('1st; "Quote" | A, B\nC\tD\\', "-")], "JPY")
    @given(NAMED, CURRENCIES)
    def holds(names: list[tuple[str, str]], currency: str) -> None:
        entries = entries_of(names, currency)
        written(Hledger(), entries, file)
        assert ledger_tools.hledger_check(file) == ""
        read = ledger_tools.hledger_transactions(file)
        told = [
            (unquote(each["tdescription"].rpartition(" | ")[0]), unquote(dict(each["ttags"])["partner"]))
            for each in read
        ]
        assert told == names

    holds()


@given(st.lists(st.tuples(st.uuids(), st.one_of(WORDS, st.from_regex(r"\A[a-z0-9-]{1,60}\Z"))), max_size=20))
def test_no_two_parties_share_a_part_of_a_name(parties: list[tuple[UUID, str]]) -> None:
    """References are unique, as are ids; and so are the parts made of them."""
    by_reference = {reference: Party(number, reference, "x") for number, reference in parties}
    by_id = {party.id: party for party in by_reference.values()}
    tricky = [
        Party(uuid5(party.id, "again"), part(party).lower(), "x")
        for party in by_id.values()
        if part(party).lower() not in by_reference
    ]
    everybody = {party.reference: party for party in [*by_id.values(), *tricky]}.values()

    assert len({part(party) for party in everybody}) == len(everybody)


@pytest.mark.parametrize(
    ("reference", "is_called"), [("acme", "Acme"), ("1st-shop", "1st-shop"), ("north-west-2", "North-west-2")]
)
def test_a_plain_reference_stays_as_it_is(reference, is_called):
    """But for its first letter."""
    assert part(Party(uuid4(), reference, "x")) == is_called


def test_an_odd_reference_carries_the_id():
    """What fits of it, so that a person sees whose it is."""
    party = Party(UUID(int=7), "Ärger & Söhne; GmbH", "x")

    assert part(party) == f"Rger-S-hne-GmbH-{UUID(int=7).hex}"


@given(WORDS)
def test_hledger_s_text_is_read_back_by_unquoting(text: str) -> None:
    """And holds nothing that would end it."""
    quoted = hledger_text(text)

    assert unquote(quoted) == text
    assert not set(quoted) & set(";|,\n\r\t")
    assert quoted == quoted.strip()
    assert "  " not in quoted
    assert quoted.isprintable()


@given(st.integers(-(10**15), 10**15), CURRENCIES)
def test_an_amount_has_all_its_decimals(minor: int, currency: str) -> None:
    """Its digits, without the point, are the minor units."""
    number, _, code = amount(minor, currency).partition(" ")

    assert code == currency
    assert int(number.replace(".", "")) == minor
    assert len(number.partition(".")[2]) == {"GBP": 2, "JPY": 0, "BHD": 3}[currency]
