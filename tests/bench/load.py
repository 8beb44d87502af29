"""The load client for machines without a C compiler: the same as load.c, in a process of its own.

`python -m tests.bench.load FILE PORT CONNECTIONS SECONDS [RATE]` prints what load.c prints. It takes more of
the processor than load.c, which the server then lacks.
"""

import selectors
import socket
import sys
import time
from collections import deque
from pathlib import Path


class _Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent_at = 0.0
        self.buffer = b""
        self.need = -1
        self.got = 0
        self.failed = False

    def send(self, request: bytes, sent_at: float) -> None:
        """Send one request; its answer is awaited, and its latency counts from `sent_at`."""
        self.buffer, self.need, self.got, self.sent_at = b"", -1, 0, sent_at
        self.socket.sendall(request)

    def receive(self) -> bool:
        """Read what has come; whether the answer is complete."""
        part = self.socket.recv(1 << 20)
        if not part:
            raise ConnectionError("the server closed a connection")
        self.got += len(part)
        if self.need < 0:
            self.buffer += part
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return False
            self.failed = self.buffer[9:10] != b"2"
            head = self.buffer[:end].lower()
            at = head.find(b"\r\ncontent-length:")
            length = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            self.need = end + 4 + length
        return self.got >= self.need


def read_requests(path: str) -> list[bytes]:
    """The requests of a file, each behind its length."""
    data = Path(path).read_bytes()
    requests, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "little")
        requests.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return requests


def main(path: str, port: str, count: str, seconds: str, rate: str = "0") -> None:
    """Send the requests of the file and print the figures."""
    requests = read_requests(path)
    per_second, limit, sent, failed = float(rate), float(seconds), 0, 0
    idle = deque(_Connection(int(port)) for _ in range(int(count)))
    selector = selectors.DefaultSelector()
    latencies: list[float] = []
    began = ended = time.perf_counter()
    while True:
        now = time.perf_counter()
        while sent < len(requests) and now - began < limit and idle:
            due = began + sent / per_second if per_second else now
            if due > now:
                break
            connection = idle.popleft()
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(requests[sent], due)
            sent += 1
        over = sent == len(requests) or now - began >= limit
        if over and not selector.get_map():
            break
        waits = idle and not over
        for key, _ in selector.select(max(0.0, began + sent / per_second - now) if waits else None):
            connection = key.data
            if connection.receive():
                ended = time.perf_counter()
                latencies.append(ended - connection.sent_at)
                failed += connection.failed
                selector.unregister(connection.socket)
                idle.append(connection)
    latencies.sort()
    middle, late = latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100]
    print(len(latencies), failed, f"{ended - began:.6f} {middle * 1e6:.0f} {late * 1e6:.0f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
