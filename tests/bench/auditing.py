"""Ingest with the audit log ÷ without: single POSTs while its sequencer follows, and while it rests."""

import threading

from projections.audit_log import Sequencer
from tests.bench.harness import Ratio, alternate
from tests.bench.place import Place
from tests.bench.single_post import send_singles


def measure(place: Place) -> Ratio:
    """The sequencer runs in this process, which has nothing else to do while the client sends."""
    sequencer = Sequencer(place.world.ledger)

    def followed(_: int) -> float:
        sequencer.catch_up()
        stop = threading.Event()
        following = threading.Thread(target=sequencer.run, args=(stop,))
        following.start()
        try:
            return send_singles(place, place.port, "/v1/conversions")
        finally:
            stop.set()
            following.join()

    def alone(_: int) -> float:
        return send_singles(place, place.port, "/v1/conversions")

    tops, bottoms = alternate(followed, alone, place.rounds)
    return Ratio("audit-log", tops, bottoms, "requests/s")
