"""Where an import stands: a small file beside the CSV, and the file of rows that were refused."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

Counts = dict[str, int]


class ImportState(msgspec.Struct, frozen=True):
    """How far a file was acknowledged, by which server, for which program. Rows are counted from 1."""

    sha256: str
    noun: str
    url: str
    program_id: str
    source: str
    kind: str
    rows_done: int = 0
    rows_done_before: int = 0
    """Where the last acknowledged batch began: it is sent again first, to see that it is still known."""
    counts: Counts = {}
    rejected_bytes: int = 0

    def same_import(self, other: "ImportState") -> bool:
        """Whether this is the same file on its way to the same place."""
        return all(
            getattr(self, name) == getattr(other, name)
            for name in ("sha256", "noun", "url", "program_id", "source", "kind")
        )


class StateFile:
    """The state on disk, replaced whole, so that a crash leaves the old one or the new one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, beginning: ImportState) -> ImportState:
        """Where this import stands; `beginning` when it was never begun, or another one was."""
        try:
            found = msgspec.json.decode(self.path.read_bytes(), type=ImportState)
        except (FileNotFoundError, msgspec.DecodeError):
            return beginning
        return found if found.same_import(beginning) else beginning

    def write(self, state: ImportState) -> None:
        """Keep the state."""
        beside = self.path.with_name(self.path.name + ".new")
        beside.write_bytes(msgspec.json.encode(state))
        os.replace(beside, self.path)

    def remove(self) -> None:
        """The import is done: the next one begins at the start, and finds that all is known."""
        self.path.unlink(missing_ok=True)


class RejectedFile:
    """FILE.rejected.csv: the refused rows as they came, and why. There only when there are some."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path = path
        self._names = names

    def cut(self, size: int) -> None:
        """Forget what was written after a checkpoint (0: an import that begins anew)."""
        if not self.path.exists():
            return
        if size == 0:
            self.path.unlink()
        else:
            os.truncate(self.path, min(size, self.path.stat().st_size))

    def add(self, refused: Sequence[tuple[Sequence[str], str]]) -> int:
        """Append rows with their reasons; the file's size after."""
        if not refused:
            return self.path.stat().st_size if self.path.exists() else 0
        fresh = not self.path.exists()
        with self.path.open("a", encoding="utf-8", errors="surrogateescape", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if fresh:
                writer.writerow([*self._names, "reason"])
            for fields, reason in refused:
                padded = [*fields, *[""] * (len(self._names) - len(fields))]
                writer.writerow([*padded, reason])
        return self.path.stat().st_size
