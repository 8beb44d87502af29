"""A way to PostgreSQL that can be cut at the worst moment: between a commit and its answer."""

import socket
import threading
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

COMMITS: Final = (b"COMMIT", b"append_stored_events")
"""What makes the server commit: the word itself, or our function outside a transaction."""


class Cutter:
    """Counts the commits that pass, and cuts the connection of one of them before its answer."""

    def __init__(self, server_url: str) -> None:
        parts = urlsplit(server_url)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self.commits = 0
        self.cut_at: int | None = None
        self.cuts = 0
        port = self._listening.getsockname()[1]
        self.url = server_url.replace(f"{self._server[0]}:{self._server[1]}", f"127.0.0.1:{port}")
        threading.Thread(target=self._accept, daemon=True).start()

    def begin(self, cut_at: int | None) -> None:
        """Count from here; cut at this commit."""
        with self._lock:
            self.commits, self.cut_at, self.cuts = 0, cut_at, 0

    def close(self) -> None:
        """Take no more connections."""
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            threading.Thread(target=self._up, args=(client, server), daemon=True).start()
            threading.Thread(target=self._down, args=(client, server), daemon=True).start()

    def _is_cut(self, data: bytes) -> bool:
        if not any(word in data for word in COMMITS):
            return False
        with self._lock:
            self.commits += 1
            if self.commits != self.cut_at:
                return False
            self.cuts += 1
            return True

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        """From the client to the server. At the cut the client hears nothing any more, the server does."""
        with suppress(OSError):
            while data := client.recv(1 << 16):
                if self._is_cut(data):
                    # In this order: the answer must not slip through.
                    client.shutdown(socket.SHUT_RDWR)
                server.sendall(data)
        with suppress(OSError):
            server.shutdown(socket.SHUT_WR)  # it ends what it was asked before it notices

    def _down(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                with suppress(OSError):
                    client.sendall(data)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
