"""Two accounting tools that are not ours, run as programs: hledger (Debian) and bean-check (GPL)."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

_UTF8 = {**os.environ, "LC_ALL": "C.UTF-8"}


def bean_check(file: Path) -> str:
    """What bean-check says; nothing where all is well."""
    program = Path(sys.executable).parent / "bean-check"
    done = subprocess.run(
        [program, "--no-cache", file], capture_output=True, text=True, env=_UTF8, check=False
    )
    assert (done.returncode == 0) == (not done.stderr), done
    return done.stdout + done.stderr


def hledger(file: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run hledger over a file."""
    return subprocess.run(
        ["hledger", "-f", file, *arguments], capture_output=True, text=True, env=_UTF8, check=False
    )


def hledger_check(file: Path) -> str:
    """What `hledger check --strict` says, of payees too; nothing where all is well."""
    done = hledger(file, "check", "--strict", "payees")
    assert (done.returncode == 0) == (not done.stderr), done
    return done.stdout + done.stderr


def hledger_transactions(file: Path) -> list[dict[str, Any]]:
    """Every transaction, as hledger read it."""
    done = hledger(file, "print", "-O", "json")
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


_BEANCOUNT = """
import json, sys
from beancount import loader
entries, errors, _ = loader.load_file(sys.argv[1])
json.dump({
    "errors": [str(error) for error in errors],
    "transactions": [
        {"payee": entry.payee, "date": str(entry.date), "meta": {k: str(v) for k, v in entry.meta.items()},
         "postings": [[p.account, str(p.units.number), p.units.currency] for p in entry.postings]}
        for entry in entries if type(entry).__name__ == "Transaction"
    ],
}, sys.stdout)
"""


def beancount_transactions(file: Path) -> list[dict[str, Any]]:
    """Every transaction, as beancount read it in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _BEANCOUNT, file], capture_output=True, text=True, env=_UTF8, check=False
    )
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)
    assert read["errors"] == []
    return list(read["transactions"])
