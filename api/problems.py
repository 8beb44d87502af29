"""Problems (RFC 9457): every way to say no over HTTP, by a stable name that a page explains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

PROBLEM_JSON: Final = "application/problem+json"
TYPE_PREFIX: Final = "/problems/"


@dataclass(frozen=True)
class ProblemType:
    """A kind of problem: its status, its title, and what whoever meets it can do."""

    status: int
    title: str
    explanation: str


def _type(status: int, title: str, explanation: str) -> ProblemType:
    return ProblemType(status, title, explanation)


TYPES: Final[dict[str, ProblemType]] = {
    # The request itself
    "unreadable-body": _type(
        400, "The body can't be read", "It is no UTF-8, no JSON, has NaN or a name twice."
    ),
    "missing-body": _type(400, "A body is missing", "Send a JSON document with this request."),
    "invalid-cursor": _type(
        400, "The cursor is none of ours", "Start again without it; follow `next` as it is."
    ),
    "invalid-query": _type(400, "A query parameter is wrong", "`errors` names each one and what it may be."),
    "invalid-header": _type(400, "A header is wrong", "`errors` names it."),
    "bad-request": _type(400, "The request can't be understood", "Its HTTP is malformed."),
    "invalid-signature": _type(
        400,
        "The webhook is not signed as it must be",
        "Nothing was stored. `detail` says why: none, not with a secret of ours, too old, ahead of us.",
    ),
    "bad-cosignature": _type(
        422, "The line is no witness's signature", "It must be that of a known witness below this checkpoint."
    ),
    "unauthenticated": _type(
        401, "No valid API key", "Send `Authorization: Bearer rs_…`; keys can be revoked."
    ),
    "forbidden": _type(403, "The key lacks a scope", "`detail` names the scopes that open this door."),
    "not-found": _type(404, "There is no such thing", "It does not exist, or not for this key."),
    "method-not-allowed": _type(405, "The method is not for this door", "`Allow` lists those that are."),
    "unsupported-media-type": _type(
        415, "The content type is not taken here", "`detail` lists those that are."
    ),
    "too-large": _type(413, "The body is too large", "Split it: 1 MiB for one thing, 16 MiB for a batch."),
    "too-many-items": _type(
        413, "The batch has too many items", "Split it: a request takes 10,000 at the most."
    ),
    "invalid-field": _type(422, "A field is wrong", "`errors` points at each field and says what it may be."),
    "format-not-installed": _type(
        501, "This installation can't write the format", "`detail` says what has to be installed."
    ),
    # Repetition
    "idempotency-key-reused": _type(
        422, "The Idempotency-Key was used for another request", "Take a new key for a new request."
    ),
    "idempotency-key-in-use": _type(
        409, "The request with this Idempotency-Key is still running", "Send it again after `Retry-After`."
    ),
    "idempotency-key-missing": _type(
        400,
        "This request needs an Idempotency-Key",
        "Send one: without it, a repetition could not be told from another wish.",
    ),
    "already-exists": _type(409, "The name is taken", "Something else has it. Choose another name."),
    "content-conflict": _type(
        409,
        "The same id came before with other content",
        "Nothing changed. Facts are corrected by new facts.",
    ),
    "lost-race": _type(409, "Others changed the same thing at the same time", "Send the request again."),
    # The rules
    "unknown-program": _type(404, "There is no such program", "Check the program's id."),
    "unknown-partner": _type(404, "There is no such partner", "Check the partner's id or reference."),
    "unknown-terms-version": _type(422, "There is no such version of the terms", "Publish it first."),
    "invalid-terms": _type(
        422, "The terms have mistakes", "`errors` lists each with its path in the document."
    ),
    "statement-too-long": _type(
        422, "The statement is too long for a file of this kind", "Ask for csv or json: they have no limit."
    ),
    "typesetter-busy": _type(
        503, "Another PDF is being made", "Ask again after `Retry-After`, or for xlsx, csv or json at once."
    ),
    "wrong-currency": _type(422, "The amount is in the wrong currency", "A program has one currency."),
    "refund-exceeds-conversion": _type(
        422, "The refunds would exceed the conversion", "Refund what is left of it, at the most."
    ),
    "effective-time-in-future": _type(422, "The time is in the future", "A fact is sent once it is true."),
    "dispute-not-open": _type(409, "The dispute is not open", "It was never opened, or has ended."),
    "partner-not-approved": _type(
        409, "The partner is not approved", "Approve or reinstate the partner first."
    ),
    "illegal-transition": _type(409, "This step does not lead on from here", "Look at the thing's status."),
    "payout-under-way": _type(
        409,
        "It is too late to cancel: it may be on its way",
        "`detail` names each. Wait for its outcome; what was not sent can be canceled payout by payout.",
    ),
    "same-maker-and-checker": _type(403, "Whoever drafted can't approve", "Somebody else has to."),
    "second-checker-needed": _type(
        403,
        "Whoever approved first can't approve again",
        "Above the limit a second checker has to.",
    ),
    "content-changed": _type(409, "It is not what was looked at", "Look again, then approve its new hash."),
    "insufficient-balance": _type(409, "The account holds less than that", "Ask for less."),
    "paid-again": _type(
        409,
        "What it gave back was paid again",
        "`detail` names the other payout. Hold the partner, and get one of the two payments back.",
    ),
    "nothing-to-pay": _type(
        409, "Nobody is due a payout", "`detail` and `skipped` say who was left out and why."
    ),
    "period-not-over": _type(409, "The month is not over", "Close it when it has ended in its time zone."),
    "earlier-period-open": _type(409, "An earlier month is open", "`detail` names it. Close it first."),
    "views-behind": _type(
        503, "The views or the engine have not come so far", "Send it again after `Retry-After`."
    ),
    "not-sealed": _type(
        409, "No checkpoint covers it yet", "One is signed within a minute, where the part `audit` runs."
    ),
    "statement-differs": _type(
        500, "The ledger does not say any more what was issued", "Run `revshare verify`: it names the place."
    ),
    "journal-differs": _type(
        500,
        "The journal is not what the facts post",
        "Run `revshare verify`: it names the place. Nothing was frozen of it.",
    ),
    "unknown-content-version": _type(
        409,
        "The statement is of a form that is not known here",
        "Ask the newest release: it was issued by it.",
    ),
    "nothing-to-correct": _type(
        409, "The statement would say what it says", "Late facts stand in the statement of a later month."
    ),
    "payout-destination-missing": _type(409, "The partner has no payout account", "Link one first."),
    "unknown-transfer": _type(422, "There is no such transfer", "Copy its id (tr_…) from the provider."),
    "transfer-taken": _type(
        409, "The transfer is another payout's", "One transfer pays one payout. `detail` names the other one."
    ),
    "transfer-amount-differs": _type(
        409,
        "The transfer moved another amount",
        "Reverse it at the provider; then resolve the payout as absent, and it is sent anew.",
    ),
    "transfer-currency-differs": _type(
        409, "The transfer is in another currency", "As for another amount: reverse it, resolve as absent."
    ),
    "transfer-destination-differs": _type(
        409, "The transfer went to another account", "As for another amount: reverse it, resolve as absent."
    ),
    "transfer-exists": _type(
        409,
        "The provider holds a transfer of this payout",
        "Resolve it as confirmed with that transfer; or reverse all of it first.",
    ),
    "payouts-frozen": _type(409, "Payouts are frozen", "`detail` says why. Thaw them first."),
    "unreadable-statement": _type(
        422,
        "The bank statement can't be read",
        "`detail` says what it is taken for, and where it is wrong. Nothing was recorded.",
    ),
    "bank-account-not-configured": _type(
        409,
        "Nobody has said which bank account of ours pays",
        "Set PAYOUT_BANK_NAME and PAYOUT_BANK_IBAN, and start the API anew.",
    ),
    "database-older-than-provider": _type(
        409,
        "The ledger is older than what was sent",
        "Was the database restored? Take in or resolve each transfer that `detail` is about.",
    ),
    "bank-files-in-doubt": _type(
        409,
        "Files may have left for the bank that the ledger does not know",
        "Was the database restored? Record what left, then say that every file is accounted for.",
    ),
    "provider-refused": _type(
        422, "The payment provider said no", "`detail` has its words. Mend what they name first."
    ),
    "refused": _type(422, "A rule refused this", "`detail` says which."),
    # Our side
    "internal-error": _type(500, "Something went wrong here", "It was logged under the request's id."),
    "overloaded": _type(
        503,
        "Too much is waiting",
        "Send the same again after `Retry-After`. A part of it may be stored; what was stored counts once.",
    ),
    "webhooks-not-configured": _type(
        503,
        "Nobody has said which secret webhooks are signed with",
        "Set STRIPE_WEBHOOK_SECRET. The provider sends its events again.",
    ),
    "provider-unavailable": _type(
        503,
        "The payment provider gave no answer",
        "Send the same again later. What was done before it fell silent is found then, and counts once.",
    ),
    "unavailable": _type(
        503,
        "The database can't be reached",
        "Send it again after `Retry-After`; facts sent twice count once.",
    ),
}
"""Name → problem. A name is for ever: callers branch on `type`."""


@dataclass
class HttpProblem(Exception):
    """A problem on its way to the caller. `name` is one of TYPES; `extra` are members of its own."""

    name: str
    detail: str
    errors: Sequence[Mapping[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def body_of(problem: HttpProblem, *, instance: str | None = None) -> dict[str, Any]:
    """The members of a problem document."""
    kind = TYPES[problem.name]
    body: dict[str, Any] = {
        "type": TYPE_PREFIX + problem.name,
        "title": kind.title,
        "status": problem.status or kind.status,
        "detail": problem.detail,
    }
    if instance is not None:
        body["instance"] = instance
    if problem.errors:
        body["errors"] = [dict(error) for error in problem.errors]
    return body | dict(problem.extra)


def bad_header(name: str, detail: str) -> HttpProblem:
    """One header is wrong."""
    return HttpProblem("invalid-header", f"{name} {detail}", [{"pointer": f"/{name}", "detail": detail}])


def invalid(pointer: str, detail: str) -> HttpProblem:
    """One field is wrong."""
    return HttpProblem("invalid-field", detail, [{"pointer": pointer, "detail": detail}])
