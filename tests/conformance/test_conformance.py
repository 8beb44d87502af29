"""The conformance checks on the stand-in; and the script asks nothing without a key of test mode."""

import io

import pytest

from tests.conformance.__main__ import main, run, stand_in
from tests.conformance.checks import CHECKS, WITH_DESTINATION


def test_the_stand_in_answers_as_expected():
    out = io.StringIO()

    assert main(["--stand-in"], out) == 0, out.getvalue()
    assert out.getvalue().count("ok ") == len(CHECKS) + len(WITH_DESTINATION)


@pytest.mark.parametrize("key", ["", "sk_live_secret", "rk_live_secret", "nonsense"])
def test_a_key_that_is_none_of_test_mode_is_not_used(monkeypatch, key):
    monkeypatch.setenv("STRIPE_API_KEY", key)
    out = io.StringIO()

    assert main([], out) == 2
    assert "secret" not in out.getvalue()


def test_another_answer_is_told_with_the_name_of_the_check():
    """An account that lost its capability fails both checks that need one; what is left out is named."""
    wrong: list[str] = []
    company = stand_in(wrong)
    assert company.destination is not None
    company.client.v1.accounts.update(
        company.destination, {"capabilities": {"transfers": {"requested": False}}}
    )
    out, without = io.StringIO(), io.StringIO()
    differ = run(company, wrong, out)
    company.destination = None

    assert differ == 2
    assert "DIFFERS a transfer is made once found and taken back" in out.getvalue()
    assert run(company, wrong, without) == 0
    assert "not asked, for want of STRIPE_CONFORMANCE_ACCOUNT" in without.getvalue()
