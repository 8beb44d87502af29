"""What the stand-in signs its webhooks with: made once for an installation, and kept in its folder."""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

FILE: Final = "stripe-simulator-webhook-secret"


def standin_webhook_secret(var: Path) -> str:
    """The secret of this installation: whoever asks first makes it, everybody else reads the same."""
    path = var / FILE
    with suppress(FileNotFoundError):
        return path.read_text(encoding="utf-8").strip()
    var.mkdir(parents=True, exist_ok=True)
    descriptor, beside = tempfile.mkstemp(prefix=FILE, dir=var)  # readable by its owner only
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"whsec_{secrets.token_hex(24)}\n")
        with suppress(FileExistsError):  # another part was quicker
            os.link(beside, path)
    finally:
        os.unlink(beside)
    return path.read_text(encoding="utf-8").strip()
