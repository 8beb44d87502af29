"""The money account: never below zero, never reserved twice, and its facts sum to its state."""

from collections import Counter
from datetime import UTC, datetime
from itertools import count
from uuid import UUID, uuid4

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledger import account, postings
from ledger.account import EMPTY, AccountState, Holder
from ledger.events.account import ClawbackOffset, TransferReversalCredited
from ledger.events.base import Fact
from ledger.refusals import IllegalTransition, InsufficientBalance

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOLDER = Holder(UUID(int=1), UUID(int=2), "GBP")
PAYOUT = UUID(int=3)
amounts = st.integers(1, 1_000)


def replay(facts: list[Fact]) -> AccountState:
    """The account after facts."""
    state = EMPTY
    for fact in facts:
        state = account.evolve(state, fact)
    return state


def matured(state: AccountState, amount_minor: int) -> list[Fact]:
    """A reward of an amount matured."""
    return account.mature(
        state, HOLDER, reward_id=uuid4(), conversion_id=uuid4(), amount_minor=amount_minor, effective_at=NOW
    )


def reversed_(state: AccountState, amount_minor: int) -> list[Fact]:
    """A matured reward of an amount was taken back."""
    return account.reverse(
        state,
        HOLDER,
        reward_id=uuid4(),
        conversion_id=uuid4(),
        amount_minor=amount_minor,
        reason="refund",
        effective_at=NOW,
        cause_position=1,
    )


def reserved(
    state: AccountState, payout_id: UUID, net: int, withheld: int = 0, attempt: int = 1
) -> list[Fact]:
    """A payout's intent."""
    return account.reserve(
        state,
        HOLDER,
        payout_id=payout_id,
        attempt=attempt,
        net_minor=net,
        withheld_minor=withheld,
        effective_at=NOW,
    )


def released(state: AccountState, payout_id: UUID, attempt: int = 1) -> list[Fact]:
    """A payout's attempt was rejected."""
    return account.release(
        state, HOLDER, payout_id=payout_id, attempt=attempt, reason="declined", effective_at=NOW
    )


class AccountLife(RuleBasedStateMachine):
    """Anything that can happen to an account, in any order, beside a model of plain numbers."""

    @initialize()
    def begin(self) -> None:
        self.facts: list[Fact] = []
        self.numbers = count(1_000)
        self.state = EMPTY
        self.matured = self.taken_back = self.written_off = self.came_back = 0
        self.out: dict[UUID, int] = {}
        self.attempts: Counter[UUID] = Counter()

    def happen(self, facts: list[Fact]) -> None:
        """Keep facts."""
        for fact in facts:
            self.state = account.evolve(self.state, fact)
        self.facts += facts

    @rule(amount=amounts)
    def a_reward_matures(self, amount: int) -> None:
        self.happen(matured(self.state, amount))
        self.matured += amount

    @rule(data=st.data())
    def a_matured_reward_is_taken_back(self, data: st.DataObject) -> None:
        if self.matured > self.taken_back:
            amount = data.draw(st.integers(1, self.matured - self.taken_back))
            self.happen(reversed_(self.state, amount))
            self.taken_back += amount

    @rule(net=st.integers(0, 1_000), withheld=st.integers(0, 200))
    def a_new_payout_asks_for_money(self, net: int, withheld: int) -> None:
        # Counted, not random: Hypothesis must meet the same payouts when it runs an example again.
        payout_id, before = UUID(int=len(self.attempts) + 10), self.state
        if net + withheld > before.payable_minor:
            with pytest.raises(InsufficientBalance):
                reserved(before, payout_id, net, withheld)
            return
        self.attempts[payout_id] = 1
        self.happen(reserved(before, payout_id, net, withheld))
        self.out[payout_id] = net + withheld
        assert self.state.payable_minor == before.payable_minor - net - withheld

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def the_same_attempt_asks_again(self, data: st.DataObject) -> None:
        payout_id = data.draw(st.sampled_from(sorted(self.out)))
        assert reserved(self.state, payout_id, 1, attempt=self.attempts[payout_id]) == []
        with pytest.raises(IllegalTransition):
            reserved(self.state, payout_id, 1, attempt=self.attempts[payout_id] + 1)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def an_attempt_is_rejected(self, data: st.DataObject) -> None:
        payout_id = data.draw(st.sampled_from(sorted(self.out)))
        assert released(self.state, payout_id, attempt=self.attempts[payout_id] + 1) == []
        self.happen(released(self.state, payout_id, attempt=self.attempts[payout_id]))
        assert released(self.state, payout_id, attempt=self.attempts[payout_id]) == []
        del self.out[payout_id]

    @rule(data=st.data())
    def a_transfer_comes_back(self, data: st.DataObject) -> None:
        left = sum(self.out.values()) - self.came_back
        if left > 0:
            amount = data.draw(st.integers(1, left))
            withheld = data.draw(st.integers(0, amount))
            fact = TransferReversalCredited(
                payout_id=uuid4(),
                reference="trr_1",
                program_id=HOLDER.program_id,
                partner_id=HOLDER.partner_id,
                amount_minor=amount - withheld,
                withheld_minor=withheld,
                currency=HOLDER.currency,
                effective_at=NOW,
            )
            self.happen([fact])
            self.came_back += amount

    @rule(amount=amounts)
    def finance_writes_off(self, amount: int) -> None:
        write_off_id = UUID(int=next(self.numbers))
        wish = {"amount_minor": amount, "reason": "small", "effective_at": NOW, "write_off_id": write_off_id}
        if amount > self.state.clawback_minor:
            with pytest.raises(InsufficientBalance):
                account.write_off(self.state, HOLDER, **wish)  # type: ignore[arg-type]
            return
        self.happen(account.write_off(self.state, HOLDER, **wish))  # type: ignore[arg-type]
        assert account.write_off(self.state, HOLDER, **wish) == []  # type: ignore[arg-type]
        self.written_off += amount

    @invariant()
    def nothing_is_below_zero_or_paid_twice(self) -> None:
        assert self.state.payable_minor >= 0
        assert self.state.clawback_minor >= 0
        earned = self.matured - self.taken_back + self.written_off
        assert self.state.payable_minor - self.state.clawback_minor == (
            earned + self.came_back - sum(self.out.values())
        )
        assert set(self.state.reserved) == set(self.out)

    @invariant()
    def the_books_say_the_same_and_sum_to_zero(self) -> None:
        books: Counter[str] = Counter()
        for fact in self.facts:
            legs = postings.postings(fact)
            assert sum(leg.amount_minor for leg in legs) == 0
            for leg in legs:
                books[leg.account] += leg.amount_minor
        assert books["commission_payable"] == -self.state.payable_minor
        assert books["clawback_receivable"] == self.state.clawback_minor
        assert replay(self.facts) == self.state


