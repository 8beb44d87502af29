"""Why a payout is what it is: read with a handful of statements, however many lines it pays."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.audit.notes import Signer
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
