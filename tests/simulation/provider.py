"""The provider of the simulation: the in-process stand-in, put back for each schedule, and its dashboard."""

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.parse import urlencode

import msgspec
import stripe

from payouts.gateway import StripeGateway
from payouts.simulator import webhooks
from payouts.simulator.faults import Fault
from payouts.simulator.settings import Endpoint
from payouts.simulator.webhooks import Delivery
from tests.support.in_process_stripe import ADDRESS, Answer, InProcessStripe

KEY: Final = "sk_test_simulation"
SECRETS: Final = ("whsec_simulation",)
WANTED: Final = (
    "account.*",
    "capability.*",
    "payout.paid",
    "payout.failed",
    "payout.updated",
    "payout.canceled",
    "transfer.*",
)
"""What docs/operations.md says to have sent."""
_IN_IT: Final = """
SELECT sent.id FROM paid_out
JOIN object AS leg ON leg.kind = 'balance_transaction' AND leg.id = paid_out.transfer_leg AND leg.owner = ?
JOIN object AS sent ON sent.kind = 'transfer'
WHERE paid_out.payout = ?
AND json_extract(sent.body, '$.destination_payment') = json_extract(leg.body, '$.source')
"""
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
        self.in_payout: dict[str, set[str]] = {}
        """The transfers that were in each payout to a bank: of one that fails the provider forgets them."""
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
        self.in_payout.clear()
        self._standin.faults.reset()
        self._standin.company.on_early = None
        self._standin.company.reload()
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

    def pay_out(self, account: str) -> list[str]:
        """All that a connected account holds begins its way to the bank: the payouts' ids."""
        made = self._standin.pay_out(account)
        with self._standin.store.read() as tx:
            for one in made:
                rows = tx.connection.execute(_IN_IT, (account, one)).fetchall()
                self.in_payout[one] = {transfer for (transfer,) in rows}
        return made

    def reverse(self, transfer: str, amount_minor: int) -> None:
        """Somebody takes a part of a transfer back, or all of it."""
        self.post(f"/v1/transfers/{transfer}/reversals", amount=amount_minor)

    def drain(self, currency: str) -> None:
        """Somebody takes all that the platform holds."""
        self._standin.drain(currency)

    # Webhooks

    def begin(self, *, takes_s: int, list_lag_s: int, chances: Sequence[Fault], seed: int) -> None:
        """How it behaves in a schedule: how long payouts to banks take, how lists lag, what goes wrong."""
        self._standin.set(payout_takes_s=takes_s, list_lag_s=list_lag_s)
        self._standin.faults.reset(seed)
        self._standin.play(*chances)

    def mend(self, *lasting: Fault, seed: int) -> None:
        """Nothing goes wrong any more but what has begun to, and what may for ever."""
        self._standin.faults.reset(seed)
        self._standin.play(*lasting)
        self._standin.set(list_lag_s=0)

    def send_to(self, door: Callable[[Delivery], int | None]) -> None:
        """Webhooks go there; the door says what it answered."""
        self._standin.listen(door, ours=Endpoint("http://ours.invalid/", SECRETS, events=WANTED))

    def deliver_due(self) -> int:
        """Hand out all webhooks that are due: how many."""
        return self._standin.deliver()

    def deliveries(self) -> list[dict[str, Any]]:
        """Every webhook, and how it stands."""
        with self._standin.store.read() as tx:
            return webhooks.report(tx)

    def is_busy(self) -> bool:
        """Whether anything is on its way: to a bank, or as a webhook."""
        with self._standin.store.read() as tx:
            waiting = "SELECT 1 FROM due UNION ALL SELECT 1 FROM delivery WHERE at IS NOT NULL LIMIT 1"
            return tx.connection.execute(waiting).fetchone() is not None

    # What it holds

    def transfers(self) -> list[dict[str, Any]]:
        """All transfers there are that somebody made for a payout, the oldest first, whatever lists show."""
        return [one for one in self._standin.objects("transfer") if "payout_id" in one["metadata"]]

    def strangers(self) -> dict[str, int]:
        """What others transferred to each account."""
        found: Counter[str] = Counter()
        for one in self._standin.objects("transfer"):
            if "payout_id" not in one["metadata"]:
                found[one["destination"]] += one["amount"] - one["amount_reversed"]
        return found

    def at_the_bank(self, account: str) -> tuple[int, set[str]]:
        """What of an account is on its way to its bank or there, and the transfers that arrived there."""
        payouts = self._standin.objects("payout", account)
        gone = sum(one["amount"] for one in payouts if one["status"] not in ("failed", "canceled"))
        arrived = [self.in_payout[one["id"]] for one in payouts if one["status"] == "paid"]
        return gone, set().union(*arrived)

    def held(self) -> dict[str, int]:
        """What every account holds, in minor units; "platform" is ours. Checks the books on the way."""
        shown = self._standin.books()
        assert shown["balanced"], shown
        return {row["account"]: row["amount"] for row in shown["accounts"]}
