"""Five judges: one transfer per paid payout, our books as theirs, sums of zero, everything at an end, and
every word of a bank true."""

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ledger import account, payout
from ledger.desk import ACCOUNT
from ledger.events.base import Recorded
from ledger.events.payout import PayoutDrafted, PayoutPaid, PayoutReturned
from ledger.payout import PayoutState
from ledger.postings import postings
from tests.simulation.hooks import forged_ones
from tests.simulation.stage import MINIMUM_MINOR

if TYPE_CHECKING:
    from tests.simulation.schedule import Schedule, Verdict


_FAILED = re.compile(r"payout (\S+) failed:")


class Evidence:
    """Everything that is left of a schedule, read from the two sides' books and from nothing else.

    `delivered` are the transfers that are at the banks for good; `theirs` is what each partner got.
    """

    def __init__(self, at: "Schedule") -> None:
        stage = at.stage
        with stage.database.read() as connection:
            rows = stage.ledger.log.read_log(connection, after=0, limit=1_000_000)
        self.log: list[Recorded] = [stage.ledger.decode(row) for row in rows]
        self.partners: dict[UUID, str] = at.happenings.partners
        self.earned, self.taken_back = at.happenings.earned, at.happenings.taken_back
        self.held_for_human = at.held_for_human()
        self.payouts: dict[UUID, PayoutState] = {}
        self.accounts: dict[UUID, account.AccountState] = {}
        for recorded in self.log:
            stream = recorded.originator_id
            if stream in self.payouts or isinstance(recorded.fact, PayoutDrafted):
                before = self.payouts.get(stream, payout.NO_PAYOUT)
                self.payouts[stream] = payout.evolve(before, recorded.fact)
        for partner_id in self.partners:
            self.accounts[partner_id] = stage.ledger.load(at.happenings.account(partner_id), ACCOUNT).state
        self.transfers: dict[UUID, list[Any]] = defaultdict(list)
        for transfer in stage.provider.transfers():
            self.transfers[UUID(transfer["metadata"]["payout_id"])].append(transfer)
        self.delivered: set[str] = set()
        self.theirs: dict[str, int] = {}
        held, strangers = stage.provider.held(), stage.provider.strangers()
        for destination in self.partners.values():
            gone, delivered = stage.provider.at_the_bank(destination)
            self.delivered |= delivered
            self.theirs[destination] = held.get(destination, 0) + gone - strangers.get(destination, 0)
        self.in_payout = stage.provider.in_payout
        self.forged = forged_ones(stage.provider.deliveries())
        self.left_webhooks = at.hooks.left()

    def sent(self, payout_id: UUID) -> int:
        """What the provider moved for a payout and did not take back."""
        return sum(t["amount"] - t["amount_reversed"] for t in self.transfers.get(payout_id, ()))


class Findings:
    """What the judges found."""

    def __init__(self) -> None:
        self.paid_twice: set[UUID] = set()
        self.never_paid: set[UUID] = set()
        self.wrong: list[str] = []

    def say(self, text: str) -> None:
        """Something that must not be."""
        self.wrong.append(text)


def judge(at: "Schedule") -> "Verdict":
    """All of them, on what a schedule left behind."""
    from tests.simulation.schedule import Verdict

    evidence, found = Evidence(at), Findings()
    one_transfer_each(evidence, found)
    books_agree(evidence, found)
    sums_are_zero(evidence, found)
    all_at_an_end(evidence, found)
    told_truly(evidence, found)
    for stumble in at.stage.stumbles:
        found.say(f"a worker stumbled: {stumble!r}")
    for number in evidence.forged:
        found.say(f"webhook {number} was taken, and nobody of the provider's signed it just now")
    return Verdict(
        seed=at.seed,
        payouts=len(evidence.payouts),
        held_for_human=len(evidence.held_for_human | at.seen_by_humans) + len(evidence.left_webhooks),
        paid_twice=len(found.paid_twice),
        never_paid=len(found.never_paid),
        wrong=tuple(found.wrong),
    )


def one_transfer_each(evidence: Evidence, found: Findings) -> None:
    """Exactly one transfer for each payout that we say was sent, for its amount; none for any other."""
    for payout_id in evidence.transfers.keys() - evidence.payouts.keys():
        found.paid_twice.add(payout_id)
        found.say(f"a transfer for payout {payout_id}, which is not ours")
    for payout_id, state in evidence.payouts.items():
        assert state.draft is not None
        net, sent = state.draft.net_minor, evidence.sent(payout_id)
        alive = [t["id"] for t in evidence.transfers.get(payout_id, ()) if t["amount_reversed"] < t["amount"]]
        if state.status in payout.DELIVERED:
            due = net - sum(state.reversals.values())
            fits = sent == due and len(alive) <= 1
        elif payout_id in evidence.held_for_human:
            due = net
            fits = sent in (0, net) and len(alive) <= 1
        else:
            due = 0
            fits = not alive
        if fits:
            continue
        (found.never_paid if sent < due else found.paid_twice).add(payout_id)
        found.say(f"payout {payout_id} of {net} is {state.status}, the provider moved {sent}: {alive}")


