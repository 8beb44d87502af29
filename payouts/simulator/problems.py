"""The refusals of the stand-in, in the shape in which Stripe says no."""

from __future__ import annotations

from typing import Any

INVALID_REQUEST = "invalid_request_error"


class StripeProblem(Exception):
    """An answer other than 200. Sent as `{"error": {type, code, message, param}}`."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = INVALID_REQUEST,
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.error = {"code": code, "message": message, "param": param, "type": kind}

    def body(self) -> dict[str, Any]:
        """The body to send. Members that say nothing are left out, as Stripe leaves them out."""
        return {"error": {name: value for name, value in self.error.items() if value is not None}}


def missing_parameter(name: str) -> StripeProblem:
    """A required parameter was not sent."""
    return StripeProblem(400, f"Missing required param: {name}.", code="parameter_missing", param=name)


def unknown_parameter(name: str) -> StripeProblem:
    """A parameter that this call does not take (here also: one that the stand-in does not act on)."""
    return StripeProblem(400, f"Received unknown parameter: {name}", code="parameter_unknown", param=name)


def invalid_integer(name: str, given: str) -> StripeProblem:
    """A whole number was due: floats, words and numbers beyond 64 bits end here."""
    return StripeProblem(400, f"Invalid integer: {given}", code="parameter_invalid_integer", param=name)


def invalid_text(name: str, message: str) -> StripeProblem:
    """A text, choice or nested value of the wrong form."""
    return StripeProblem(400, message, param=name)


def no_such(noun: str, identifier: str, param: str, *, status: int = 404) -> StripeProblem:
    """An object that does not exist: 404 when it is named in the path, 400 when in a parameter."""
    return StripeProblem(status, f"No such {noun}: '{identifier}'", code="resource_missing", param=param)


def unrecognized_url(method: str, path: str) -> StripeProblem:
    """A route that does not exist, or not with this method. Has no code, at Stripe neither."""
    return StripeProblem(404, f"Unrecognized request URL ({method}: {path}).")


def key_in_use(key: str) -> StripeProblem:
    """Another request with the same idempotency key is still being worked on."""
    message = f"There is currently another in-progress request using this Idempotency Key ({key})."
    return StripeProblem(409, message, kind="idempotency_error", code="idempotency_key_in_use")


def key_reused(key: str) -> StripeProblem:
    """The idempotency key was first used with other parameters or for another call."""
    message = (
        f"Keys for idempotent requests can only be used with the same parameters they were first used with. "
        f"Try using a key other than '{key}' if you meant to execute a different request."
    )
    return StripeProblem(400, message, kind="idempotency_error")


def insufficient_balance() -> StripeProblem:
    """The balance that the money should come from does not hold it."""
    message = "You have insufficient available funds in your Stripe account."
    return StripeProblem(400, message, code="balance_insufficient")


def unknown_error() -> StripeProblem:
    """Stripe's own mistake. Whether anything moved is not said."""
    return StripeProblem(500, "An unknown error occurred.", kind="api_error")


def not_found_v2(message: str) -> StripeProblem:
    """API v2: an object that does not exist."""
    return StripeProblem(404, message, code="not_found")
