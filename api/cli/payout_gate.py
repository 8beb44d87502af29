"""`revshare payouts freeze`, `thaw`, `restored`, `take-in` …: the brake, and what a restored ledger lost.

No API is needed for them.
"""

from typing import Annotated

import typer

from api.cli.parts import open_ledger, settings
from api.cli.stripe_words import fail_unasked
from api.cli.terminal import fail, say
from ledger.refusals import Refusal

Reason = Annotated[str, typer.Option(help="Why; it stands in the log for ever.")]
BY = "cli"


def freeze(reason: Reason) -> None:
    """Stop all payouts, at once and until somebody thaws them."""
    from payouts import restore_check

    with open_ledger(settings()) as ledger:
        try:
            restore_check.freeze(ledger, reason, by=BY)
        except Refusal as refusal:
            fail(refusal.message)
    say("payouts are frozen; what was on its way at this moment may arrive")


def thaw(reason: Reason) -> None:
    """Let payouts go on. It explains no transfer that the ledger does not know."""
    from payouts import restore_check

    with open_ledger(settings()) as ledger:
        try:
            state = restore_check.thaw(ledger, reason, by=BY)
        except Refusal as refusal:
            fail(refusal.message)
    if state.is_suspect:
        say("thawed; but the provider holds transfers that the ledger does not know: revshare reconcile")
    else:
        say("payouts go on")


def restored(reason: Reason) -> None:
    """Say that the database was put back: nothing is sent or exported before it is known what left."""
    from payouts import restore_check

    with open_ledger(settings()) as ledger:
        try:
            restore_check.restored(ledger, reason, by=BY)
        except Refusal as refusal:
            fail(refusal.message)
    say("nothing is sent before Stripe's lists have shown all; nothing is exported before bank-files-known")


def bank_files_known(reason: Reason) -> None:
    """After a restore: say that every file that left for our bank stands in the ledger. Exports go on."""
    from payouts import restore_check

    with open_ledger(settings()) as ledger:
        try:
            restore_check.account_for_bank_files(ledger, reason, person=None, by=BY)
        except Refusal as refusal:
            fail(refusal.message)
    say("files for the bank are exported again")


def take_in(
    transfer: Annotated[str, typer.Argument(help="The transfer's id (tr_…).")], reason: Reason
) -> None:
    """After a restore: record a transfer that Stripe holds as its approved payout's own."""
    of = settings()
    from payouts.gateway import GatewayError, StripeGateway
    from payouts.taking_in import take_in as take

    # It only reads there, so a live key is fine.
    gateway = StripeGateway(of.stripe_api_key, of.stripe_base, live=True)
    with open_ledger(of) as ledger:
        try:
            taken = take(ledger, gateway, transfer, reason, by=BY)
        except GatewayError as error:
            fail_unasked(error)
        except Refusal as refusal:
            fail(refusal.message)
    say(f"payout {taken.payout_id} is {taken.status}, by {taken.transfer_id}")