TestAccountLife = AccountLife.TestCase


def test_what_is_owed_is_set_off_against_the_next_reward():
    """Clawback first, the rest is payable."""
    given = matured(EMPTY, 100)
    given += reserved(replay(given), uuid4(), 100)
    given += reversed_(replay(given), 70)
    assert (replay(given).payable_minor, replay(given).clawback_minor) == (0, 70)

    given += matured(replay(given), 100)

    assert (replay(given).payable_minor, replay(given).clawback_minor) == (30, 0)


def test_a_reversal_takes_what_is_payable_before_it_claws_back():
    """60 are there, 40 are owed."""
    given = matured(EMPTY, 100)
    given += reserved(replay(given), uuid4(), 40)

    [fact] = reversed_(replay(given), 100)

    assert (fact.payable_minor, fact.clawback_minor) == (60, 40)  # type: ignore[attr-defined]


def test_a_released_payout_can_be_attempted_anew_but_no_old_attempt_comes_back():
    """The next attempt reserves again."""
    payout_id = uuid4()
    given = matured(EMPTY, 100)
    given += reserved(replay(given), payout_id, 80, 20)
    given += released(replay(given), payout_id)
    assert replay(given).payable_minor == 100

    given += reserved(replay(given), payout_id, 80, 20, attempt=2)

    assert replay(given).payable_minor == 0
    assert released(replay(given), payout_id, attempt=1) == []


def test_facts_of_other_rooms_leave_the_account_alone():
    """evolve never refuses."""
    first = matured(EMPTY, 5)[0]

    assert account.evolve(replay([first]), Fact()) == replay([first])


def test_money_of_a_rejected_payout_first_pays_what_is_owed_back():
    """A refund arrived while the transfer was under way: what comes back is set off before it is payable."""
    owing = AccountState(
        payable_minor=0, clawback_minor=8_000, reserved={PAYOUT: account.Reservation(1, 10_020, 0)}
    )

    facts = account.release(owing, HOLDER, payout_id=PAYOUT, attempt=1, reason="closed", effective_at=NOW)

    after = owing
    for fact in facts:
        after = account.evolve(after, fact)
    assert (after.payable_minor, after.clawback_minor) == (2_020, 0)
    assert isinstance(facts[1], ClawbackOffset)
    assert facts[1].payout_id == PAYOUT
