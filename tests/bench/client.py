"""Sending load: the client in C where a compiler is found, else the one in Python, always its own process."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


class Load(NamedTuple):
    """What a run of the client measured. Latencies are in microseconds."""

    answered: int
    failed: int
    seconds: float
    p50_us: float
    p99_us: float

    @property
    def per_second(self) -> float:
        """Answers per second."""
        return self.answered / self.seconds


class Client:
    """Sends requests to a port of this machine. `name` says what it is made of."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
        binary = folder / "load"
        self._command: list[str] = [sys.executable, "-m", "tests.bench.load"]
        self.name = "Python sockets (no C compiler was found)"
        if compiler is not None:
            build: list[str | Path] = [compiler, "-O2", "-D_GNU_SOURCE", "-o", binary, HERE / "load.c"]
            if subprocess.run(build, capture_output=True, check=False).returncode == 0:
                self._command, self.name = [str(binary)], "tests/bench/load.c, compiled here"

    def send(
        self, port: int, requests: Iterable[bytes], *, connections: int, seconds: float, rate: float = 0
    ) -> Load:
        """Send the requests, one at a time on each connection, until they or the seconds run out.

        With a rate, so many a second, and latencies count from when a request was due.
        """
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix="requests-") as file:
            for request in requests:
                file.write(len(request).to_bytes(4, "little") + request)
            file.flush()
            arguments = [file.name, str(port), str(connections), str(seconds), str(rate)]
            done = subprocess.run(
                [*self._command, *arguments], capture_output=True, text=True, check=False, cwd=ROOT
            )
        if done.returncode:
            raise RuntimeError(f"the load client failed: {done.stderr}")
        answered, failed, took, p50, p99 = done.stdout.split()
        load = Load(int(answered), int(failed), float(took), float(p50), float(p99))
        if load.failed:
            raise RuntimeError(f"{load.failed} of {load.answered} answers were no success")
        return load


def post(path: str, token: str, body: bytes, media_type: str = "application/json") -> bytes:
    """A POST as bytes."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def get(path: str, token: str) -> bytes:
    """A GET as bytes."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
