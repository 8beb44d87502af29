"""Strong ETags: a caller that has the answer already is told so (304) instead of being sent it."""

import hashlib
from typing import Any

import falcon


class ETags:
    """An ETag over the bytes of each JSON answer to a GET."""

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, _resource: Any, _succeeded: bool
    ) -> None:
        """Set the ETag; answer 304 when the caller named it."""
        if req.method not in ("GET", "HEAD") or resp.status_code != 200 or resp.data is None:
            return
        etag = resp.get_header("ETag")
        if etag is None:
            etag = f'"{hashlib.blake2b(resp.data, digest_size=16).hexdigest()}"'
            resp.set_header("ETag", etag)
        if resp.get_header("Cache-Control") is None:
            resp.set_header("Cache-Control", "private, no-cache")
            resp.append_header("Vary", "Authorization")
        asked = req.get_header("If-None-Match")
        if asked is not None and (asked.strip() == "*" or etag in _tags(asked)):
            resp.status = falcon.HTTP_304
            resp.data = None
            resp.content_type = None


def _tags(header: str) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}
