"""The one error table: exception → problem. Nothing else in the API turns an error into a status."""

import math
import re
from typing import Any, Final

import falcon
import structlog
from marshmallow import ValidationError

from api.answers import send_problem
from api.problems import TYPES, HttpProblem, bad_header
from ledger import refusals
from ledger.intake import Problem, TooManyItems, Unreadable
from ledger.store.commit import Overloaded
from ledger.store.database import DatabaseUnavailable
from payouts.outcomes import GatewayError
from projections.export import NotSealed
from projections.statements.reading import StatementDiffers

log = structlog.get_logger("revshare.api")

TABLE: Final[dict[type[Exception], str]] = {
    refusals.InvalidField: "invalid-field",
    refusals.InvalidTerms: "invalid-terms",
    refusals.NotFound: "not-found",
    refusals.BadCosignature: "bad-cosignature",
    refusals.UnknownProgram: "unknown-program",
    refusals.UnknownPartner: "unknown-partner",
    refusals.UnknownTermsVersion: "unknown-terms-version",
    refusals.AlreadyExists: "already-exists",
    refusals.ContentConflict: "content-conflict",
    refusals.LostRace: "lost-race",
    refusals.StatementTooLong: "statement-too-long",
    refusals.TypesetterBusy: "typesetter-busy",
    refusals.UnknownContentVersion: "unknown-content-version",
    refusals.WrongCurrency: "wrong-currency",
    refusals.RefundExceedsConversion: "refund-exceeds-conversion",
    refusals.EffectiveTimeInFuture: "effective-time-in-future",
    refusals.DisputeNotOpen: "dispute-not-open",
    refusals.PartnerNotApproved: "partner-not-approved",
    refusals.IllegalTransition: "illegal-transition",
    refusals.PayoutUnderWay: "payout-under-way",
    refusals.SameMakerAndChecker: "same-maker-and-checker",
    refusals.SecondCheckerNeeded: "second-checker-needed",
    refusals.ContentChanged: "content-changed",
    refusals.InsufficientBalance: "insufficient-balance",
    refusals.PaidAgain: "paid-again",
    refusals.NothingToPay: "nothing-to-pay",
    refusals.PayoutDestinationMissing: "payout-destination-missing",
    refusals.UnknownTransfer: "unknown-transfer",
    refusals.TransferTaken: "transfer-taken",
    refusals.TransferAmountDiffers: "transfer-amount-differs",
    refusals.TransferCurrencyDiffers: "transfer-currency-differs",
    refusals.TransferDestinationDiffers: "transfer-destination-differs",
    refusals.TransferExists: "transfer-exists",
    refusals.PayoutsAreFrozen: "payouts-frozen",
    refusals.DatabaseOlderThanProvider: "database-older-than-provider",
    refusals.BankFilesInDoubt: "bank-files-in-doubt",
    refusals.UnreadableStatement: "unreadable-statement",
    refusals.BankAccountNotConfigured: "bank-account-not-configured",
    refusals.PeriodNotOver: "period-not-over",
    refusals.EarlierPeriodOpen: "earlier-period-open",
    refusals.ViewsBehind: "views-behind",
    refusals.JournalDiffers: "journal-differs",
    refusals.NothingToCorrect: "nothing-to-correct",
    refusals.ProviderUnavailable: "provider-unavailable",
    refusals.ProviderRefused: "provider-refused",
    NotSealed: "not-sealed",
    StatementDiffers: "statement-differs",
    GatewayError: "provider-unavailable",
    refusals.Refusal: "refused",
    TooManyItems: "too-many-items",
    Unreadable: "unreadable-body",
    Overloaded: "overloaded",
    DatabaseUnavailable: "unavailable",
    RecursionError: "unreadable-body",
    falcon.HTTPNotFound: "not-found",
    falcon.HTTPMethodNotAllowed: "method-not-allowed",
    falcon.HTTPUnsupportedMediaType: "unsupported-media-type",
    falcon.HTTPContentTooLarge: "too-large",
    falcon.HTTPInvalidHeader: "invalid-header",
    falcon.HTTPInvalidParam: "invalid-query",
    falcon.HTTPMissingParam: "invalid-query",
    falcon.HTTPError: "bad-request",
    Exception: "internal-error",
}
"""Exception class → name of a problem in api.problems. The nearest class of the error's own line counts."""

LOST_RACE: Final = TABLE[refusals.LostRace]
RETRY_AFTER_S: Final = 2
_BY_CLASS_NAME: Final = {cls.__name__: name for cls, name in TABLE.items()}


def name_of(error: Exception) -> str:
    """The problem's name for an error."""
    return next(TABLE[cls] for cls in type(error).__mro__ if cls in TABLE)


def problem_name(class_name: str) -> str:
    """The problem's name for a refusal by the name of its class."""
    return _BY_CLASS_NAME.get(class_name, "refused")


def item_problem(problem: Problem) -> HttpProblem:
    """The problem of one conversion. What a body names and does not exist makes the body wrong: 422."""
    name = problem_name(problem.type)
    status = 422 if TYPES[name].status == 404 else None
    errors = [{"pointer": problem.pointer, "detail": problem.detail}] if problem.pointer else []
    return HttpProblem(name, problem.detail, errors, again(name), status=status)


