"""A small threaded HTTP/1.1 server: keep-alive, a thread for each connection, and breaks on demand.

Not gunicorn: a fault has to end the socket at a chosen byte, and the process has to be there at once.
"""

from __future__ import annotations

import io
import socketserver
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from payouts.simulator.faults import DROP, DROP_AFTER_S

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

BODY_LENGTH_MAX = 2 << 20


class Server(socketserver.ThreadingTCPServer):
    """Serves one WSGI application. `serve_forever()` until another thread calls `shutdown()`."""

    allow_reuse_address = True
    daemon_threads = True
    # Idle kept-alive connections must not hold up the end; the store waits for its writer.
    block_on_close = False
    request_queue_size = 128

    def __init__(self, host: str, port: int, application: WSGIApplication) -> None:
        self.application = application
        super().__init__((host, port), Handler)

    @property
    def port(self) -> int:
        """The port that is listened on; of use when port 0 was asked for."""
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news; anything else is shown."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection: calls the application for each request on it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # Small answers must not wait for the client's acknowledgement.
    timeout = 120.0
    server: Server

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self._body()
        if body is None:
            return
        environ = self._environ(body)
        answered: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Any:
            answered[:] = [status, headers]
            return lambda _data: None

        content = b"".join(self.server.application(environ, start_response))
        drop = environ.get(DROP)
        if drop in ("close", "hang"):
            self.close_connection = True
            if drop == "hang":
                self._wait_for_hanging_up(environ[DROP_AFTER_S])
            return
        self._write(answered[0], answered[1], content, truncated=drop == "truncate")

    def _wait_for_hanging_up(self, seconds: float) -> None:
        """Say nothing until the caller has had enough, or for so long."""
        self.connection.settimeout(seconds)
        with suppress(OSError):
            self.rfile.read(1)

    def _body(self) -> bytes | None:
        """The whole body, or None when it was refused (and the connection ends, for its rest is unread)."""
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if "Transfer-Encoding" in self.headers or not 0 <= length <= BODY_LENGTH_MAX:
            self.close_connection = True
            self._write("413 Content Too Large", [], b"", truncated=False)
            return None
        return self.rfile.read(length)

    def _environ(self, body: bytes) -> dict[str, Any]:
        path, _, query = self.path.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(path, "latin-1"),
            "QUERY_STRING": query,
            "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "SERVER_NAME": str(self.server.server_address[0]),
            "SERVER_PORT": str(self.server.port),
            "SERVER_PROTOCOL": self.request_version,
            "REMOTE_ADDR": self.client_address[0],
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in self.headers.items():
            if name.lower() not in ("content-length", "content-type"):
                environ["HTTP_" + name.upper().replace("-", "_")] = value
        return environ

    def _write(self, status: str, headers: list[tuple[str, str]], content: bytes, *, truncated: bool) -> None:
        """Send head and body in one piece; a truncated answer promises its whole length and ends half-way."""
        fields = [pair for pair in headers if pair[0].lower() != "content-length"]
        self.close_connection = self.close_connection or truncated
        fields += [("Content-Length", str(len(content))), ("Server", "stripe-simulator")]
        fields.append(("Connection", "close" if self.close_connection else "keep-alive"))
        head = "".join(
            [f"HTTP/1.1 {status}\r\n", *(f"{name}: {value}\r\n" for name, value in fields), "\r\n"]
        )
        self.wfile.write(head.encode("latin-1") + (content[: len(content) // 2] if truncated else content))

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet: the store remembers every call that mattered."""
