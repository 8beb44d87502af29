"""Random histories of one account and its payouts: no balance is paid twice, and lines sum to the amount."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ledger import account, payout, payout_lines
from ledger.account import Holder
from ledger.events.account import TransferReversalCredited
from ledger.events.base import Fact, Recorded
from ledger.events.payout import PayoutApproved, PayoutDrafted
from ledger.refusals import ContentChanged, InsufficientBalance

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PROGRAM, PARTNER, ACCOUNT, BATCH = (UUID(int=n) for n in range(1, 5))
HOLDER = Holder(PROGRAM, PARTNER, "GBP")
APPROVED = PayoutApproved(approved_by="key:checker", content_hash="0" * 64)


def replay(facts):
    """A payout's state after facts."""
    state = payout.NO_PAYOUT
    for fact in facts:
        state = payout.evolve(state, fact)
    return state


class Payouts(RuleBasedStateMachine):
    """Random histories of one account, with drafts that race each other, against plain sums."""

    def __init__(self):
        super().__init__()
        self.log: list[Recorded] = []
        self.payouts: dict[UUID, list[Fact]] = {}
        self.rewards: dict[UUID, int] = {}
        self.sent_minor = 0
        self.came_back_minor = 0

    # The account's and the payouts' streams

    def money(self):
        state = account.EMPTY
        for recorded in self.log:
            state = account.evolve(state, recorded.fact)
        return state

    def add(self, facts):
        for fact in facts:
            self.log.append(Recorded(ACCOUNT, len(self.log) + 1, NOW, "engine", fact, len(self.log) + 1))

    def in_state(self, *states):
        return [p for p, facts in self.payouts.items() if replay(facts).status in states]

    def held(self):
        return self.in_state("intent", "sent", "unknown", "confirmed", "reversed")

    def lines(self, payout_id):
        draft = replay(self.payouts[payout_id]).draft
        return payout_lines.lines(
            self.log, from_version=draft.account_from_version, to_version=draft.account_to_version
        )

    # What happens

    @rule(amount=st.integers(1, 1_000))
    def mature(self, amount):
        reward = uuid4()
        self.rewards[reward] = amount
        self.add(
            account.mature(
                self.money(),
                HOLDER,
                reward_id=reward,
                conversion_id=uuid4(),
                amount_minor=amount,
                effective_at=NOW,
            )
        )

    @precondition(lambda self: any(self.rewards.values()))
    @rule(data=st.data())
    def reverse(self, data):
        reward = data.draw(st.sampled_from([r for r, left in self.rewards.items() if left]))
        amount = data.draw(st.integers(1, self.rewards[reward]))
        self.rewards[reward] -= amount
        self.add(
            account.reverse(
                self.money(),
                HOLDER,
                reward_id=reward,
                conversion_id=uuid4(),
                amount_minor=amount,
                reason="refund",
                effective_at=NOW,
                cause_position=1,
            )
        )

    @precondition(lambda self: self.money().payable_minor > 0)
    @rule()
    def draft(self):
        """Also while another one is open: two makers who did not see each other."""
        held = payout_lines.last_held(self.log)
        before = replay(self.payouts[held[1]]).draft.account_to_version if held else 0
        self.payouts[uuid4()] = [
            PayoutDrafted(
                batch_id=BATCH,
                program_id=PROGRAM,
                partner_id=PARTNER,
                account_id=ACCOUNT,
                account_from_version=before,
                account_to_version=len(self.log),
                amount_minor=self.money().payable_minor,
                currency="GBP",
                destination="acct_1",
                made_by="key:maker",
                provider="stripe",
                withheld_minor=0,
                withholding_bps=0,
                hash_version=2,
            ),
            APPROVED,
        ]

    @precondition(lambda self: self.in_state("approved", "rejected"))
    @rule(data=st.data())
    def open(self, data):
        payout_id = data.draw(st.sampled_from(self.in_state("approved", "rejected")))
        state = replay(self.payouts[payout_id])
        try:
            payout_lines.check_lines(self.log, payout_id, state.draft)
            reserved = account.reserve(
                self.money(),
                HOLDER,
                payout_id=payout_id,
                attempt=state.attempt + 1,
                net_minor=state.draft.amount_minor,
                withheld_minor=0,
                effective_at=NOW,
            )
        except (InsufficientBalance, ContentChanged):
            self.payouts[payout_id] += payout.cancel(state, reason="no")
            return
        self.payouts[payout_id] += payout.record_intent(payout_id, state, body="{}", api_version="v", now=NOW)
        self.add(reserved)

    @precondition(lambda self: self.in_state("intent", "unknown"))
    @rule(data=st.data(), outcome=st.sampled_from(["confirm", "reject", "unknown"]))
    def hear(self, data, outcome):
        payout_id = data.draw(st.sampled_from(self.in_state("intent", "unknown")))
        state = replay(self.payouts[payout_id])
        attempt = state.attempt
        if outcome == "unknown":
            self.payouts[payout_id] += payout.leave_unknown(
                state, attempt=attempt, reason="cut off", sent_at=NOW, now=NOW
            )
        elif outcome == "confirm":
            self.payouts[payout_id] += payout.confirm(
                state, attempt=attempt, transfer_id=str(payout_id), sent_at=NOW, now=NOW
            )
            self.sent_minor += state.draft.amount_minor
        else:
            self.payouts[payout_id] += payout.reject(
                state, attempt=attempt, code="no", message="no", sent_at=NOW, now=NOW
            )
            self.add(
                account.release(
                    self.money(), HOLDER, payout_id=payout_id, attempt=attempt, reason="no", effective_at=NOW
                )
            )

    @precondition(lambda self: self.in_state("confirmed"))
    @rule(data=st.data())
    def transfer_comes_back(self, data):
        payout_id = data.draw(st.sampled_from(self.in_state("confirmed")))
        amount = replay(self.payouts[payout_id]).draft.amount_minor
        self.payouts[payout_id] += payout.reverse(
            replay(self.payouts[payout_id]), amount_minor=amount, origin="us", reference="trr", now=NOW
        )
        self.came_back_minor += amount
        self.add(
            [
                TransferReversalCredited(
                    payout_id=payout_id,
                    reference="trr",
                    program_id=PROGRAM,
                    partner_id=PARTNER,
                    amount_minor=amount - 1,
                    withheld_minor=1,
                    currency="GBP",
                    effective_at=NOW,
                )
            ]
        )

    # What must always hold

    @invariant()
    def nothing_is_paid_that_was_not_earned(self):
        """Earned = payable + on its way or sent − what came back − what is owed to us."""
        state = self.money()
        on_its_way = sum(
            replay(self.payouts[p]).draft.amount_minor for p in self.in_state("intent", "sent", "unknown")
        )

        assert sum(self.rewards.values()) == (
            state.payable_minor + on_its_way + self.sent_minor - self.came_back_minor - state.clawback_minor
        )

    @invariant()
    def lines_sum_to_the_amount_and_are_paid_once(self):
        """Each payout's lines make its amount; no fact is in the lines of two that hold money."""
        for payout_id, facts in self.payouts.items():
            assert (
                sum(line.amount_minor for line in self.lines(payout_id)) == replay(facts).draft.amount_minor
            )
        paid = [line.account_version for p in self.held() for line in self.lines(p)]
        assert len(paid) == len(set(paid))

    @invariant()
    def a_line_adds_what_its_fact_did(self):
        """The effect of a line is the change that the account's own rule makes."""
        state = account.EMPTY
        for recorded in self.log:
            after = account.evolve(state, recorded.fact)
            effect = after.payable_minor - state.payable_minor
            assert payout_lines.payable_effect_minor(recorded.fact) == effect
            state = after

    @invariant()
    def a_snapshot_knows_which_payout_reserved_last(self):
        """As the whole history does, also once it was written and read again."""
        stored = msgspec.json.decode(msgspec.json.encode(self.money()), type=account.AccountState)
        held = payout_lines.last_held(self.log)

        assert stored.last_held == (held[1] if held else None)


Payouts.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestPayouts = Payouts.TestCase
