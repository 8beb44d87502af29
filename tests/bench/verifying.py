"""Verification of the whole log ÷ a raw scan of the same log: read-only, and with every view replayed."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.audit.notes import Signer
from projections.audit_log import Sequencer
from projections.checkpoints import CheckpointMaker
from projections.verification import verify_ledger
from tests.bench.harness import Ratio, alternate
from tests.bench.place import Place
from tests.bench.rebuilding import fill_up
from tests.bench.scan import head, scan

SIGNER = Signer("bench.example/log", Ed25519PrivateKey.from_private_bytes(b"\x07" * 32))
VIEWS = {"verify-vs-scan": False, "verify-all-vs-scan": True}
"""Whether each replays the views: most of the time, and no floor asks for it; a quick run leaves it out."""


def measure(place: Place) -> list[Ratio]:
    """Facts of the log per second on both sides, in as many processes as `revshare verify` takes."""
    fill_up(place)
    Sequencer(place.world.ledger).catch_up()
    CheckpointMaker(place.world.ledger, SIGNER).step(now_wanted=True)
    last = head(place)
    found = []
    for name, views in VIEWS.items():
        if views and place.quick:
            continue

        def verify(_: int, views: bool = views) -> float:
            report = verify_ledger(place.world.ledger, key=SIGNER.verifier, views=views)
            assert report.is_sound
            return report.leaves / report.seconds

        def scan_all(_: int) -> float:
            rows, seconds = scan(place, 0, last)
            return rows / seconds

        tops, bottoms = alternate(verify, scan_all, place.rounds)
        events, _ = scan(place, 0, last)
        found.append(Ratio(name, tops, bottoms, "events/s", at=f"{events:,} events"))
    return found
