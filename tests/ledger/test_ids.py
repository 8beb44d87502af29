"""Derived ids: the same words name the same stream for ever, other words another."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import ids

P, Q = UUID(int=1), UUID(int=2)
references = st.text(
    st.characters(min_codepoint=32, exclude_characters="\x7f", exclude_categories=["Cs"]),
    min_size=1,
    max_size=20,
)


@pytest.mark.parametrize(
    ("derived", "written_down"),
    [
        (ids.ROOT, "6b2f871c-58ea-5edf-b9d5-862126af3751"),
        (ids.program_id("shop"), "88053203-2313-57b3-8f6e-6d003e629877"),
        (ids.partner_id("acme"), "6a40aea4-ff76-56ee-af25-5eb4bdec35d4"),
        (ids.agreement_id(P, Q), "2f9157e5-5daa-527d-9ebc-b5831887f3af"),
        (ids.referral_code_id("ACME-1"), "022a0717-31e5-57fc-b332-7c1d0a000738"),
        (ids.customer_id(P, "c-1"), "771dc394-f380-5ed4-aed7-08775e2cd9b7"),
        (ids.referral_id(P, "crm-7"), "e2daff64-f973-57b4-b2af-65a0ef5ef998"),
        (ids.conversion_id(P, "billing", "inv-1"), "12cc84c9-bdd1-52e0-8dfb-ed2fa0093bf2"),
        (ids.rewards_id(P), "363cff7c-499d-528e-b9b1-f0ddfc10505d"),
        (ids.reward_id(P, Q, 1), "feed7448-01bf-53a5-a2e2-383862651586"),
        (ids.account_id(P, Q, "GBP"), "66693910-ebc9-59c2-9b70-ae72ce200d9c"),
        (ids.payout_id(P, Q), "1da78d3a-54e6-59e5-8c42-b898fb9ba9ad"),
        (ids.command_id("key:k", "abc", "batch"), "bbba3677-8e4b-5bf4-bb08-9ccfb3d1aa1e"),
    ],
)
def test_an_id_is_the_same_for_ever(derived, written_down):
    """Stored streams are found by these: a change here would lose them."""
    assert str(derived) == written_down


@given(st.tuples(references, references), st.tuples(references, references))
def test_names_never_run_together(first, second):
    """Two conversions have one id only if source and external id are both the same."""
    same = ids.conversion_id(P, *first) == ids.conversion_id(P, *second)

    assert same == (first == second)


@given(references)
def test_kinds_and_parents_keep_apart(reference):
    """A program, a partner and a code of one name differ; so do the customers of two programs."""
    roots = {ids.program_id(reference), ids.partner_id(reference), ids.referral_code_id(reference)}

    assert len(roots) == 3
    assert ids.customer_id(P, reference) != ids.customer_id(Q, reference)
    assert ids.customer_id(P, reference) != ids.referral_id(P, reference)
