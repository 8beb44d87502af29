"""`revshare up` with real processes: all parts start, what dies starts again, nothing is ever left behind."""

import os
import signal
import socket

import pytest

from api.cli.supervisor import Gone, Part, Supervisor
from api.cli.up import _print_line
from tests.support.commands import invoke
from tests.support.house import (
    alive,
    answers,
    descendants,
    environment,
    started,
    wait_for,
)

PARTS = ("simulator", "project", "engine", "audit run", "payouts work", "serve")


def parts_of(pid):
    """The parts that run below `up`, by their command."""
    found = descendants(pid)
    return {part: child for part in PARTS for child, line in found.items() if line.endswith(f"run {part}")}


@pytest.fixture
def env(sqlite_database_url, tmp_path):
    """An installation of its own."""
    return environment(sqlite_database_url, tmp_path / "var")


@pytest.fixture
def up(env, tmp_path):
    """`revshare up`, ready."""
    log = tmp_path / "up.log"  # where the tests look for it, too
    with started(env, "up", log=log) as process:
        wait_for(lambda: answers(env) or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        wait_for(lambda: parts_of(process.pid).keys() == set(PARTS))
        yield process


def test_up_keeps_its_parts_running_and_stops_them_all(up, env, tmp_path):
    """What dies starts again; a second `up` is sent away; Ctrl-C ends every part, in order."""
    log = tmp_path / "up.log"
    before = parts_of(up.pid)["engine"]

    os.kill(before, signal.SIGKILL)
    wait_for(lambda: parts_of(up.pid).get("engine", before) != before, message=log.read_text())
    second = invoke(env, "up")
    below = descendants(up.pid)
    up.send_signal(signal.SIGINT)

    assert up.wait(60) == 0
    assert "ended with signal SIGKILL; starts again" in log.read_text()
    assert (second.exit_code, "already running" in second.stderr) == (1, True)
    assert not [line for pid, line in below.items() if alive(pid)]
    assert "killed" not in log.read_text()


def test_parts_end_with_an_up_that_is_killed(up):
    """kill -9 gives `up` no chance to stop anything; its parts end all the same."""
    below = descendants(up.pid)

    up.kill()
    up.wait(10)

    wait_for(lambda: not any(alive(pid) for pid in below), seconds=40, message=f"left behind: {below}")


def test_a_taken_port_is_named(env):
    """Nothing is started; the message names the port and the setting."""
    with socket.create_server(("127.0.0.1", int(env["PORT"]))):
        done = invoke(env, "up")

    assert done.exit_code == 1
    assert env["PORT"] in done.stderr
    assert "PORT" in done.stderr


def test_a_live_key_needs_live(env):
    """Real money never moves by accident."""
    for command in (("up",), ("payouts", "work")):
        done = invoke({**env, "STRIPE_API_KEY": "sk_live_" + "x" * 24}, *command)

        assert done.exit_code == 2
        assert "--live" in done.stderr


def test_a_part_that_cannot_run_ends_all(env):
    """A mistake in how a part is started would only be repeated: its exit code is passed on."""
    supervisor = Supervisor(
        [Part("steady", ("project",)), Part("broken", ("no-such-command",))],
        environment=env,
        heard=lambda _name, _line: None,
    )
    supervisor.start()
    try:
        with pytest.raises(Gone) as gone:
            supervisor.watch()
    finally:
        supervisor.stop()

    assert (gone.value.name, gone.value.code) == ("broken", 2)
    assert supervisor.pids() == {}


def test_wrong_settings_are_named(env):
    """Every mistake at once."""
    done = invoke({**env, "PORT": "99999", "WORKERS": "many"}, "up")

    assert done.exit_code == 2
    assert "PORT" in done.stderr
    assert "WORKERS" in done.stderr


def test_what_a_part_says_stays_one_line_in_a_file(capsys):
    """However long it is: whoever reads the log finds each event on a line of its own."""
    _print_line("api", "x" * 500)

    assert capsys.readouterr().out == f"        api │ {'x' * 500}\n"
