"""Where a benchmark takes place: a migrated database with a program, partners, customers and a key."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from ledger.commands import ConversionCommand, IssueApiKey
from ledger.engine.engine import BATCH_MAX
from ledger.store.migrations import migrate
from tests.bench.client import Client
from tests.bench.harness import ROUNDS
from tests.bench.server import running_server
from tests.support.databases import postgresql_database, sqlite_url
from tests.support.world import World, day

PARTNERS = 40
CUSTOMERS = 5
"""Of each partner."""
HOT = PARTNERS
"""One partner more, with as many customers as all others have together."""
EFFECTIVE_AT = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
"""Where a history that is filled in ends."""
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Place:
    """What a ratio measures with. `quick` asks for smaller rounds."""

    url: str
    folder: Path
    client: Client
    world: World
    port: int
    token: str
    quick: bool
    rounds: int = ROUNDS

    @property
    def database(self) -> str:
        """postgresql or sqlite."""
        return "postgresql" if self.world.database.is_postgresql else "sqlite"

    def sales(self, count: int, partner: int | None = None) -> list[ConversionCommand]:
        """New sales as they happen: of now, of one partner's customers or of all partners' in turn."""
        found = []
        for _ in range(count):
            number = next(_numbers)
            owner = number % PARTNERS if partner is None else partner
            customer = customer_of(owner, number // PARTNERS % customers(owner))
            amount = 1_000 + number % 9_000
            found.append(self.world.sale(f"sale-{number}", customer, amount, datetime.now(UTC)))
        return found

    def bodies(self, count: int) -> list[bytes]:
        """New sales as JSON."""
        return [msgspec.json.encode(sale) for sale in self.sales(count)]


def customers(partner: int) -> int:
    """How many customers a partner brought."""
    return PARTNERS * CUSTOMERS if partner == HOT else CUSTOMERS


def customer_of(partner: int, number: int) -> str:
    """A customer whom this partner brought."""
    return f"customer-{partner}-{number}"


@contextmanager
def place(server_url: str | None, folder: Path, client: Client, *, quick: bool) -> Iterator[Place]:
    """A fresh database on the PostgreSQL server, or an SQLite file, with the API running on it."""
    with (
        fresh_database(server_url, folder) as url,
        furnished(url) as (world, token),
        running_server(url, folder) as port,
    ):
        yield Place(url, folder, client, world, port, token, quick)


@contextmanager
def fresh_database(server_url: str | None, folder: Path) -> Iterator[str]:
    """The URL of a migrated database; its folder is made, too."""
    folder.mkdir()
    if server_url is None:
        url = sqlite_url(folder / "revshare.db")
        migrate(url)
        yield url
        return
    with postgresql_database(server_url) as url:
        migrate(url)
        yield url


@contextmanager
def furnished(url: str) -> Iterator[tuple[World, str]]:
    """A world on this database with a program, partners and their customers; and an API key."""
    world = World(url, batch_max=BATCH_MAX)
    world.now = datetime.now(UTC)
    world.program()
    for number in range(PARTNERS + 1):
        partner = world.partner(f"partner-{number}")
        for customer in range(customers(number)):
            world.touch(customer_of(number, customer), partner, day(1))
    key = IssueApiKey(name="bench", scopes=("conversions:write", "finance:read"))
    token = world.desk.execute(key, by="bench").secret
    assert token is not None
    yield world, token
    world.close()
