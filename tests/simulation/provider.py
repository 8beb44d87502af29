"""The provider of the simulation: the in-process stand-in, put back for each schedule, and its dashboard."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol
from urllib.parse import urlencode

import msgspec
import stripe

from payouts.gateway import StripeGateway
from payouts.simulator.faults import Fault
from tests.support.in_process_stripe import ADDRESS, Answer, InProcessStripe

KEY: Final = "sk_test_simulation"
_FORM: Final = "application/x-www-form-urlencoded"


class Refused(Exception):
    """The dashboard said no."""


class Carrier(Protocol):
    """Brings a request to the provider, or does not. Raises what `requests` raises."""

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: str | bytes | None) -> Answer:
        """The answer."""
        ...


class Wire:
    """Stands where the SDK expects a session of `requests`: whoever runs a schedule carries its requests."""

    def __init__(self, carry: Carrier) -> None:
        self.carry = carry

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        data: str | bytes | None = None,
        **_: Any,
    ) -> Answer:
        """One request of the SDK."""
        return self.carry(method, url, headers or {}, data)


class Provider:
    """The stand-in, asked through its addresses as anybody outside would."""

    def __init__(self, clock: Callable[[], int], patience_s: float) -> None:
        self.on_wait: Callable[[float], None] = lambda _seconds: None
        """Told how many seconds a caller lost waiting."""
        self._patience_s = patience_s
        self._standin = InProcessStripe(clock=clock, on_wait=lambda s: self.on_wait(s), platform_balance={})
        self._door = self._standin.session()
        self._session = Wire(self.deliver)
        self._image = b""

    def gateway(self) -> StripeGateway:
        """The real gateway and the real SDK, over the wire."""
        session: Any = self._session
        return StripeGateway(KEY, ADDRESS, http_client=stripe.RequestsClient(session=session))

    def carried_by(self, carry: Carrier) -> None:
        """From now on every request of the gateway goes this way."""
        self._session.carry = carry

    def deliver(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: str | bytes | None,
        fault: Fault | None = None,
    ) -> Answer:
        """One request at the stand-in's door, struck by a fault or not."""
        if fault is not None:
            self._standin.play(fault)
        return self._door.request(method, url, headers, body, timeout=self._patience_s)

    def keep(self) -> None:
        """What it holds now is what every schedule begins with."""
        self._image = self._standin.store.image()

    def restore(self) -> None:
        """As it was kept, without faults."""
        self._standin.store.reset(self._image)
        self._standin.faults.reset()
        self._standin._ids = itertools.count(1_000_000)

    # The dashboard

    def post(self, path: str, **params: Any) -> Any:
        """Do something by hand, without a key."""
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": _FORM}
        answer = self.deliver("POST", ADDRESS + path, headers, urlencode(params))
        if answer.status_code != 200:
            raise Refused(f"{path}: {answer.status_code} {answer.content.decode()}")
        return msgspec.json.decode(answer.content)

    def top_up(self, amount_minor: int, currency: str) -> None:
        """Money comes to the platform's balance."""
        self.post("/v1/topups", amount=amount_minor, currency=currency)

    def set_transfers(self, account: str, active: bool) -> None:
        """A connected account may receive transfers, or no more."""
        self.post(f"/v1/accounts/{account}", **{"capabilities[transfers][requested]": str(active).lower()})

    # What it holds

    def transfers(self) -> list[dict[str, Any]]:
        """All transfers there are, the oldest first, whatever its lists show."""
        return self._standin.objects("transfer")

    def held(self) -> dict[str, int]:
        """What every account holds, in minor units; "platform" is ours. Checks the books on the way."""
        shown = self._standin.books()
        assert shown["balanced"], shown
        return {row["account"]: row["amount"] for row in shown["accounts"]}
