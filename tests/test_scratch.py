"""Temporary files of the tests go to memory only where there is room, and where nobody said otherwise."""

import os
import tempfile
from collections import namedtuple
from pathlib import Path

import pytest

from tests.support import scratch

GIB = 2**30
Volume = namedtuple("Volume", "f_bavail f_frsize f_flag")


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """A folder that stands for memory; as much of it and of the machine is free as the test says."""
    monkeypatch.setattr(scratch, "MEMORY", tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.delenv("TMPDIR", raising=False)

    def free(*, folder, machine, flag=0):
        monkeypatch.setattr(os, "statvfs", lambda _: Volume(folder // 4096, 4096, flag))
        monkeypatch.setattr(scratch, "available_memory", lambda: machine)

    return free


def test_temporary_files_go_to_memory_where_there_is_room(memory, tmp_path):
    """Ours and those of the processes that we start."""
    memory(folder=4 * GIB, machine=4 * GIB)

    scratch.write_to_memory()

    assert os.environ["TMPDIR"] == tempfile.gettempdir() == str(tmp_path)


@pytest.mark.parametrize(
    "room",
    [
        {"folder": 4 * GIB - 4096, "machine": 8 * GIB},
        {"folder": 8 * GIB, "machine": 4 * GIB - 1},
        {"folder": 8 * GIB, "machine": 8 * GIB, "flag": os.ST_NOEXEC},
    ],
    ids=["folder", "machine", "noexec"],
)
def test_without_room_they_stay_on_disk(memory, room):
    """A container often has 64 MB of such memory; some forbid to run programs from there."""
    memory(**room)

    scratch.write_to_memory()

    assert "TMPDIR" not in os.environ


def test_who_names_a_folder_gets_it(memory, monkeypatch):
    """TMPDIR=/var/tmp make test: on a disk, after all."""
    memory(folder=8 * GIB, machine=8 * GIB)
    monkeypatch.setenv("TMPDIR", "/var/tmp")

    scratch.write_to_memory()

    assert os.environ["TMPDIR"] == "/var/tmp"


def test_a_machine_says_what_memory_it_has():
    """Or nothing, where it cannot be asked."""
    assert scratch.available_memory() >= 0
    assert not scratch.has_room(Path("/no/such/folder"))
