"""The event-sourcing library by its defaults: a fact and an aggregate in its own style, its settings."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg
from eventsourcing.domain import Aggregate, DomainEvent
from sqlalchemy import make_url

from tests.bench.place import Place


@dataclass(frozen=True)
class SaleRecorded(DomainEvent):
    """Our fact in the library's own style."""

    program_id: UUID
    source: str
    external_id: str
    kind: str
    customer: str
    amount_minor: int
    currency: str
    effective_at: datetime


@dataclass
class Conversion(Aggregate):
    """A conversion as the library's manual would have it written."""

    program_id: UUID
    source: str
    external_id: str
    kind: str
    customer: str
    amount_minor: int
    currency: str
    effective_at: datetime


def environment(place: Place, name: str) -> dict[str, str]:
    """Settings for an application of the library: on PostgreSQL in a schema of that name, else in a file."""
    if place.database == "sqlite":
        return {
            "PERSISTENCE_MODULE": "eventsourcing.sqlite",
            "SQLITE_DBNAME": str(place.folder / f"{name}.db"),
        }
    url = make_url(place.url)
    with psycopg.connect(place.url) as connection:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {name}")
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(url.database),
        "POSTGRES_HOST": str(url.host),
        "POSTGRES_PORT": str(url.port or 5432),
        "POSTGRES_USER": str(url.username),
        "POSTGRES_PASSWORD": str(url.password or ""),
        "POSTGRES_SCHEMA": name,
    }
