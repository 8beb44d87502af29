"""A batch of payouts by our worker ÷ the plain SDK's calls for as many transfers, to the same stand-in.

Both sides have the same number of requests on their way. Of ours each transfer has its intent and its outcome
committed; of the SDK's nothing is kept.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID, uuid4

import requests
import stripe

from api.settings import STANDIN_KEY, Settings
from ledger import ids, partner
from ledger.commands import ApplyAsPartner, ApprovePartner, ApprovePayouts, DraftPayouts
from ledger.events.account import RewardMatured
from ledger.events.base import Fact
from ledger.events.partner import AgreementAccepted
from ledger.store.application import Change, Ledger
from ledger.store.database import Database
from payouts import batches
from payouts.accounts import after_facts, linked_facts
from payouts.batches import Batch
from payouts.gateway import StripeGateway
from payouts.outcomes import Account, Outcome, Transfer, TransferIntent
from payouts.worker import Options, PayoutWorker
from projections.runner import Runner
from tests.bench.harness import Check, Ratio, alternate, timed
from tests.bench.place import EFFECTIVE_AT, Place
from tests.support.stripe_process import running_stripe

CONCURRENCY = Settings().payout_concurrency
"""Requests at once, on both sides: what a worker has when nothing else is set."""
AMOUNT_MINOR = 25_00
_AT_ONCE = 1_000


class Counting:
    """The gateway, and how often it was asked."""

    def __init__(self, gateway: StripeGateway) -> None:
        self._gateway = gateway
        self.requests: Counter[str] = Counter()
        self._lock = threading.Lock()

    def create_transfer(self, intent: TransferIntent) -> Outcome:
        """As the gateway."""
        with self._lock:
            self.requests["create"] += 1
        return self._gateway.create_transfer(intent)

    def find_transfers(self, transfer_group: str, destination: str) -> list[Transfer]:
        """As the gateway."""
        self.requests["list"] += 1
        return self._gateway.find_transfers(transfer_group, destination)

    def account(self, account_id: str) -> Account:
        """As the gateway."""
        self.requests["account"] += 1
        return self._gateway.account(account_id)

    def platform_balance(self) -> dict[str, int]:
        """As the gateway."""
        self.requests["balance"] += 1
        return self._gateway.platform_balance()


class Enough(threading.Event):
    """Set once so many transfers were confirmed: it ends a worker's step in the middle of a batch."""

    def __init__(self, counts: Counter[str], confirmed: int) -> None:
        super().__init__()
        self._counts, self._confirmed = counts, confirmed

    def is_set(self) -> bool:
        """Whether there were as many."""
        return self._counts["Confirmed"] >= self._confirmed


def measure(place: Place) -> list[Ratio | Check]:
    """One batch, sent in slices; between them the plain SDK makes as many transfers to the same accounts."""
    size = 360 if place.quick else 10_000
    slice_ = size // (place.rounds + 1)
    with running_stripe(place.folder) as address, ledger_of(place) as ledger:
        gateway = Counting(StripeGateway(STANDIN_KEY, address))
        accounts = open_accounts(address, size)
        batch = approved(place, accounts)
        runner = Runner(ledger)
        worker = PayoutWorker(ledger, gateway, options=Options(concurrency=CONCURRENCY))
        plain = PlainSdk(address, accounts)
        spent: list[float] = []

        def by_worker(number: int) -> float:
            before = worker.counts["Confirmed"]
            # From the beginning on: more than a slice in one round would leave nothing for the last one.
            enough = size if number == place.rounds - 1 else slice_ * (number + 2)
            runner.catch_up()
            with timed() as seconds:
                while worker.counts["Confirmed"] < enough and worker.step(Enough(worker.counts, enough)):
                    pass
            spent.append(seconds())
            return (worker.counts["Confirmed"] - before) / seconds()

        tops, bottoms = alternate(by_worker, lambda _: plain.rate(slice_), place.rounds)
        worker.close()
        plain.close()
        check = once_each(address, batch, gateway.requests, seconds=sum(spent))
    return [Ratio("payouts-vs-sdk", tops, bottoms, "transfers/s"), check]


