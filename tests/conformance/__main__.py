"""`python -m tests.conformance`: the checks against Stripe's test mode, or with `--stand-in` against ours.

Reads STRIPE_API_KEY, which has to be a test key, and STRIPE_CONFORMANCE_ACCOUNT, an account of that platform
that may receive transfers; without the latter two checks are left out and named. It makes test accounts with
the metadata made_by=revshare-conformance and moves 1.00 US dollar of test money there and back. Ends with 1
when an answer was other than the stand-in's.
"""

import argparse
import os
import sys
from typing import TextIO

import requests
import stripe

from tests.conformance.checks import CHECKS, WITH_DESTINATION, Company
from tests.support.in_process_stripe import InProcessStripe
from tests.support.stripe_schemas import call_mistakes

TEST_KEYS = ("sk_test_", "rk_test_")


def stand_in(wrong: list[str]) -> Company:
    """The stand-in, which makes owners go through the onboarding, and an account that did."""
    standin = InProcessStripe(platform_balance={"usd": 10_000})
    client = standin.sdk(lambda response: wrong.extend(call_mistakes(response)))
    ready = client.v1.accounts.create({"type": "express", "country": "US"})
    standin.set(onboarding="manual")
    return Company(client, ready.id)


def test_mode(key: str, destination: str | None, wrong: list[str]) -> Company:
    """Stripe itself. Raises ValueError for a key that is none of test mode."""
    if not key.startswith(TEST_KEYS):
        raise ValueError("STRIPE_API_KEY has to be a key of test mode (sk_test_… or rk_test_…)")
    stripe.enable_telemetry = False
    session = requests.Session()
    session.hooks["response"].append(lambda response, **_: wrong.extend(_of_stripe(response)))
    client = stripe.StripeClient(
        key, http_client=stripe.RequestsClient(session=session), max_network_retries=2
    )
    return Company(client, destination)


def _of_stripe(response: requests.Response) -> list[str]:
    """What is wrong with an answer of Stripe's; addresses that its SDK does not have are no matter."""
    try:
        return call_mistakes(response)
    except LookupError:
        return []


def run(company: Company, wrong: list[str], out: TextIO) -> int:
    """Every check, a line each: how many answers were other than expected."""
    differ = 0
    for check in (*CHECKS, *(WITH_DESTINATION if company.destination else ())):
        name = check.__name__.replace("_", " ")
        try:
            check(company)
            found = list(wrong)
        except (AssertionError, stripe.StripeError) as other:
            found = [f"{type(other).__name__}: {other}", *wrong]
        wrong.clear()
        differ += bool(found)
        out.write(f"{'DIFFERS' if found else 'ok     '} {name}\n")
        out.writelines(f"        {line}\n" for line in found)
    if not company.destination:
        names = ", ".join(check.__name__.replace("_", " ") for check in WITH_DESTINATION)
        out.write(f"not asked, for want of STRIPE_CONFORMANCE_ACCOUNT: {names}\n")
    return differ


def main(arguments: list[str] | None = None, out: TextIO = sys.stdout) -> int:
    """Run, and say with 0 that all was as expected, with 1 that it was not, with 2 that nothing was asked."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--stand-in", action="store_true", help="ask the stand-in instead of Stripe")
    options = parser.parse_args(arguments)
    wrong: list[str] = []
    if options.stand_in:
        company = stand_in(wrong)
    else:
        key, destination = os.environ.get("STRIPE_API_KEY", ""), os.environ.get("STRIPE_CONFORMANCE_ACCOUNT")
        try:
            company = test_mode(key, destination, wrong)
        except ValueError as refused:
            out.write(f"{refused}\n")
            return 2
    return 1 if run(company, wrong, out) else 0


if __name__ == "__main__":
    sys.exit(main())
