"""The stand-in for Stripe in the test's own process: virtual time, seeded faults, the unmodified SDK.

No socket and no thread: a call of the SDK runs the stand-in's WSGI application, and what a fault does to the
connection is raised as the exception that `requests` raises for it. `reset` is quick enough for a schedule of
faults each (tests/simulation).
"""

from __future__ import annotations

import io
import itertools
import sys
from collections.abc import Callable, Mapping
from http.client import IncompleteRead, RemoteDisconnected
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
import requests
import stripe
import urllib3
from requests.structures import CaseInsensitiveDict

from payouts.simulator import bank_payouts, onboarding, playing, upkeep, webhooks
from payouts.simulator import books as own_books
from payouts.simulator.app import app_of, fund_platform
from payouts.simulator.clock import Clock
from payouts.simulator.company import Company
from payouts.simulator.faults import DROP, DROP_AFTER_S, Fault, Faults
from payouts.simulator.settings import Endpoint
from payouts.simulator.store import MemoryStore
from payouts.simulator.webhooks import Delivery

ADDRESS = "http://stripe.invalid"
START = 1_767_225_600  # 2026-01-01T00:00:00Z
PLENTY = {"gbp": 10**11, "eur": 10**11, "usd": 10**11}


class InProcessStripe:
    """One stand-in in memory. Its clock stands still until it is moved; its ids count."""

    def __init__(
        self,
        *,
        seed: int = 0,
        start: int = START,
        platform_balance: Mapping[str, int] = PLENTY,
        clock: Callable[[], int] | None = None,
        on_wait: Callable[[float], object] | None = None,
    ) -> None:
        """`clock` replaces the own one; `on_wait` is told the seconds that a caller lost waiting."""
        self._start = start
        self._own_clock = Clock(frozen_at=start)
        self.clock: Callable[[], int] = clock or self._own_clock
        self.faults = Faults(seed)
        self.store = MemoryStore()
        self._on_wait = on_wait or (lambda seconds: self.advance(int(seconds)))
        self.company = Company(self.store, self.faults, self.clock, self._make_id, self._on_wait)
        self.app = app_of(self.company)
        self._send: Callable[[Delivery], int | None] = lambda _delivery: None
        self.reset(seed, platform_balance)

    def _make_id(self, prefix: str) -> str:
        return f"{prefix}_1{next(self._ids):023d}"

    def reset(self, seed: int = 0, platform_balance: Mapping[str, int] = PLENTY) -> None:
        """Begin anew: an empty company with test money, and the chances of `seed`."""
        self._ids = itertools.count(1)
        self._own_clock.set(self._start)
        self.store.reset()
        self.faults.reset(seed)
        self.company.on_early = None
        self.company.reload()
        fund_platform(self.company, platform_balance)

    # What happens to it

    def advance(self, seconds: int) -> int:
        """Put its own clock forward: the new time."""
        return self._own_clock.advance(seconds)

    def play(self, *faults: Fault) -> int:
        """Let calls fail by lines as in payouts/simulator/faults.py: how many are sure to."""
        return self.faults.add(faults)

    def set(self, **settings: Any) -> None:
        """Behave as payouts/simulator/settings.py says; what is not named stays."""
        self.company.change_settings(msgspec.structs.replace(self.company.settings, **settings))
        if self.company.settings.automatic_payouts:
            upkeep.start_days(self.company)

    def tweak(self, account: str, **wish: Any) -> None:
        """Do to an account what its owner or Stripe's review does (payouts/simulator/onboarding.py)."""
        with self.company.acting() as work:
            onboarding.tweak(work, onboarding.Tweak(**wish), account)

    def pay_out(self, account: str) -> list[str]:
        """Stripe's automatic payout of all that an account holds: ids."""
        upkeep.catch_up(self.company)
        with self.company.acting() as work:
            return [payout["id"] for payout in bank_payouts.pay_out_everything(work, account)]

    def drain(self, currency: str) -> None:
        """Somebody takes all that the platform holds in a currency."""
        with self.company.acting() as work:
            playing.drain(work, currency)

    # Webhooks

    def listen(self, send: Callable[[Delivery], int | None], **endpoints: Endpoint) -> None:
        """Have webhooks delivered by `send`, which says the status that the endpoint answered.

        They are delivered when `deliver` is called, but for those that a fault lets overtake the answer.
        """
        self._send = send
        self.company.on_early = lambda: self.deliver(early=True)
        self.set(endpoints=endpoints)

    def deliver(self, *, early: bool = False) -> int:
        """Hand out every webhook that is due by now, once: how many."""
        upkeep.catch_up(self.company)
        with self.store.write() as tx:
            due = webhooks.due(tx, self.company.settings, self.clock(), early=early)
        for delivery in due:
            status = self._send(delivery)
            with self.store.write() as tx:
                webhooks.record(tx, delivery, status, self.clock())
        return len(due)

    # What it holds

    def books(self) -> dict[str, Any]:
        """The trial balance, added up from the legs, after all that is due by now."""
        upkeep.catch_up(self.company)
        with self.store.read() as tx:
            return own_books.trial_balance(tx.connection)

    def held(self, account: str) -> dict[str, int]:
        """What an account holds, by currency, in minor units. "platform" is ours."""
        upkeep.catch_up(self.company)
        with self.store.read() as tx:
            return own_books.balances(tx.connection, account)

    def objects(self, kind: str, owner: str = own_books.PLATFORM) -> list[dict[str, Any]]:
        """All objects of a kind (`transfer`, `account`, …), oldest first, whatever the lists show."""
        with self.store.read() as tx:
            return tx.select(kind, owner, {}, oldest_first=True, limit=-1)

    def distort(self, kind: str, object_id: str, **changes: Any) -> None:
        """Let an object be what the stand-in would never make of it, for a reader that must bear it."""
        with self.store.write() as tx:
            [found] = [each for each in self.objects(kind) if each["id"] == object_id]
            tx.replace({**found, **changes})

    # The way to it

    def session(self, on_response: Callable[[requests.Response], None] | None = None) -> Session:
        """What the SDK takes for a session of `requests`."""
        return Session(self, on_response)

    def http_client(
        self, on_response: Callable[[requests.Response], None] | None = None
    ) -> stripe.RequestsClient:
        """The SDK's own client over it; give it to StripeGateway or StripeClient with the address ADDRESS."""
        session: Any = self.session(on_response)
        return stripe.RequestsClient(session=session)

    def sdk(
        self, on_response: Callable[[requests.Response], None] | None = None, key: str = "sk_test_in_process"
    ) -> stripe.StripeClient:
        """The unmodified SDK."""
        return stripe.StripeClient(
            key,
            base_addresses={"api": ADDRESS},
            max_network_retries=0,
            http_client=self.http_client(on_response),
        )


