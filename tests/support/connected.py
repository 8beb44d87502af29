"""Connected accounts for tests: a provider in memory that shows them, and payouts of ours to them."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
import sqlalchemy as sa

from ledger import account, ids, payout
from ledger.commands import LinkPayoutAccount
from ledger.desk import ACCOUNT
from ledger.events.payout import PayoutDrafted
from ledger.store.application import Change
from payouts.batches import PAYOUT
from payouts.connected import BankPayout, BankPayoutStatus, Contents, Reversal, SentTransfer
from payouts.outcomes import Account, GatewayError, Rejected
from payouts.webhooks.events import ProviderEvent
from payouts.webhooks.inbox import Inbox
from payouts.webhooks.tables import webhook_events
from payouts.webhooks.worker import WebhookWorker
from projections.runner import Runner
from tests.support.world import World

NO_SUCH = Rejected("resource_missing", "No such thing.", 404)


class Provider:
    """What the gateway shows of connected accounts, as a test says it is. `asked` are the questions."""

    livemode = False

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.transfers: dict[str, SentTransfer] = {}
        self.back: dict[str, list[Reversal]] = {}
        self.payouts: dict[str, tuple[str, BankPayout]] = {}
        self.contents: dict[str, Contents] = {}
        self.asked: list[str] = []
        self.before: Callable[[str], None] = lambda _question: None

    def _ask(self, question: str) -> None:
        self.asked.append(question)
        self.before(question)

    # The questions

    def account(self, account_id: str) -> Account:
        """As the gateway."""
        self._ask(f"account {account_id}")
        if account_id not in self.accounts:
            raise GatewayError(NO_SUCH)
        return self.accounts[account_id]

    def bank_payouts(self, account_id: str, created_from: int) -> list[BankPayout]:
        """As the gateway."""
        self._ask(f"payouts {account_id}")
        return [
            one for owner, one in self.payouts.values() if owner == account_id and one.created >= created_from
        ]

    def bank_payout_contents(self, account_id: str, payout_id: str) -> Contents:
        """As the gateway."""
        self._ask(f"contents {payout_id}")
        return self.contents.get(payout_id, Contents())

    def transfers_to(self, account_id: str, created_from: int) -> list[SentTransfer]:
        """As the gateway."""
        self._ask(f"transfers {account_id}")
        return [
            one
            for one in self.transfers.values()
            if one.destination == account_id and one.created >= created_from
        ]

    def sent_transfer(self, transfer_id: str) -> SentTransfer | None:
        """As the gateway."""
        self._ask(f"transfer {transfer_id}")
        return self.transfers.get(transfer_id)

    def reversals(self, transfer_id: str) -> list[Reversal]:
        """As the gateway."""
        self._ask(f"reversals {transfer_id}")
        return self.back.get(transfer_id, [])

    # What happens there

    def stands(self, account_id: str, *, active: bool = True, **changes: Any) -> None:
        """An account as it is from now on."""
        now = Account(account_id, "GB", "gbp", active, active, None, ())
        self.accounts[account_id] = msgspec.structs.replace(now, **changes)

    def pays_out(
        self,
        payout_id: str,
        account_id: str,
        amount_minor: int,
        status: BankPayoutStatus,
        created: int,
        contents: Contents | None = None,
    ) -> None:
        """A payout to the bank as it is from now on; with contents it is an automatic one."""
        automatic = contents is not None
        failure = "account_closed" if status == "failed" else None
        one = BankPayout(payout_id, status, amount_minor, "GBP", automatic, created, failure)
        self.payouts[payout_id] = (account_id, one)
        if contents is not None:
            self.contents[payout_id] = contents

    def reverses(self, reversal_id: str, transfer_id: str, amount_minor: int, created: int) -> None:
        """A part of a transfer comes back."""
        one = Reversal(reversal_id, amount_minor, "GBP", created)
        self.back.setdefault(transfer_id, []).append(one)
        transfer = self.transfers[transfer_id]
        self.transfers[transfer_id] = msgspec.structs.replace(
            transfer, reversed_minor=transfer.reversed_minor + amount_minor
        )


class Connected:
    """A world whose partners have connected accounts, with an inbox and its worker; time is moved."""

    def __init__(self, database_url: str) -> None:
        self.world = World(database_url)
        self.ledger = self.world.ledger
        self.provider = Provider()
        self.inbox = Inbox(self.ledger.database, self.ledger.clock)
        self.worker = WebhookWorker(self.ledger, self.provider)
        self.views = Runner(self.ledger)
        self.world.program()
        self.worker.step()  # what it reminds itself of at its start, nobody having an account yet
        self._number = 0

    def close(self) -> None:
        """Give the connections back."""
        self.world.close()

    @property
    def seconds(self) -> int:
        """The time now, as the provider counts it."""
        return int(self.world.now.timestamp())

    def partner(self, account_id: str = "acct_1", name: str = "acme") -> UUID:
        """A partner whose money goes to an account, which the view knows."""
        partner_id = self.world.partner(name)
        wish = LinkPayoutAccount(partner_id=partner_id, destination=account_id)
        self.world.desk.execute(wish, by="test")
        self.views.catch_up()
        return partner_id

    def transferred(
        self,
        partner_id: UUID,
        amount_minor: int,
        account_id: str = "acct_1",
        *,
        withheld_minor: int = 0,
        confirmed: bool = True,
    ) -> UUID:
        """A payout whose transfer is there: earned, approved, sent, and confirmed unless it is said.

        `withheld_minor` was earned beside what was sent.
        """
        self._number += 1
        payout_id, transfer_id = uuid4(), f"tr_{self._number}"
        self._record_intent(partner_id, payout_id, amount_minor, withheld_minor, account_id)
        self.provider.transfers[transfer_id] = SentTransfer(
            transfer_id=transfer_id,
            payment_id=f"py_{self._number}",
            destination=account_id,
            payout_id=str(payout_id),
            amount_minor=amount_minor,
            reversed_minor=0,
            currency="GBP",
            created=self.seconds,
        )
        if confirmed:
            self.confirm(payout_id, transfer_id)
        return payout_id

    def _record_intent(
        self, partner_id: UUID, payout_id: UUID, net_minor: int, withheld_minor: int, account_id: str
    ) -> None:
        amount_minor = net_minor + withheld_minor
        stream = ids.account_id(self.world.program_id, partner_id, "GBP")
        holder = account.Holder(self.world.program_id, partner_id, "GBP")
        now = self.world.now
        money, version = self.ledger.load(stream, ACCOUNT)
        earned = account.mature(
            money,
            holder,
            reward_id=uuid4(),
            conversion_id=uuid4(),
            amount_minor=amount_minor,
            effective_at=now,
        )
        for fact in earned:
            money = account.evolve(money, fact)
        reserved = account.reserve(
            money,
            holder,
            payout_id=payout_id,
            attempt=1,
            net_minor=net_minor,
            withheld_minor=withheld_minor,
            effective_at=now,
        )
        draft = PayoutDrafted(
            batch_id=uuid4(),
            program_id=self.world.program_id,
            partner_id=partner_id,
            account_id=stream,
            account_from_version=version,
            account_to_version=version + len(earned),
            amount_minor=amount_minor,
            currency="GBP",
            destination=account_id,
            made_by="maker",
            provider="stripe",
            withheld_minor=withheld_minor,
            withholding_bps=withheld_minor * 10_000 // amount_minor,
            hash_version=2,
        )
        drafted = payout.evolve(payout.NO_PAYOUT, draft)
        approved = payout.approve(payout_id, drafted, by="checker")
        state = payout.evolve(drafted, approved[0])
        intent = payout.record_intent(payout_id, state, body="{}", api_version="v", now=now)
        facts = [draft, *approved, *intent]
        changes = [Change(payout_id, 0, facts), Change(stream, version, [*earned, *reserved])]
        assert self.ledger.append(changes, by="test")

    def confirm(self, payout_id: UUID, transfer_id: str) -> None:
        """Our worker learns that the transfer is there."""
        now = self.world.now
        self.ledger.execute(
            payout_id,
            PAYOUT,
            lambda state: payout.confirm(state, attempt=1, transfer_id=transfer_id, sent_at=now, now=now),
            by="test",
        )
        self.views.catch_up()

    # Webhooks

    def event(
        self, kind: str, object_id: str | None, account_id: str | None = None, *, event_id: str | None = None
    ) -> None:
        """A webhook comes in."""
        one = ProviderEvent(
            event_id=event_id or f"evt_{uuid4().hex}",
            kind=kind,
            style="thin" if kind.startswith("v2.") else "snapshot",
            object_id=object_id,
            account=account_id,
            livemode=False,
            created_at=self.world.now,
        )
        self.inbox.store(one, b"{}", "t=1,v1=0")

    def work(self) -> int:
        """Turns of the worker, and of the views, until nothing is due."""
        done = 0
        while some := self.worker.step():
            done += some
        if done:
            self.views.catch_up()
        return done

    def ends(self) -> dict[str, tuple[str, Any]]:
        """Event → what came of it."""
        columns = (webhook_events.c.event_id, webhook_events.c.status, webhook_events.c.reason)
        with self.ledger.database.read() as connection:
            return {row[0]: (row[1], row[2]) for row in connection.execute(sa.select(*columns))}

    def status(self, payout_id: UUID) -> str:
        """Where a payout stands."""
        return self.ledger.load(payout_id, PAYOUT).state.status

    def payable_minor(self, partner_id: UUID) -> int:
        """What a partner's account holds."""
        stream = ids.account_id(self.world.program_id, partner_id, "GBP")
        return self.ledger.load(stream, ACCOUNT).state.payable_minor

    def later(self, by: Any) -> datetime:
        """Let time pass."""
        self.world.now += by
        return self.world.now
