"""A program in euros, some of whose partners are paid by our own bank."""

from typing import Any
from uuid import UUID

from ledger.bank_commands import LinkBankAccount, TellBankOutcome
from ledger.bank_file import Debtor
from ledger.events.bank import BankOutcome
from payouts.accounts import ensure_destinations
from payouts.bank import exporting, importing, settling
from payouts.bank.exporting import BankFile, Wish
from payouts.bank.importing import Form, Imported
from payouts.batches import Batch, Payout
from payouts.gateway import StripeGateway
from tests.support.finance import Finance

IBANS = (
    "DE89370400440532013000",
    "NL91ABNA0417164300",
    "FR1420041010050500013M02606",
    "AT611904300234573201",
    "ES9121000418450200051332",
)
"""Examples of the IBAN Registry: accounts of nobody."""
DEBTOR = Debtor("Us GmbH", "LU280019400644750000")


class BankFinance(Finance):
    """As Finance, in euros; `at_bank` makes a partner who has a bank account."""

    def __init__(self, database_url: str, gateway: StripeGateway, *, currency: str = "EUR") -> None:
        super().__init__(database_url, gateway, currency=currency)

    def partner(self, name: str = "acme", *, available_minor: int = 0, linked: bool = True) -> UUID:
        """An approved partner, with an account at Stripe that takes the currency."""
        partner_id = super().partner(name, linked=False)
        if linked:
            desk, country = self.world.desk, "DE" if self.world.currency == "EUR" else "GB"
            ensure_destinations(self.ledger, self.gateway, desk, [partner_id], by="cli", country=country)
        if available_minor:
            self.earn(partner_id, available_minor)
        return partner_id

    def link(self, partner_id: UUID, iban: str = IBANS[0], holder: str = "Müller & Söhne GmbH") -> None:
        """The partner's money goes to a bank account."""
        wish = LinkBankAccount(partner_id=partner_id, iban=iban, holder_name=holder)
        self.world.desk.execute(wish, by="cli")

    def at_bank(self, name: str = "acme", *, available_minor: int = 0, iban: str = IBANS[0]) -> UUID:
        """An approved partner with a bank account and something available."""
        partner_id = self.partner(name, linked=False)
        self.link(partner_id, iban)
        if available_minor:
            self.earn(partner_id, available_minor)
        return partner_id

    # Files

    def export(self, batch: Batch, **wish: Any) -> BankFile:
        """The batch's file, as finance exports it."""
        of = Wish(batch_id=batch.batch_id, **{"person": "Finance", **wish})
        done = exporting.export(self.ledger, DEBTOR, of, by="key:exporter")
        self.runner.catch_up()
        return done

    def exported(self) -> Batch:
        """A batch drafted, approved and exported."""
        batch = self.approved()
        self.export(batch)
        return batch

    def read_statement(self, content: bytes, form: Form = "camt.053") -> Imported:
        """Import a file with one statement."""
        [found] = importing.import_statements(self.ledger, content, form, by="key:importer", person="Finance")
        self.runner.catch_up()
        return found

    def tell(self, payout: Payout, outcome: BankOutcome, **more: Any) -> Payout:
        """Somebody of finance says what became of a payout."""
        word = {"reference": "R-1", "reason": "seen in online banking", **more}
        command = TellBankOutcome(payout_id=payout.payout_id, outcome=outcome, **word)
        done = settling.tell(self.ledger, command, by="key:finance", person="Ada")
        self.runner.catch_up()
        return done
