"""Idempotency-Key on every POST: the same request again is answered as the first one was."""

import re
from typing import Any, Final

import falcon
import structlog

from api.answers import encode
from api.idempotency import Answer, IdempotencyKeys, OtherRequest, StillRunning, Taken, fingerprint
from api.problems import HttpProblem, bad_header
from ledger.store.database import DatabaseUnavailable

log = structlog.get_logger("revshare.api")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_KEPT_HEADERS: Final = ("content-type", "location", "www-authenticate", "cache-control")


class Idempotency:
    """Answers a repeated POST from what is kept; keeps every answer that is the last word."""

    def __init__(self, keys: IdempotencyKeys) -> None:
        self._keys = keys

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, _resource: Any, _params: dict[str, Any]
    ) -> None:
        """Take the key, or answer from what is kept under it."""
        key = req.get_header("Idempotency-Key")
        caller = getattr(req.context, "caller", None)
        if caller is None or req.method != "POST":
            return
        if key is None:
            if req.context.operation.needs_key:
                raise HttpProblem("idempotency-key-missing", "send an Idempotency-Key with this request")
            return
        if not _KEY.fullmatch(key):
            raise bad_header("Idempotency-Key", "must be 1 to 255 visible ASCII characters")
        target = req.relative_uri
        of = fingerprint(req.method, target, getattr(req.context, "media_type", ""), req.context.raw)
        try:
            found = self._keys.take(str(caller.key_id), key, of)
        except OtherRequest:
            raise HttpProblem(
                "idempotency-key-reused", "this Idempotency-Key came before with another request"
            ) from None
        except StillRunning:
            raise HttpProblem(
                "idempotency-key-in-use", "its first request is still running", headers={"Retry-After": "1"}
            ) from None
        if isinstance(found, Taken):
            req.context.taken = found
            return
        resp.status = found.status
        resp.data = found.body
        resp.set_headers(found.headers)
        resp.set_header("Idempotency-Replayed", "true")
        resp.complete = True

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, _resource: Any, _succeeded: bool
    ) -> None:
        """Keep the answer; forget the key when the fault was ours, or the answer says to send it again."""
        taken = req.context.get("taken")
        if taken is None:
            return
        try:
            if resp.status_code >= 500 or resp.get_header("Retry-After") is not None:
                self._keys.release(taken)
            else:
                self._keys.store(taken, _answer(req, resp))
        except DatabaseUnavailable as error:
            # The caller gets its answer all the same; a repetition waits until the row is taken over.
            log.warning("the answer under an Idempotency-Key was not kept", error=str(error))


def _answer(req: falcon.Request, resp: falcon.Response) -> Answer:
    headers = {name: value for name, value in resp.headers.items() if name.lower() in _KEPT_HEADERS}
    if "kept_media" in req.context:  # a secret is shown once and kept nowhere
        return Answer(resp.status_code, headers, encode(req.context.kept_media))
    return Answer(resp.status_code, headers, resp.data or b"")
