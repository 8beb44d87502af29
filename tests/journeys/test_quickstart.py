"""docs/quickstart.md does what it says: its own commands, from an empty database to a paid partner."""

import os
import sys
from pathlib import Path

from tests.support.documents import run_shell, shell_blocks
from tests.support.house import answers, base_url, environment, started, wait_for


def test_the_quickstart_ends_with_a_paid_partner(database_url, tmp_path):
    """Every block as it stands; only the ports are others."""
    env = environment(database_url, tmp_path / "var")
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    script = shell_blocks("docs/quickstart.md")
    for shown, ours in (
        ("http://127.0.0.1:8080", base_url(env)),
        ("http://127.0.0.1:12111", f"http://127.0.0.1:{env['SIMULATOR_PORT']}"),
    ):
        assert shown in script
        script = script.replace(shown, ours)
    log = tmp_path / "up.log"
    with started(env, "up", log=log) as process:
        wait_for(lambda: answers(env) or process.poll() is not None)

        done = run_shell(script, env, tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr + log.read_text()[-3_000:]
    lines = done.stdout.strip().splitlines()
    last = next(line for line in reversed(lines) if line.startswith("│ bright-ideas"))
    cells = [cell.strip() for cell in last.strip("│").split("│")]
    assert cells == ["bright-ideas", "GBP", "2,000", "0", "0", "0", "2,000", "0"]
    assert lines[-1].startswith("acme-referrals-000001,1,2025-03,bright-ideas,GBP,closing,")
    assert lines[-1].endswith(",0,0,0,0,2000,2")
