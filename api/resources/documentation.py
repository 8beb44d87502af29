"""The OpenAPI document, the reference page over it, and a page for every problem."""

import html
import threading
from collections.abc import Callable
from importlib import resources
from typing import Any, Final

import falcon

from api.answers import JSON, encode
from api.operations import operation
from api.problems import TYPE_PREFIX, TYPES, HttpProblem

STATIC: Final = resources.files("api") / "static"
# Everything that the page loads comes from this very server; a browser is told to refuse the rest.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; font-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_KINDS: Final = {"css": "text/css", "js": "text/javascript", "png": "image/png", "txt": "text/plain"}
FILES: Final = {
    "docs.js": "docs.js",
    "swagger-ui/swagger-ui.css": "swagger-ui/swagger-ui.css",
    "swagger-ui/swagger-ui-bundle.js": "swagger-ui/swagger-ui-bundle.js",
    "swagger-ui/favicon-32x32.png": "swagger-ui/favicon-32x32.png",
}


class OpenApi:
    """The document."""

    def __init__(self, make: Callable[[], dict[str, Any]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._bytes: bytes | None = None

    @operation("This document", tag="documentation")
    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """OpenAPI 3.1."""
        with self._lock:
            if self._bytes is None:
                self._bytes = encode(self._make())
        resp.content_type = JSON
        resp.data = self._bytes


class Reference:
    """The reference page."""

    @operation("The reference page", tag="documentation", produces="text/html")
    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Swagger UI over this document. It loads nothing from elsewhere."""
        resp.content_type = falcon.MEDIA_HTML
        resp.set_header("Content-Security-Policy", POLICY)
        resp.data = (STATIC / "docs.html").read_bytes()


class StaticFile:
    """A file that our pages load."""

    def __init__(self, name: str) -> None:
        self._data = (STATIC / name).read_bytes()
        self._kind = _KINDS[name.rsplit(".", 1)[-1]]

    @operation("A file of the reference page", tag="documentation", produces="*/*")
    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Vendored, from this very server."""
        resp.content_type = self._kind if self._kind == "image/png" else f"{self._kind}; charset=utf-8"
        resp.set_header("Cache-Control", "public, max-age=3600")
        resp.data = self._data


class Problems:
    """The page of a problem."""

    @operation("What a problem means", tag="documentation", produces="text/html")
    def on_get(self, _req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """The page that a problem's `type` leads to."""
        kind = TYPES.get(name)
        if kind is None:
            raise HttpProblem("not-found", "there is no such problem")
        title, says = html.escape(kind.title), html.escape(kind.explanation)
        resp.content_type = falcon.MEDIA_HTML
        resp.set_header("Content-Security-Policy", "default-src 'none'")
        resp.data = (
            f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
            f"<h1>{title}</h1><p>{says}</p><p>Status {kind.status}, type <code>{TYPE_PREFIX}{name}</code>."
        ).encode()
