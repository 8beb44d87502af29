"""What a run of the benchmarks leaves under build/bench/: one JSON document with every round, and a plot."""

import json
import os
import platform
import sqlite3
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import leather  # type: ignore[import-untyped]
import psutil
import psycopg

from tests.bench.harness import Check, Ratio

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "bench"
PACKAGES = (
    *("eventsourcing", "falcon", "gunicorn", "msgspec", "psycopg", "sqlalchemy"),
    "prometheus-client",
)
Found = Sequence[tuple[str, Ratio]]
"""Ratios, each behind the name of its database."""
Checks = Sequence[tuple[str, Check]]

LINES = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#555555")
COLOURS = {"goal": "#2e8b57", "floor": "#d9a441", "BELOW": "#c0504d", "": "#8f8f8f"}
PLOT_MAX = 1.5
"""Bars end here: half as much again as the goal."""
ROW_HEIGHT = 26


def about(postgresql: str | None = None) -> dict[str, Any]:
    """When, of what, on what: the things without which a figure means nothing."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "changed_since_commit": bool(_git("status", "--porcelain")),
        "machine": {
            "system": platform.platform(),
            "processors": psutil.cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
            "load_average": [round(one, 2) for one in os.getloadavg()],
        },
        "versions": {
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "postgresql": postgresql,
            **{name: version(name) for name in PACKAGES},
        },
    }


def postgresql_version(url: str) -> str:
    """What the server says of itself."""
    with psycopg.connect(url) as connection:
        [found] = connection.execute("SHOW server_version").fetchall()
    return str(found[0])


def write(name: str, document: dict[str, Any]) -> Path:
    """Keep a JSON document under build/bench/."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def as_document(found: Found) -> list[dict[str, Any]]:
    """Each ratio with the rounds of both sides."""
    return [
        {
            **ratio.as_line(database),
            "unit": ratio.unit,
            "above": [round(value, 1) for value in ratio.above],
            "below": [round(value, 1) for value in ratio.below],
        }
        for database, ratio in found
    ]


def plot(name: str, found: Found, title: str) -> Path | None:
    """Every ratio that has a goal, as a bar: how much of its goal it reached, coloured by its verdict."""
    rows = [(database, ratio) for database, ratio in found if ratio.goal is not None]
    if not rows:
        return None
    colours = {_label(database, ratio): COLOURS[ratio.verdict] for database, ratio in rows}
    _use_plain_letters()
    chart = leather.Chart(title)
    chart.add_bars(
        [(min(ratio.of_goal, PLOT_MAX), _label(database, ratio)) for database, ratio in reversed(rows)],
        fill_color=lambda bar: colours[bar.y],
    )
    chart.add_x_scale(0, PLOT_MAX)
    chart.add_x_axis(ticks=[0, 0.5, 1, PLOT_MAX], name="of the goal; green: reached, red: below the floor")
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.svg"
    chart.to_svg(str(path), width=1_000, height=140 + ROW_HEIGHT * len(rows))
    return path


def curves(name: str, charts: Sequence[tuple[str, Mapping[str, Sequence[tuple[float, float]]]]]) -> Path:
    """Charts in one file: of each its title, and the points of each line by the line's name."""
    _use_plain_letters()
    grid = leather.Grid()
    for title, lines in charts:
        chart = leather.Chart(title)
        for number, (label, points) in enumerate(lines.items()):
            chart.add_line(points, name=label, stroke_color=LINES[number % len(LINES)])
        grid.add_one(chart)
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.svg"
    grid.to_svg(str(path))
    return path


def _use_plain_letters() -> None:
    theme = leather.theme
    theme.title_font_family = theme.tick_font_family = "sans-serif"
    theme.axis_title_font_family = theme.legend_font_family = "sans-serif"
    theme.label_color = "#333"


def _label(database: str, ratio: Ratio) -> str:
    return f"{ratio.label}, {database}: {ratio.value:.3g} ({ratio.floor} … {ratio.goal})"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()