class Answer:
    """As much of an answer of `requests` as the SDK reads."""

    __slots__ = ("content", "headers", "status_code")

    def __init__(self, status_code: int, headers: CaseInsensitiveDict[str], content: bytes) -> None:
        self.status_code, self.headers, self.content = status_code, headers, content


class Session:
    """Stands where the SDK expects a `requests.Session`: `request` runs the application."""

    def __init__(
        self, standin: InProcessStripe, on_response: Callable[[requests.Response], None] | None = None
    ) -> None:
        self._standin, self._on_response = standin, on_response

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        data: str | bytes | None = None,
        timeout: Any = None,
        **_: object,
    ) -> Answer:
        """Raises what `requests` raises when a fault ends the connection or nobody answers in time."""
        environ = _environ(method, url, headers or {}, data)
        head: list[Any] = []

        def start_response(status: str, fields: list[tuple[str, str]], _exc_info: Any = None) -> Any:
            head[:] = [status, fields]

        content = b"".join(self._standin.app(environ, start_response))
        self._break(environ, timeout, content)
        answer = Answer(int(head[0][:3]), CaseInsensitiveDict(head[1]), content)
        if self._on_response is not None:
            self._on_response(_as_response(answer, method, url, data))
        return answer

    def _break(self, environ: dict[str, Any], timeout: Any, content: bytes) -> None:
        match environ.get(DROP):
            case "close":
                closed = RemoteDisconnected("Remote end closed connection without response")
                raise requests.ConnectionError(
                    urllib3.exceptions.ProtocolError("Connection aborted.", closed)
                )
            case "truncate":
                half = len(content) // 2
                broken = IncompleteRead(content[:half], len(content) - half)
                raise requests.exceptions.ChunkedEncodingError(
                    urllib3.exceptions.ProtocolError(f"Connection broken: {broken!r}", broken)
                )
            case "hang":
                patience = timeout[1] if isinstance(timeout, tuple) else timeout or 80
                self._standin._on_wait(min(patience, environ[DROP_AFTER_S]))
                raise requests.ReadTimeout(f"Read timed out. (read timeout={patience})")
            case _:
                return


def _environ(method: str, url: str, headers: Mapping[str, str], data: str | bytes | None) -> dict[str, Any]:
    parts = urlsplit(url)
    body = data.encode() if isinstance(data, str) else data or b""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method.upper(),
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(parts.path, "latin-1"),
        "QUERY_STRING": parts.query,
        "CONTENT_LENGTH": str(len(body)),
        "SERVER_NAME": parts.hostname,
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
    }
    for name, value in headers.items():
        upper = name.upper().replace("-", "_")
        environ[upper if upper in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{upper}"] = value
    return environ


def _as_response(answer: Answer, method: str, url: str, data: str | bytes | None) -> requests.Response:
    """The answer as a hook of a real session would get it."""
    response = requests.Response()
    response.status_code = answer.status_code
    response.headers = answer.headers
    response._content = answer.content
    response.request = requests.Request(method.upper(), url, data=data).prepare()
    return response


def script(text: str) -> list[Fault]:
    """Faults from the JSON that POST /_sim/faults takes."""
    return msgspec.json.decode(text, type=list[Fault])
