"""A ledger in which something stands in every table, sealed; copies of it to be tampered with."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import make_url

from ledger.audit.notes import Signer
from ledger.commands import (
    AssignPartnerGroup,
    CreatePartnerGroup,
    EndAgreement,
    IssueApiKey,
    IssueReferralCode,
    LinkPayoutAccount,
    PausePartnerPayouts,
    SeePayoutAccount,
)
from ledger.partner_commands import ChangePartnerLocale
from ledger.period import ClosePeriod
from ledger.store.database import Database
from payouts.outcomes import Confirmed
from projections import tables
from projections.audit_log import Sequencer, checkpoints
from projections.checkpoints import CheckpointMaker
from projections.statements.closing import close_period
from projections.statements.issuing import issue
from projections.verification import Kept
from tests.support.databases import postgresql_database, sqlite_url
from tests.support.finance import Finance, Script
from tests.support.world import day

ORIGIN = "ledger.example/log"
SIGNER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"\x07" * 32))
SALES = 270
"""Enough for more than one full tile of leaves."""


def live(url: str) -> list[Kept]:
    """Let the ledger at this address live through everything, sealed now and then: the heads to keep."""
    finance = Finance(url, Script(Confirmed("tr_1")))  # type: ignore[arg-type]
    world, desk = finance.world, finance.world.desk
    partners = [world.partner(f"partner-{number}") for number in range(3)]
    program = world.program_id
    desk.execute(CreatePartnerGroup(program_id=program, partner_group="gold", name="Gold"), by="test")
    for wish in (
        ChangePartnerLocale(partner_id=partners[0], locale="en-GB"),
        AssignPartnerGroup(partner_id=partners[0], program_id=program, partner_group="gold"),
        IssueReferralCode(program_id=program, partner_id=partners[0], code="GOLD-1"),
        IssueApiKey(name="shop", scopes=("conversions:write",)),
        LinkPayoutAccount(partner_id=partners[0], destination="acct_1"),
        SeePayoutAccount(
            partner_id=partners[0],
            provider="stripe",
            destination="acct_1",
            transfers_active=True,
            payouts_enabled=True,
            disabled_reason=None,
            currently_due=(),
            country="GB",
            default_currency="gbp",
            effective_at=world.now,
        ),
        PausePartnerPayouts(partner_id=partners[1], reason="asked for it"),
    ):
        desk.execute(wish, by="test")
    for number, partner in enumerate(partners):
        world.touch(f"customer-{number}", partner, day(-1))
    sequencer = Sequencer(world.ledger, batch_events=100)
    maker = CheckpointMaker(world.ledger, SIGNER)
    kept = []

    def seal() -> None:
        finance.settle()
        sequencer.catch_up()
        head = maker.step(now_wanted=True)
        assert head is not None
        with world.database.read() as connection:
            query = sa.select(checkpoints.c.note).where(checkpoints.c.size == head.size)
            kept.append(Kept(f"{head.size}.txt", connection.execute(query).scalar_one()))

    for start in range(0, SALES, 90):
        names = [(f"order-{number}", f"customer-{number % 4}") for number in range(start, start + 90)]
        world.send(*(world.sale(name, customer, 10_000 + start, day(0)) for name, customer in names))
        seal()
    world.now += timedelta(days=3)
    world.send(world.refund("order-1", "refund-1", 2_500, day(1)), world.open_dispute("order-2", day(1)))
    world.reattribute("customer-2", {partners[1]: 10_000}, day(2))
    desk.execute(EndAgreement(program_id=program, partner_id=partners[2], reason="moved"), by="test")
    finance.settle()
    finance.approved()
    finance.pay()
    for month, then in (("2024-01", 40), ("2024-02", 70)):
        world.now = day(then)
        finance.settle()
        close_period(world.ledger, ClosePeriod(program_id=program, period=month), by="key:finance")
        issue(world.ledger, program, by="key:finance", pause=lambda _s: finance.settle())
    seal()
    finance.close()
    return kept


class Stage:
    """A sealed ledger on each kind of database, made when first asked for; copies of it."""

    def __init__(self, folder: Path, server_url: str, template: str, migrated_sqlite: Path) -> None:
        self._folder, self._server = folder, server_url
        self._template, self._migrated = template, migrated_sqlite
        self._kept: dict[str, list[Kept]] = {}
        self._sealed: dict[str, str] = {}
        self._stack = ExitStack()

    def kept(self, kind: str) -> list[Kept]:
        """The heads that were kept of the ledger on this kind of database."""
        if kind not in self._kept:
            if kind == "sqlite":
                path = self._folder / "sealed.db"
                shutil.copyfile(self._migrated, path)
                self._sealed[kind] = sqlite_url(path)
            else:
                made = postgresql_database(self._server, template=self._template)
                self._sealed[kind] = self._stack.enter_context(made)
            self._kept[kind] = live(self._sealed[kind])
        return self._kept[kind]

    def close(self) -> None:
        """Drop what was made on the server."""
        self._stack.close()

    @contextmanager
    def copy(self, kind: str) -> Iterator[Database]:
        """A copy to be tampered with, by its owner and superuser."""
        self.kept(kind)
        name = make_url(self._sealed[kind]).database
        assert name is not None
        if kind == "sqlite":
            path = self._folder / f"{uuid4().hex}.db"
            shutil.copyfile(name, path)
            with _opened(sqlite_url(path)) as database:
                yield database
            for left in self._folder.glob(f"{path.name}*"):
                left.unlink()
            return
        with postgresql_database(self._server, template=name) as url, _opened(url) as database:
            yield database


@contextmanager
def _opened(url: str) -> Iterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        database.close()


TABLES = list(tables.METADATA.tables.values())
"""Every table of every view."""
