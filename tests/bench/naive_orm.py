"""A naive peer: falcon and SQLAlchemy's ORM; each request inserts a row and adds to its partner's balance.

It asks for no key, checks no schema, keeps no history and no journal: it does less than ours, but it has a
balance at once. `prepare` makes its tables.
"""

import os
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID, uuid4

import falcon
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from ledger.store.database import engine_url
from tests.bench.naive_save import Ready

RATE_BPS = 2_000


class Base(DeclarativeBase):
    """The tables of this service."""


class Customer(Base):
    """Who was brought by which partner."""

    __tablename__ = "naive_customers"
    name: Mapped[str] = mapped_column(primary_key=True)
    partner: Mapped[str]


class Conversion(Base):
    """A sale."""

    __tablename__ = "naive_conversions"
    __table_args__ = (sa.UniqueConstraint("program_id", "source", "external_id"),)
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    program_id: Mapped[UUID]
    source: Mapped[str]
    external_id: Mapped[str]
    kind: Mapped[str]
    customer: Mapped[str]
    amount_minor: Mapped[int] = mapped_column(sa.BigInteger)
    currency: Mapped[str]
    effective_at: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True))


class Balance(Base):
    """What a partner has earned."""

    __tablename__ = "naive_balances"
    partner: Mapped[str] = mapped_column(primary_key=True)
    pending_minor: Mapped[int] = mapped_column(sa.BigInteger, default=0)


class Conversions:
    """Inserts a row and moves a balance in one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer once it is committed."""
        body = req.media
        with Session(self._engine) as session, session.begin():
            customer = session.get_one(Customer, body["customer"])
            conversion = Conversion(
                program_id=UUID(body["program_id"]),
                source=body["source"],
                external_id=body["external_id"],
                kind=body["kind"],
                customer=customer.name,
                amount_minor=body["amount_minor"],
                currency=body["currency"],
                effective_at=datetime.fromisoformat(body["effective_at"]),
            )
            session.add(conversion)
            session.flush()
            earned = (conversion.amount_minor * RATE_BPS + 5_000) // 10_000
            session.execute(
                sa.update(Balance)
                .where(Balance.partner == customer.partner)
                .values(pending_minor=Balance.pending_minor + earned)
            )
            made = conversion.id
        resp.status = 201
        resp.media = {"id": str(made)}


def prepare(url: str, customers: Iterable[tuple[str, str]]) -> None:
    """Make the tables, with these (customer, partner) in them."""
    engine = sa.create_engine(engine_url(url))
    if engine.dialect.name == "sqlite":
        # The one thing that every guide says of SQLite. The file remembers it.
        with engine.connect() as connection:
            connection.execute(sa.text("PRAGMA journal_mode=WAL"))
    Base.metadata.create_all(engine)
    pairs = dict(customers)
    with Session(engine) as session, session.begin():
        session.add_all(Customer(name=name, partner=partner) for name, partner in pairs.items())
        session.add_all(Balance(partner=partner, pending_minor=0) for partner in set(pairs.values()))
    engine.dispose()


def make_application() -> falcon.App:
    """The service over the database that DATABASE_URL names: its engine is made after the fork."""
    service = falcon.App()
    service.add_route(
        "/v1/conversions", Conversions(sa.create_engine(engine_url(os.environ["DATABASE_URL"])))
    )
    service.add_route("/readyz", Ready())
    return service
