"""Each request gets an id, which its answer, its log lines and its problems carry; and it is counted."""

import re
import time
from typing import Any, Final
from uuid import uuid4

import falcon
import structlog

from api.metrics import LATENCY, REQUESTS, WAITING
from ledger.store.commit import GroupCommitter

log = structlog.get_logger("revshare.api")
_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
QUIET: Final = ("/healthz", "/readyz", "/metrics")


class Requests:
    """Request ids, one log line and three metrics for each request."""

    def __init__(self, committer: GroupCommitter | None) -> None:
        self._committer = committer

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take the caller's id where it is fit for a log, else make one."""
        given = req.get_header("X-Request-Id", default="")
        request_id = given if _ID.fullmatch(given) else str(uuid4())
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
        REQUESTS.labels(req.method, route, str(resp.status_code)).inc()
        LATENCY.labels(req.method, route).observe(seconds)
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
