"""What the documents show, run as it stands."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.house import ROOT

_SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def shell_blocks(name: str) -> str:
    """All blocks of a document that are for the shell, one after the other."""
    return "\n".join(_SHELL.findall((ROOT / name).read_text(encoding="utf-8")))


def run_shell(script: str, env: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a script as a reader would type it, up to the first command that fails."""
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=dict(env),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
