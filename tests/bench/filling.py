"""Fills a log with sales that earned and matured, faster than the engine would: for what only reads it."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from ledger import ids
from ledger.events.account import RewardMatured
from ledger.events.base import Recorded
from ledger.events.conversion import ConversionRecorded
from ledger.events.reward import RewardAccrued
from ledger.store.recorder import NewEvent
from tests.bench.place import EFFECTIVE_AT, PARTNERS, Place, customer_of

FACTS_A_SALE = 3
_SALES_AT_ONCE = 3_000
BACK_S = 86_400
"""How far back sales are dated, at the most."""


class Sale(NamedTuple):
    """What differs from one sale to the next."""

    name: str
    customer: str
    customer_id: UUID
    partner: UUID
    account: UUID
    conversion: UUID
    reward: UUID
    amount_minor: int
    reward_minor: int
    seconds: int


def fill(place: Place, sales: int, *, first: int = 0) -> None:
    """Append the sales `first` … `sales`, each with its reward accrued and matured: three facts a sale.

    The facts are encoded once by the real mapper; of each sale only what differs is put into those bytes. The
    real recorder stores them, one block while the next is made.
    """
    templates = _Templates(place)
    stored: Future[Any] | None = None
    with ThreadPoolExecutor(1) as pool:
        for block in _blocks(templates, place.world.program_id, first, sales):
            if stored is not None:
                stored.result()
            stored = pool.submit(place.world.ledger.log.append, [[event] for event in block])
        if stored is not None:
            stored.result()


def filled_partners() -> list[UUID]:
    """The partners who earned by those sales."""
    return [ids.partner_id(f"filled-{number}") for number in range(PARTNERS)]


def _blocks(templates: "_Templates", program: UUID, first: int, end: int) -> Iterator[list[NewEvent]]:
    partners = filled_partners()
    accounts = [ids.account_id(program, partner, "GBP") for partner in partners]
    for start in range(first, end, _SALES_AT_ONCE):
        block: list[NewEvent] = []
        for number in range(start, min(start + _SALES_AT_ONCE, end)):
            owner = number % PARTNERS
            name, customer = f"filled-{number}", customer_of(owner, number % 5)
            conversion = ids.conversion_id(program, "bench", name)
            sale = Sale(
                name=name,
                customer=customer,
                customer_id=ids.customer_id(program, customer),
                partner=partners[owner],
                account=accounts[owner],
                conversion=conversion,
                reward=ids.reward_id(conversion, partners[owner], 1),
                amount_minor=10_000 + number % 9_000,
                reward_minor=(10_000 + number % 9_000) // 5,
                seconds=number % BACK_S,
            )
            block += templates.events(sale, number // PARTNERS + 1)
        yield block


class _Templates:
    """The bytes of a sale's three facts, with holes where sales differ."""

    def __init__(self, place: Place) -> None:
        self._facts = place.world.ledger.facts
        self._program, self._now = place.world.program_id, place.world.now
        self._times = [_time(seconds) for seconds in range(BACK_S)]
        strange = _example("strange-name", 2**100, 987_654_321)
        holes = dict(zip(Sale._fields, self._values(strange), strict=True))
        self._forms: list[tuple[str, bytes]] = []
        for event in self._encoded(strange, 1):
            form = event.state.replace(b"%", b"%%")
            for field, value in holes.items():
                form = form.replace(value, f"%({field})b".encode())
            self._forms.append((event.topic, form))
        example = _example("a", 7, 10_000)
        if self.events(example, 1) != self._encoded(example, 1):
            raise AssertionError("the templates do not give the bytes that the mapper gives")

    def events(self, sale: Sale, version: int) -> list[NewEvent]:
        """The rows of a sale's facts; `version` is that of its account's stream."""
        values = {name.encode(): value for name, value in zip(Sale._fields, self._values(sale), strict=True)}
        streams = ((sale.conversion, 1), (ids.rewards_id(sale.conversion), 1), (sale.account, version))
        return [
            NewEvent(stream, at, topic, form % values)
            for (stream, at), (topic, form) in zip(streams, self._forms, strict=True)
        ]

    def _values(self, sale: Sale) -> Sequence[bytes]:
        return (
            *(str(value).encode() for value in sale[:-1]),
            self._times[sale.seconds],
        )

    def _encoded(self, sale: Sale, version: int) -> list[NewEvent]:
        streams = ((sale.conversion, 1), (ids.rewards_id(sale.conversion), 1), (sale.account, version))
        facts = _facts(self._program, sale)
        return [
            self._facts.to_row(Recorded(stream, at, self._now, "engine", fact))
            for (stream, at), fact in zip(streams, facts, strict=True)
        ]


def _example(name: str, number: int, amount_minor: int) -> Sale:
    """A sale of which no two values are alike."""
    customer_id, partner, account, conversion, reward = (UUID(int=number + more) for more in range(5))
    return Sale(
        name=name,
        customer=f"customer-{number}",
        customer_id=customer_id,
        partner=partner,
        account=account,
        conversion=conversion,
        reward=reward,
        amount_minor=amount_minor,
        reward_minor=amount_minor // 5,
        seconds=77,
    )


def _time(seconds: int) -> bytes:
    at = EFFECTIVE_AT - timedelta(seconds=seconds)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ").encode()


def _facts(program: UUID, sale: Sale) -> tuple[ConversionRecorded, RewardAccrued, RewardMatured]:
    at = EFFECTIVE_AT - timedelta(seconds=sale.seconds)
    recorded = ConversionRecorded(
        program_id=program,
        source="bench",
        external_id=sale.name,
        kind="sale",
        customer=sale.customer,
        amount_minor=sale.amount_minor,
        currency="GBP",
        effective_at=at,
    )
    accrued = RewardAccrued(
        reward_id=sale.reward,
        account_id=sale.account,
        conversion_id=sale.conversion,
        program_id=program,
        partner_id=sale.partner,
        customer_id=sale.customer_id,
        amount_minor=sale.reward_minor,
        currency="GBP",
        basis_minor=sale.amount_minor,
        gross_minor=sale.reward_minor,
        share_bps=10_000,
        terms_version=1,
        rule=0,
        effective_at=at,
        matures_at=at,
        reason="20% for a sale (terms 1, rule 1)",
        cause_position=1,
        rate_bps=2_000,
    )
    matured = RewardMatured(
        reward_id=sale.reward,
        conversion_id=sale.conversion,
        program_id=program,
        partner_id=sale.partner,
        amount_minor=sale.reward_minor,
        currency="GBP",
        effective_at=at,
    )
    return recorded, accrued, matured
