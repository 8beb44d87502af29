"""A server of Stripe's that says exactly what a test wants, down to the bytes, or breaks off."""

import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def scripted(answers: list[bytes], heard: list[bytes] | None = None) -> Iterator[str]:
    """A server that gives one answer after the other, each on its connection; an empty one resets it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                request = whole_request(connection)
                if heard is not None:
                    heard.append(request)
                if answer:
                    connection.sendall(answer)
                else:
                    # Linger 0: the connection ends with a reset instead of an orderly end.
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.join(timeout=5)
        assert not server.is_alive(), "not every answer was fetched"
    finally:
        listener.close()


def whole_request(connection: socket.socket) -> bytes:
    """One whole request."""
    read = b""
    while b"\r\n\r\n" not in read:
        read += connection.recv(65536)
    head, _, body = read.partition(b"\r\n\r\n")
    length = next(
        (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        ),
        0,
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(status: int, body: bytes, **headers: str) -> bytes:
    """An HTTP answer; a longer length than the body's makes it a truncated one."""
    fields = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **headers,
    }
    lines = [
        f"HTTP/1.1 {status} X",
        *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def error(kind: str, code: str | None = None) -> bytes:
    """A body in Stripe's error shape."""
    return json.dumps(
        {"error": {"type": kind, "message": "No.", **({"code": code} if code else {})}}
    ).encode()
