"""What happens to a request on its way, and to its answer on the way back."""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final, cast, get_args
from urllib.parse import urlsplit

import requests

from payouts.simulator.faults import CallFault, Fault, FaultKind
from tests.support.in_process_stripe import Answer

if TYPE_CHECKING:
    from tests.simulation.schedule import Schedule

_PLAYED_HERE: Final = "delay"
"""As `slow`: while an answer is late others go on, which the stand-in alone can't let them."""
OF_THE_STANDIN: Final[tuple[str, ...]] = tuple(kind for kind in get_args(CallFault) if kind != _PLAYED_HERE)
ON_THE_WAY: Final = ("slow", "hang_and_late", "hang_and_never", "cut_body")
"""Executed after a while; after the sender has given up; never; and an answer that lost its second half."""
FAULTS: Final = (*OF_THE_STANDIN, *ON_THE_WAY)

PATIENCE: Final = timedelta(seconds=40)
"""The gateway's."""
LAG_S: Final = (5, 600, 3500)
"""How much later than it was made something may come into lists: less than the worker's margin."""
LATE_MAX_S: Final = 900.0
"""How much later than it was sent a request may be executed whose sender has gone."""
SUSPENDED_MAX: Final = timedelta(hours=3)
"""How long a process may stand still between its last thought and the socket, and still send.

Nobody can look at a clock and send in one step: whoever trusts a key for 20 of its 24 hours has the rest for
this. After a longer standstill (a machine that was suspended) the connection is dead.
"""


class Request:
    """A request on its way to the stand-in."""

    def __init__(
        self, at: "Schedule", method: str, url: str, headers: Mapping[str, str], body: str | bytes | None
    ) -> None:
        # The provider may give fewer rows than it was asked for.
        url = url.replace("limit=100", f"limit={at.plan.page_rows}")
        self._at, self._parts = at, (method, url, headers, body)
        self.key = headers.get("Idempotency-Key", "")
        self.what = f"{method.upper()} {urlsplit(url).path}"

    def carry(self) -> Answer:
        """Through whatever the seed has for it."""
        at, opened = self._at, self._at.clock.now
        at.edge(f"before {self.what}")
        if at.clock.now - opened > SUSPENDED_MAX:
            raise requests.ConnectionError("suspended for too long")
        kind = ""
        if at.lane is not None and at.storm:
            at.clock.advance(timedelta(seconds=0.02 + 0.3 * at.rng.random()))
            if at.rng.random() < at.plan.fault_rate:
                kind = at.rng.choice(at.plan.faults)
        try:
            answer = self._through(kind)
        except requests.RequestException as error:
            at.say(f"{self.what} {self.key} [{kind}] -> {type(error).__name__}")
            at.edge(f"after {self.what}")
            raise
        at.say(f"{self.what} {self.key} [{kind}] -> {answer.status_code} {answer.content[:300]!r}")
        at.edge(f"after {self.what}")
        return answer

    def _through(self, kind: str) -> Answer:
        match kind:
            case "":
                return self._deliver()
            case "slow":
                passing = timedelta(seconds=self._at.rng.choice((0.5, 5.0, 30.0)))
                answers = self._later(passing)
                self._at.pause(passing)
                return answers[0]
            case "hang_and_late" | "hang_and_never":
                if kind == "hang_and_late":
                    self._later(timedelta(seconds=self._at.rng.random() * LATE_MAX_S))
                self._at.pause(PATIENCE)
                raise requests.ReadTimeout("nobody answered")
            case "cut_body":
                answer = self._deliver()
                return Answer(answer.status_code, answer.headers, answer.content[: len(answer.content) // 2])
            case _:
                wait = self._at.rng.choice((None, None, 1, 30))
                lag = self._at.rng.choice(LAG_S) if kind == "list_lag" else 0
                return self._deliver(Fault(on="*", do=cast(FaultKind, kind), seconds=lag, retry_after_s=wait))

    def _later(self, passing: timedelta) -> list[Answer]:
        """Execute it after some time, whether anybody waits or not; until then its key is in use."""
        answers: list[Answer] = []
        holds = self.key != "" and self.key not in self._at.flying

        def arrive() -> None:
            if holds:
                self._at.flying.discard(self.key)
            answers.append(self._deliver())
            self._at.say(f"executed now: {self.what} {self.key} -> {answers[0].status_code}")

        if holds:
            self._at.flying.add(self.key)
        self._at.clock.at(self._at.clock.now + passing, arrive)
        return answers

    def _deliver(self, fault: Fault | None = None) -> Answer:
        """At the door a key that is being worked on is in use."""
        if self.key in self._at.flying:
            fault = Fault(on="*", do="key_in_use")
        return self._at.stage.provider.deliver(*self._parts, fault)
