"""Why a payout is what it is: read with a handful of statements, however many lines it pays."""

from unittest import mock

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.audit.notes import Signer
from ledger.events.base import Recorded
from ledger.events.program import CountryWithholding
from ledger.payout_commands import ChangePayoutSettings, SetWithholding
from ledger.store.event_recorder import Row
from projections.audit_log import Sequencer
from projections.checkpoints import CheckpointMaker
from projections.why import Because, Proof, Why
from tests.support.asked import asked
from tests.support.finance import CHECKER, Finance

STATEMENTS_MAX = 12


def told(finance: Finance) -> tuple[Because, int]:
    """Why the payout of a batch with all that is due is what it is, and how many statements that took."""
    [payout] = finance.draft().payouts
    Sequencer(finance.ledger).catch_up()
    signer = Signer("log", Ed25519PrivateKey.from_private_bytes(b"k" * 32))
    assert CheckpointMaker(finance.ledger, signer).step(now_wanted=True) is not None
    with finance.ledger.database.read() as connection, asked(connection) as statements:
        because = Why(finance.ledger, connection).payout(payout.payout_id)
    return because, len(statements)


def every(because: Because) -> list[Because]:
    """The facts of a tree."""
    return [because, *(below for each in because.because for below in every(each))]


def test_a_payout_of_many_lines_takes_as_many_statements_as_one_of_few(finance: Finance) -> None:
    """And each fact of it has its proof: its leaf, which is its place in the log, and a checkpoint of it."""
    partner = finance.partner()
    for _ in range(2):
        finance.earn(partner, 10_00)
    few, first = told(finance)
    finance.new_program()
    partner = finance.partner("other")
    for _ in range(20):
        finance.earn(partner, 10_00)
    many, second = told(finance)

    assert [sum(each.role == "line" for each in tree.because) for tree in (few, many)] == [2, 20]
    assert first == second <= STATEMENTS_MAX
    with finance.ledger.database.read() as connection:
        places = [row[4] for row in finance.ledger.log.read_log(connection, after=0, limit=10_000)]
    for each in every(many):
        assert each.proof is not None
        assert places[each.proof.index] == each.position
        assert each.proof.index < each.proof.size <= len(places)
    assert len({each.position for each in every(many)}) > 60
    assert {type(each.proof) for each in every(few)} == {Proof}


def test_a_payout_that_arrived_names_what_was_refunded_who_approved_it_and_the_transfer(
    finance: Finance,
) -> None:
    """All that the issue of an auditor's question is about, down to the terms, each with its proof."""
    partner = finance.partner()
    sale = finance.earn(partner, 40_00)
    finance.refund(sale, 50_00)
    batch = finance.approved()
    finance.pay()
    payout = finance.payout(batch)
    Sequencer(finance.ledger).catch_up()
    signer = Signer("log", Ed25519PrivateKey.from_private_bytes(b"k" * 32))
    assert CheckpointMaker(finance.ledger, signer).step(now_wanted=True) is not None

    with finance.ledger.database.read() as connection:
        because = Why(finance.ledger, connection).payout(payout.payout_id)

    facts = {each.fact: each for each in every(because)}
    assert facts.keys() >= {
        *(
            "PayoutBatchApproved",
            "PayoutIntentRecorded",
            "TransferConfirmed",
            "RewardAccrued",
            "RewardMatured",
        ),
        *("ConversionRecorded", "ConversionRefunded", "MaturedRewardReversed", "ReferralRecorded"),
        *("AgreementAccepted", "TermsVersionPublished"),
    }
    assert facts["PayoutBatchApproved"].by == CHECKER
    assert facts["TransferConfirmed"].words["transfer_id"] == payout.transfer_id
    assert str(payout.transfer_id) in facts["TransferConfirmed"].says
    assert because.words["destination"] == payout.destination
    assert (
        facts["RewardAccrued"].words["terms_version"] == facts["TermsVersionPublished"].words["terms_version"]
    )
    assert all(each.proof is not None and each.position for each in every(because))


def roles(because: Because, role: str) -> list[Because]:
    """The facts right below that are this to it."""
    return [each for each in because.because if each.role == role]


def test_a_payout_names_who_said_where_it_goes_and_what_is_withheld(finance: Finance) -> None:
    """As both stood when it was drafted: what was said afterwards is no reason of it."""
    partner = finance.partner(available_minor=10_00)
    first = SetWithholding(partner_id=partner, rate_bps=3_000, reason="no form")
    finance.world.desk.execute(first, by="key:before")
    finance.world.desk.execute(msgspec.structs.replace(first, rate_bps=1_500, reason="treaty"), by="key:tax")
    because, _ = told(finance)
    finance.world.desk.execute(msgspec.structs.replace(first, rate_bps=0, reason="exempt"), by="key:after")
    with finance.ledger.database.read() as connection:
        again = Why(finance.ledger, connection).payout(because.stream_id)

    for tree in (because, again):
        [goes], [withheld] = roles(tree, "destination"), roles(tree, "withholding")
        assert goes.words["destination"] == tree.words["destination"]
        assert goes.says.endswith(tree.words["destination"])
        assert (withheld.by, withheld.words["rate_bps"]) == ("key:tax", 1_500)
        assert withheld.says.startswith("15% of tax is withheld")
    assert because.words["withholding_bps"] == 1_500


def test_what_the_program_withholds_by_country_is_named(finance: Finance) -> None:
    finance.partner(available_minor=10_00)
    wish = ChangePayoutSettings(
        program_id=finance.world.program_id, withholding=(CountryWithholding(country="DE", rate_bps=500),)
    )
    finance.world.desk.execute(wish, by="key:settings")

    because, _ = told(finance)

    assert [(each.fact, each.by) for each in roles(because, "withholding")] == [
        ("PayoutSettingsChanged", "key:settings")
    ]


def test_of_a_long_account_only_the_lines_of_the_payout_are_read(finance: Finance) -> None:
    partner = finance.partner()
    for _ in range(3):
        finance.earn(partner, 10_00)
    finance.approved()
    finance.pay()
    finance.earn(partner, 10_00)
    [payout] = finance.draft().payouts
    ledger, decode, read = finance.ledger, finance.ledger.decode, set()

    def noted(row: Row) -> Recorded:
        read.add(row[4])
        return decode(row)

    with ledger.database.read() as connection, mock.patch.object(ledger, "decode", noted):
        because = Why(ledger, connection).payout(payout.payout_id)
    with ledger.database.read() as connection:
        account = ledger.log.read_streams(connection, [finance.account_id(partner)])

    [line] = roles(because, "line")
    before = [row[4] for row in account if row[4] < line.position]
    assert line.words["amount_minor"] == 10_00
    assert len(before) == 4, "three rewards and the payout that took them"
    assert not read & set(before[:3])
