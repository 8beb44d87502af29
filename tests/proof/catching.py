"""One tampering on a copy of the sealed ledger: who names it."""

from ledger.store.application import Ledger
from projections.verification import Finding, verify_ledger
from tests.proof.acts import Tampering
from tests.proof.hand import Hand
from tests.proof.stage import SIGNER, Stage


def caught(
    stage: Stage, kind: str, tampering: Tampering, *, views: bool = True
) -> tuple[bool, list[Finding]]:
    """Whether the verifier names what was done, by its kind and its place; all that it found."""
    with stage.copy(kind) as database:
        ledger = Ledger(database)
        with database.write() as connection:
            hand = Hand(connection, database)
            hand.disarm()
            where = tampering.act(hand)
        if tampering.afterwards is not None:
            tampering.afterwards(ledger)
        report = verify_ledger(ledger, key=SIGNER.verifier, kept=stage.kept(kind), views=views, processes=1)
    named = [each for each in report.findings if each.kind in tampering.kinds and where in str(each)]
    return bool(named), list(report.findings)
