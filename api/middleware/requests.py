"""Each request gets an id, which its answer, its log lines and its problems carry; and it is counted."""

import re
import time
from os import urandom
from typing import Any, Final

import falcon
import structlog
from prometheus_client import Counter, Histogram

from api.metrics import LATENCY, REQUESTS, WAITING
from ledger.store.commit import GroupCommitter

log = structlog.get_logger("revshare.api")
_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
QUIET: Final = ("/healthz", "/readyz", "/metrics")


class Requests:
    """Request ids, one log line and three metrics for each request."""

    def __init__(self, committer: GroupCommitter | None) -> None:
        self._committer = committer
        self._counters: dict[
            tuple[str, str, int], tuple[Counter, Histogram]
        ] = {}  # looking labels up is slow

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take the caller's id where it is fit for a log, else make one."""
        given = req.get_header("X-Request-Id", default="")
        request_id = given if given and _ID.fullmatch(given) else urandom(16).hex()
        req.context.started = time.perf_counter()
        req.context.instance = f"urn:request:{request_id}"
        resp.set_header("X-Request-Id", request_id)
        resp.set_header("X-Content-Type-Options", "nosniff")
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, _resource: Any, _succeeded: bool
    ) -> None:
        """Count, time and log the request, by its route and never by its address."""
        seconds = time.perf_counter() - req.context.started
        route = req.uri_template or "(none)"
        method = req.method if req.method in falcon.HTTP_METHODS else "other"
        counted = (method, route, resp.status_code)
        found = self._counters.get(counted)
        if found is None:
            found = (
                REQUESTS.labels(method, route, str(resp.status_code)),
                LATENCY.labels(method, route),
            )
            self._counters[counted] = found
        found[0].inc()
        found[1].observe(seconds)
        if self._committer is not None:
            WAITING.set(self._committer.waiting)
        if req.path not in QUIET:
            log.info(
                "request",
                method=req.method,
                route=route,
                status=resp.status_code,
                ms=round(seconds * 1_000, 1),
                key=str(getattr(getattr(req.context, "caller", None), "key_id", "-")),
            )
