"""Files that a command writes whole or not at all, with a bar that tells how far it is."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from api.cli.terminal import EXIT_USAGE, fail, progress

BUFFER_BYTES: Final = 1 << 20
Write = Callable[[bytes], Any]
Tell = Callable[[int, int], None]


@contextmanager
def new_file(file: Path, what: str) -> Iterator[tuple[Write, Tell]]:
    """Write a file beside its name, which it gets at the end; what is there already ends the command."""
    if file.exists():
        fail(f"{file} is there already", code=EXIT_USAGE)
    beside = file.with_name(f"{file.name}.part")
    try:
        with progress() as bars, beside.open("wb", buffering=BUFFER_BYTES) as target:
            bar = bars.add_task(what, total=None)
            yield target.write, lambda done, total: bars.update(bar, completed=done, total=total)
            target.flush()
            os.fsync(target.fileno())
        beside.rename(file)
    except OSError as error:
        fail(f"{error.filename or file}: {error.strerror}", code=EXIT_USAGE)
    finally:
        beside.unlink(missing_ok=True)