class PlainSdk:
    """Transfers by Stripe's SDK alone, as many at once as the worker has: nothing is recorded of them."""

    def __init__(self, address: str, accounts: Sequence[str]) -> None:
        self._client = client_of(address)
        self._accounts = accounts
        self._pool = ThreadPoolExecutor(CONCURRENCY)

    def rate(self, count: int) -> float:
        """Make so many: how many a second."""
        group = f"plain-{uuid4()}"

        def one(number: int) -> None:
            self._client.v1.transfers.create(
                {
                    "amount": AMOUNT_MINOR,
                    "currency": "gbp",
                    "destination": self._accounts[number % len(self._accounts)],
                    "metadata": {"number": str(number)},
                    "transfer_group": group,
                },
                {"idempotency_key": f"{group}-{number}"},
            )

        with timed() as seconds:
            list(self._pool.map(one, range(count)))
        return count / seconds()

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()


def client_of(address: str) -> stripe.StripeClient:
    """The SDK as it comes; for a stand-in on this machine it need not look for proxies, as ours does not."""
    session = requests.Session()
    session.trust_env = False
    return stripe.StripeClient(
        STANDIN_KEY, base_addresses={"api": address}, http_client=stripe.RequestsClient(session=session)
    )


# What it takes


@contextmanager
def ledger_of(place: Place) -> Iterator[Ledger]:
    """A ledger as a process opens it, with the clock of the machine."""
    ledger = Ledger(Database(place.url))
    yield ledger
    ledger.close()


def open_accounts(address: str, count: int) -> list[str]:
    """So many connected accounts that can be paid."""
    gateway = StripeGateway(STANDIN_KEY, address)

    def one(number: int) -> str:
        reference = f"paid-{number}"
        return gateway.create_account(reference, "GB", f"{reference}@example.com", f"account-{reference}")

    with ThreadPoolExecutor(CONCURRENCY) as pool:
        return list(pool.map(one, range(count)))


def approved(place: Place, accounts: Sequence[str]) -> Batch:
    """A batch with a payout to each account, drafted and approved."""
    ledger, program = place.world.ledger, place.world.program_id
    changes: list[Change] = []
    for number, account_id in enumerate(accounts, start=1):
        changes += paid_partner(program, f"paid-{number}", account_id)
        if len(changes) >= _AT_ONCE or number == len(accounts):
            assert ledger.append(changes, by="bench") is not None
            changes = []
    runner = Runner(ledger)
    runner.catch_up()
    wish = DraftPayouts(batch_id=uuid4(), program_id=program)
    draft = batches.draft(ledger, wish, by="key:maker")
    assert len(draft.payouts) == len(accounts), draft.skipped[:3]
    word = ApprovePayouts(batch_id=draft.batch_id, content_hash=draft.content_hash)
    return batches.approve(ledger, word, by="key:checker")


def paid_partner(program: UUID, reference: str, account_id: str) -> list[Change]:
    """A partner with an account, the program's terms and a reward that has matured."""
    at, partner_id = EFFECTIVE_AT, ids.partner_id(reference)
    facts: list[Fact] = partner.decide(ApplyAsPartner(reference=reference, name=reference), None, now=at)
    applied = partner.known(partner.evolve(None, facts[0]))
    facts += partner.decide(ApprovePartner(partner_id=partner_id), applied, now=at)
    seen = Account(account_id, "GB", "gbp", True, True, None, ())
    facts += linked_facts(after_facts(applied, facts[1:]), partner_id, seen, seen_at=at, now=at)
    accepted = AgreementAccepted(
        program_id=program, partner_id=partner_id, terms_version=1, accepted_by="somebody", effective_at=at
    )
    matured = RewardMatured(
        reward_id=uuid4(),
        conversion_id=uuid4(),
        program_id=program,
        partner_id=partner_id,
        amount_minor=AMOUNT_MINOR,
        currency="GBP",
        effective_at=at,
    )
    return [
        Change(partner_id, 0, facts),
        Change(ids.agreement_id(program, partner_id), 0, [accepted]),
        Change(ids.account_id(program, partner_id, "GBP"), 0, [matured]),
    ]


# What is to be seen


def once_each(address: str, batch: Batch, requests: Counter[str], *, seconds: float) -> Check:
    """Whether the stand-in holds exactly one transfer for each payout of the batch, and none besides."""
    listed = client_of(address).v1.transfers.list({"transfer_group": f"batch-{batch.batch_id}", "limit": 100})
    made = Counter(transfer.metadata["payout_id"] for transfer in listed.auto_paging_iter())
    wanted = {str(payout.payout_id) for payout in batch.payouts}
    return Check(
        "one-transfer-each",
        made == Counter(wanted),
        {
            "payouts": len(wanted),
            "transfers": made.total(),
            "paid_twice": sum(count > 1 for count in made.values()),
            "never_paid": len(wanted - set(made)),
            "requests": requests.total(),
            "seconds": round(seconds, 1),
        },
    )
