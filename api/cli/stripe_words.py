"""What the commands say when Stripe gave no answer to a question: why, and what to do about it."""

from typing import Final, NoReturn, assert_never

from api.cli.terminal import fail
from payouts.outcomes import GatewayError, NotSent, Rejected, RetryLater, Unknown

EXIT_AWAY: Final = 4
"""Stripe gave no answer: the same command later may get one. Nothing was stored."""
_KEY: Final = "check STRIPE_API_KEY and STRIPE_API_BASE (docs/operations.md, Settings)"
_AGAIN: Final = "is it up, and does the network reach it? Then the same command again"


def why(error: GatewayError) -> tuple[str, str]:
    """Why there was no answer, in a line for people; and what to do."""
    match error.outcome:
        case RetryLater(after_s=seconds):
            return "it was too busy", f"the same command again in {seconds} s"
        case NotSent(reason=reason):
            return f"it does not take our key or our request ({reason})", _KEY
        case Rejected(code=code, message=message):
            return f"it refused the question ({code}): {message}".rstrip(": "), _KEY
        case Unknown(reason="connection"):
            return "no connection to it, or none that lasted", _AGAIN
        case Unknown(reason="server_error"):
            return (
                "it answered with an error of its own",
                "see Stripe's status page; then the same command again",
            )
        case Unknown(reason=reason):
            return f"its answer could not be used ({reason})", _AGAIN
        case _:
            assert_never(error.outcome)


def fail_unasked(error: GatewayError, *, so: str = "nothing was stored") -> NoReturn:
    """End a command because Stripe gave no answer, with an exit code of its own. `so` is what follows."""
    said, advice = why(error)
    fail(f"Stripe could not be asked: {said}; {so}", code=EXIT_AWAY, hint=advice)