def books_agree(evidence: Evidence, found: Findings) -> None:
    """Per partner what they hold is what we say they got, clearing is what a human looks at, and all of it
    together what was earned and not taken back."""
    balances: Counter[tuple[str, UUID]] = Counter()
    for recorded in evidence.log:
        for leg in postings(recorded.fact):
            balances[leg.account, leg.partner_id] += leg.amount_minor
    for partner_id, destination in evidence.partners.items():
        held = [p for p in evidence.held_for_human if _partner(evidence, p) == partner_id]
        open_minor = sum(_net(evidence, p) for p in held)
        money = evidence.accounts[partner_id]
        ours = -balances["stripe_balance", partner_id]
        theirs = evidence.theirs.get(destination, 0) - sum(evidence.sent(p) for p in held)
        clearing = -balances["payout_clearing", partner_id]
        name = list(evidence.partners).index(partner_id)
        if ours != theirs:
            found.say(f"partner {name} got {ours} by our books, {theirs} by theirs")
            if theirs > ours and not found.paid_twice:
                found.paid_twice.add(partner_id)
        if clearing != open_minor:
            found.say(f"partner {name} has {clearing} in clearing, {open_minor} of it explained")
        if -balances["commission_payable", partner_id] != money.payable_minor:
            found.say(f"partner {name} has {money.payable_minor} payable, but not by the journal")
        withheld = -balances["withholding_payable", partner_id]
        left = evidence.earned[partner_id] - evidence.taken_back[partner_id]
        accounted = money.payable_minor - money.clawback_minor + ours + clearing + withheld
        if accounted != left:
            found.say(f"partner {name} earned {left} net, {accounted} of it accounted for")


def sums_are_zero(evidence: Evidence, found: Findings) -> None:
    """Every fact's legs sum to zero in each currency."""
    for recorded in evidence.log:
        sums: Counter[str] = Counter()
        for leg in postings(recorded.fact):
            sums[leg.currency] += leg.amount_minor
        if any(sums.values()):
            found.say(f"{type(recorded.fact).__name__} at {recorded.position} sums to {dict(sums)}")


def all_at_an_end(evidence: Evidence, found: Findings) -> None:
    """Paid, returned, taken back whole, canceled or rejected with the money free again, or for a human."""
    for payout_id, state in evidence.payouts.items():
        assert state.draft is not None
        if payout_id in evidence.held_for_human:
            continue
        if state.status in payout.DELIVERED:
            at_the_bank = state.transfer_id in evidence.delivered
            ends, where = ("paid", "at the bank") if at_the_bank else ("returned", "not at the bank")
            if sum(state.reversals.values()) == state.draft.net_minor:
                ends, where = "reversed", "back with us"
            if state.status != ends:
                found.say(f"payout {payout_id} is left as {state.status}, its money is {where}")
            continue
        reserved = evidence.accounts[state.draft.partner_id].reserved
        if state.status not in ("canceled", "rejected") or payout_id in reserved:
            found.never_paid.add(payout_id)
            found.say(f"payout {payout_id} is left as {state.status}")
    for partner_id, money in evidence.accounts.items():
        held = any(_partner(evidence, p) == partner_id for p in evidence.held_for_human)
        if money.payable_minor >= MINIMUM_MINOR and not held:
            found.never_paid.add(partner_id)
            found.say(f"{money.payable_minor} payable to a partner were left")


def told_truly(evidence: Evidence, found: Findings) -> None:
    """What is said to have come to a bank, or back, by a payout was in that payout: at any time, not only in
    the end."""
    for recorded in evidence.log:
        fact = recorded.fact
        match fact:
            case PayoutPaid(reference=str(named)):
                word = "paid"
            case PayoutReturned(reason=reason) if (read := _FAILED.match(reason)) is not None:
                named, word = read[1], "returned"
            case _:
                continue
        transfer = evidence.payouts[recorded.originator_id].transfer_id
        if transfer not in evidence.in_payout[named]:
            found.say(
                f"payout {recorded.originator_id} was told {word} by {named}, which never had {transfer}"
            )


def _partner(evidence: Evidence, payout_id: UUID) -> UUID | None:
    draft = evidence.payouts[payout_id].draft
    return draft.partner_id if draft else None


def _net(evidence: Evidence, payout_id: UUID) -> int:
    draft = evidence.payouts[payout_id].draft
    return draft.net_minor if draft else 0
