"""The rules of the house, held by tests: layers, sizes, first lines, whole numbers, nothing skipped."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("ledger", "projections", "payouts", "api")
FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 400
LONGER_MODULES: dict[str, str] = {
    "ledger/audit/revshare_verify.py": "an auditor is given one file, and reads it from top to bottom",
}
"""Path of a module that may be longer -> why it reads better in one piece. Empty is how we like it."""

# Put together here, so that this file does not hold what it looks for.
WORKPLACE = "/" + "work" + "/"
REGISTRY_HOSTS = re.compile(
    "|".join(
        re.escape(host)
        for host in (
            "pypi" + ".org",
            "python" + "hosted.org",
            "npmjs" + ".org",
            "npmjs" + ".com",
            "deb." + "debian.org",
            "security." + "debian.org",
            "unpkg" + ".com",
            "jsdelivr" + ".net",
            "file:" + "///opt",
        )
    )
)
LEFT_OUT = re.compile(
    r"^(?:pytest\.)?(?:mark\.)?(?:skip|skipif|xfail|importorskip)$|^unittest\.(?:skip|expected)|\.skipTest$"
)


def tracked(*patterns: str) -> list[Path]:
    """Files that git has or would add, so that a new file is looked at before its first commit."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return sorted(path for name in listed.split("\0") if name and (path := ROOT / name).is_file())


def python_files() -> list[Path]:
    """Every module of ours: the rooms, the migrations, the tests."""
    return tracked("*.py")


def parsed(paths: list[Path]) -> Iterator[tuple[str, ast.Module]]:
    """Each module's path within the checkout, and its syntax tree."""
    for path in paths:
        yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def dotted(node: ast.AST) -> str:
    """`a.b.c` of an attribute chain; empty for anything else."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            return f"{dotted(value)}.{attr}"
        case _:
            return ""


def text_files() -> Iterator[tuple[str, str]]:
    """Every file of the checkout that is text, with its words."""
    for path in tracked():
        try:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def test_the_rooms_import_one_way():
    """api → payouts → projections → ledger; eventsourcing and stripe each behind one door."""
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_room_is_there_and_looked_at():
    """The checks below would pass on an empty tree; this one would not."""
    found = {path.relative_to(ROOT).parts[0] for path in python_files()}

    assert found >= {*ROOMS, "alembic", "tests"}
    assert not (ROOT / "alembic" / "__init__.py").exists(), "it would hide the library of that name"


def test_every_module_says_first_what_it_holds():
    """The first statement is a docstring with something in it."""
    silent = [name for name, tree in parsed(python_files()) if not (ast.get_docstring(tree) or "").strip()]

    assert silent == []


def test_every_function_fits_a_screen():
    """Seventy lines, with signature and docstring."""
    long = [
        f"{name}:{node.lineno} {node.name} has {lines} lines"
        for name, tree in parsed(python_files())
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]

    assert long == []


def test_every_module_is_one_thing():
    """Four hundred lines, or a reason in the list; and the list has no entry that is not needed."""
    lengths = {str(p.relative_to(ROOT)): len(p.read_text("utf-8").splitlines()) for p in python_files()}
    long = {name for name, lines in lengths.items() if lines > MODULE_LINES_MAX}

    assert long == set(LONGER_MODULES)
    assert all(reason.strip() for reason in LONGER_MODULES.values())


def test_the_migrations_stand_in_one_line():
    """Two that were written at the same time may both follow the same one: then no database can be made."""
    names = [path.name for path in sorted((ROOT / "alembic" / "versions").glob("[0-9]*.py"))]
    told = [
        re.findall(
            r'^(?:down_)?revision = (?:"(\d+)"|None)$',
            (ROOT / "alembic" / "versions" / name).read_text(),
            re.M,
        )
        for name in names
    ]

    numbers = [name.partition("_")[0] for name in names]
    assert told == [[number, before] for number, before in zip(numbers, ["", *numbers], strict=False)]


def test_no_test_is_left_out():
    """No skip, no xfail: a test that cannot run fails and says why."""
    left_out = [
        f"{name}:{node.lineno} {dotted(node)}"
        for name, tree in parsed(tracked("tests/*.py"))
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.Name) and LEFT_OUT.search(dotted(node))
    ]

    assert left_out == []


@pytest.mark.parametrize(
    ("source", "found"),
    [("@pytest.mark.skip\ndef f(): ...", True), ("pytest.xfail('x')", True), ("rows.skipped", False)],
)
def test_a_left_out_test_would_be_seen(source, found):
    """The search above finds what it looks for, and no more."""
    names = [dotted(node) for node in ast.walk(ast.parse(source))]

    assert any(LEFT_OUT.search(name) for name in names) is found


def floats(tree: ast.Module) -> list[int]:
    """Lines with a float literal, or that name `float` outside the check that refuses one."""
    checks = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and dotted(node.func) == "isinstance"
        for part in ast.walk(node)
    }
    return [
        node.lineno
        for node in ast.walk(tree)
        if (isinstance(node, ast.Constant) and isinstance(node.value, float | complex))
        or (isinstance(node, ast.Name) and node.id == "float" and id(node) not in checks)
    ]


def test_the_ledger_counts_in_whole_numbers():
    """No float and no true division in the rules of the ledger: money is exact."""
    # Waiting times are the store's own affair; no amount passes through there as a number.
    rules = [path for path in tracked("ledger/*.py") if "store" not in path.relative_to(ROOT).parts]
    found = [f"{name}:{line} float" for name, tree in parsed(rules) for line in floats(tree)]
    divided = [
        f"{name}:{node.lineno} true division"
        for name, tree in parsed(rules)
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
    ]

    assert rules
    assert found + divided == []


def test_no_file_knows_the_machine_it_was_written_on():
    """A checkout works anywhere: no path of our machines, no address of an index or registry."""
    named = [
        f"{name}:{number} {line.strip()[:100]}"
        for name, text in text_files()
        for number, line in enumerate(text.splitlines(), start=1)
        if WORKPLACE in line or REGISTRY_HOSTS.search(line)
    ]

    assert named == []


def test_the_lock_files_agree_and_hold_hashes():
    """The development lock has every version of the runtime's, and each one has a hash."""
    pins = {
        name: dict(re.findall(r"^([a-z0-9_.-]+)==(\S+)", (ROOT / name).read_text("utf-8"), re.MULTILINE))
        for name in ("requirements.lock", "requirements-dev.lock")
    }

    assert pins["requirements.lock"]
    assert pins["requirements.lock"].items() <= pins["requirements-dev.lock"].items()
    for name, pinned in pins.items():
        assert "://" not in (ROOT / name).read_text("utf-8")
        blocks = re.split(r"^(?=\S+==)", (ROOT / name).read_text("utf-8"), flags=re.MULTILINE)[1:]
        assert len(blocks) == len(pinned)
        assert all("--hash=sha256:" in block for block in blocks)
