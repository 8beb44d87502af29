"""A web server that gets checkpoints: it remembers what it got, and answers as it is told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer


class Receiver:
    """`status` answers POST and PUT, `read` a GET that would read back what is `kept`."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, str]] = []
        self.headers: list[Message] = []
        self.status = 204
        self.kept: bytes | None = None
        self.read = 403
        """What a GET is answered with while nothing is kept."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self._remember(body)
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_PUT = do_POST

            def do_GET(self) -> None:
                self._remember("")
                self.send_response(receiver.read if receiver.kept is None else 200)
                self.send_header("Content-Length", str(len(receiver.kept or b"")))
                self.end_headers()
                self.wfile.write(receiver.kept or b"")

            def _remember(self, body: str) -> None:
                receiver.got.append((self.command, self.path, body))
                receiver.headers.append(self.headers)

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that runs."""
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
