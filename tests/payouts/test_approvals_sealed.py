"""The approval of a batch is sealed and signed at once: what finance decided can't be taken back unseen."""

from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.audit.notes import Signer
from projections.audit_log import Sequencer, tree_size
from projections.checkpoints import CheckpointMaker, latest
from tests.support.finance import Finance


def test_an_approval_is_signed_at_once(finance: Finance) -> None:
    """The interval is not waited for; a draft, and what comes after the approval, waits for it."""
    finance.partner(available_minor=20_00)
    signer = Signer("log", Ed25519PrivateKey.from_private_bytes(b"k" * 32))
    sequencer, maker = (
        Sequencer(finance.ledger),
        CheckpointMaker(finance.ledger, signer, interval=timedelta(9)),
    )
    sequencer.catch_up()
    assert maker.step() is not None
    batch = finance.draft()
    sequencer.catch_up()
    assert maker.step() is None

    finance.approve(batch)
    sequencer.catch_up()

    assert maker.step() is not None
    with finance.ledger.database.read() as connection:
        signed = latest(connection)
        assert (signed.cause, signed.size) == ("payout_approved", tree_size(connection))
    finance.pay()
    sequencer.catch_up()
    assert maker.step() is None
