"""What the doors need of the rooms behind them, made once in each process."""

from dataclasses import dataclass

from api.auth import Gate
from api.idempotency import IdempotencyKeys
from ledger.desk import Desk
from ledger.intake import Intake
from ledger.store.application import Ledger
from ledger.store.database import Database


@dataclass(frozen=True)
class Services:
    """The collaborators of every resource."""

    ledger: Ledger
    desk: Desk
    intake: Intake
    gate: Gate
    idempotency_keys: IdempotencyKeys

    @property
    def database(self) -> Database:
        """The database that the views are read from."""
        return self.ledger.database


def make_services(ledger: Ledger) -> Services:
    """Services over a ledger."""
    desk = Desk(ledger)
    return Services(ledger, desk, Intake(ledger), Gate(desk.authenticate), IdempotencyKeys(ledger.database))


class Resource:
    """A noun with a door. Its class name is unique, so that the documentation can name it."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.ledger = services.ledger
        self.desk = services.desk
        self.database = services.database