def again(name: str) -> dict[str, str]:
    """The header of a refusal that the same request need not meet again."""
    return {
        LOST_RACE: {"Retry-After": "1"},
        TABLE[refusals.ViewsBehind]: {"Retry-After": "1"},
        TABLE[NotSealed]: {"Retry-After": "5"},
        TABLE[refusals.TypesetterBusy]: {"Retry-After": "5"},
        TABLE[refusals.ProviderUnavailable]: {"Retry-After": "5"},
    }.get(name, {})


def to_problem(error: Exception, path_fields: frozenset[str] = frozenset()) -> HttpProblem:
    """The problem of an error. `path_fields` are the names that came in the path, not in the body."""
    name = name_of(error)
    match error:
        case refusals.InvalidTerms():
            found = [{**e, "pointer": f"/terms{e['pointer']}"} for e in error.errors]
            return HttpProblem(name, error.message, found)
        case refusals.Refusal():
            return _refusal(name, error, path_fields)
        case GatewayError():
            return HttpProblem(
                name, f"Stripe gave no answer: {type(error.outcome).__name__}", headers=again(name)
            )
        case Overloaded() | DatabaseUnavailable():
            seconds = getattr(error, "retry_after_s", RETRY_AFTER_S)
            detail = "the database can't be reached now" if name == "unavailable" else str(error)
            return HttpProblem(name, detail, headers={"Retry-After": str(math.ceil(seconds))})
        case NotSealed() | StatementDiffers():
            return HttpProblem(name, str(error), headers=again(name))
        case RecursionError():
            return HttpProblem(name, "the body is nested too deeply")
        case falcon.HTTPError():
            return _http_error(name, error)
        case _:
            return HttpProblem(name, "it was logged under the request's id")


def _refusal(name: str, error: refusals.Refusal, path_fields: frozenset[str]) -> HttpProblem:
    in_body = bool(error.pointer) and error.pointer.removeprefix("/") not in path_fields
    errors = [{"pointer": error.pointer, "detail": error.message}] if in_body else []
    # 404 is for what the path names; what the body names and does not exist makes the body wrong.
    status = 422 if in_body and TYPES[name].status == 404 else None
    extra = {"skipped": error.details["skipped"]} if error.details.get("skipped") else {}
    return HttpProblem(name, error.message, errors, again(name), status=status, extra=extra)


def _http_error(name: str, error: falcon.HTTPError) -> HttpProblem:
    status = int(re.match(r"\d+", str(error.status)).group())  # type: ignore[union-attr]
    headers = dict(error.headers or {}) if not isinstance(error.headers, list) else dict(error.headers)
    detail = error.description or TYPES[name].title
    named = _HEADER.search(detail) if isinstance(error, falcon.HTTPInvalidHeader) else None
    if named is not None:
        return bad_header(named[1], named[2])
    return HttpProblem(name, detail, headers=headers, status=status)


_HEADER: Final = re.compile(r'the "([\w-]+)" header (is invalid.*)', re.DOTALL)
"""Falcon names a header that it can't read in a sentence only."""


def from_marshmallow(error: ValidationError) -> HttpProblem:
    """Every mistake that a schema found, each with its pointer."""
    errors = list(_mistakes(error.normalized_messages(), ""))  # type: ignore[no-untyped-call]
    return HttpProblem("invalid-field", f"{len(errors)} field(s) of the body are wrong", errors)


def _mistakes(messages: Any, pointer: str) -> Any:
    if isinstance(messages, dict):
        for name, below in messages.items():
            inner = pointer if name == "_schema" else f"{pointer}/{escape(str(name))}"
            yield from _mistakes(below, inner)
    else:
        for message in messages if isinstance(messages, list) else [messages]:
            if isinstance(message, dict):
                yield from _mistakes(message, pointer)
            else:
                yield {"pointer": pointer, "detail": str(message)}


def escape(name: str) -> str:
    """A name within a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def handle(req: falcon.Request, resp: falcon.Response, error: Exception, _params: dict[str, Any]) -> None:
    """Answer any error with its problem; what we did not foresee is logged and shown to nobody."""
    if isinstance(error, falcon.HTTPStatus):
        raise error
    path_fields = frozenset(getattr(req.context, "path_fields", frozenset()))
    if isinstance(error, HttpProblem):
        problem = error
    elif isinstance(error, ValidationError):
        problem = from_marshmallow(error)
    else:
        problem = to_problem(error, path_fields)
    if problem.name == "internal-error":
        log.exception("unexpected error", exc_info=error)
    elif problem.name == "unavailable":
        log.warning("database unavailable", error=str(error))
    send_problem(req, resp, problem)


def install(app: "falcon.App[Any, Any]") -> None:
    """Let every error pass through the table."""
    app.add_error_handler(Exception, handle)
    app.add_error_handler(falcon.HTTPError, handle)
    app.add_error_handler(HttpProblem, handle)
