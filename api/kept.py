"""What an installation makes for itself once and keeps in its folder: secrets that nobody has to set."""

import os
import secrets
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

STANDIN_FILE: Final = "stripe-simulator-webhook-secret"


def standin_webhook_secret(var: Path) -> str:
    """What the stand-in signs its webhooks with."""
    return kept(var / STANDIN_FILE, lambda: f"whsec_{secrets.token_hex(24)}\n").strip()


def kept(path: Path, make: Callable[[], str]) -> str:
    """The text of a file: whoever asks first makes it, everybody else reads the same."""
    with suppress(FileNotFoundError):
        return path.read_text(encoding="utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, beside = tempfile.mkstemp(prefix=path.name, dir=path.parent)  # readable by its owner only
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(make())
        with suppress(FileExistsError):  # another part was quicker
            os.link(beside, path)
    finally:
        os.unlink(beside)
    return path.read_text(encoding="utf-8")
