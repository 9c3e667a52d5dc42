"""Import: rows a second of a flat CSV into SQLite, memory, and a report over what was imported.

Each case runs in a process of its own, so that its peak of memory is its own. The peer does the
least that could be called an import: csv, then executemany into the same table with the same
indexes; it checks nothing, counts nothing and makes no second import harmless.
"""

from __future__ import annotations

import csv
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import Size, table, verdict

ROWS = 1_000_000
ROUNDS = 3
FASTEST = 100_000
"""The target: rows a second."""
REPORT = 2.0
"""The target: seconds of `coord report` over a million runs."""
_MEASURED = """
import json, resource, sys, time
{prepare}
wall, cpu = time.perf_counter(), time.process_time()
{work}
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([wall, cpu, peak]))
"""
_NOTHING = ("import sqlalchemy, coord_plugins._importing._sink, coord_plugins._cli._app", "pass")
_OURS = (
    "from coord_plugins._cli._app import app; from typer.testing import CliRunner",
    """
done = CliRunner().invoke(app, ['import', sys.argv[1], '--store', sys.argv[2]])
assert done.exit_code == 0, done.output
""",
)
_REPORT = (
    "from coord_plugins._cli._app import app; from typer.testing import CliRunner",
    """
done = CliRunner().invoke(app, ['report', '--store', sys.argv[2], *sys.argv[3:]])
assert done.exit_code == 0, done.output
""",
)
_PEER = (
    """
import csv, sqlite3
from itertools import islice
from coord_plugins._store import Store
from coord_plugins._store_rows import RUN_COLUMNS
Store(f"sqlite:///{sys.argv[2]}").close()
def rows(reader):
    for task, trial, passed, cost, seconds, started in reader:
        good, cost, seconds, started = passed == "true", float(cost), float(seconds), float(started)
        yield (
            f"bench/{task}/{trial}", "bench", "", "finished", "enforce", task, None, None, None,
            None, started, started + seconds, seconds, "delivered", "first_pass",
            "success.first_pass" if good else "silent_failure.first_pass", good, "late", None,
            None, None, None if good else "goal", None, started + seconds, 1, 2 if good else 3,
            f"[[0.0, {cost!r}, 0.0, 0.0, 0.0, 0, 0, 1, 0]]", cost, 0.0, 0.0, 0.0, 0, 0, 1, 0,
            "[]", '{"trial": "' + trial + '"}', "[]", None, None,
        )
""",
    """
database = sqlite3.connect(sys.argv[2], isolation_level=None)
database.execute("PRAGMA synchronous=NORMAL")
statement = f"INSERT INTO coord_runs VALUES ({', '.join('?' * len(RUN_COLUMNS))})"
with open(sys.argv[1], newline="") as file:
    reader = csv.reader(file)
    next(reader)
    found = rows(reader)
    while part := list(islice(found, 100_000)):
        database.execute("BEGIN IMMEDIATE")
        database.executemany(statement, part)
        database.execute("COMMIT")
""",
)


def write_log(path: Path, rows: int) -> None:
    """A log of six columns: task, trial, passed, cost, seconds, started_at."""
    source = random.Random(7)
    tasks = max(1, rows // 20)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow("task trial passed cost seconds started_at".split())
        for i in range(rows):
            passed = "true" if source.random() < 0.833 else "false"
            cost, seconds = round(source.uniform(0.001, 0.09), 6), round(source.uniform(1, 40), 2)
            writer.writerow([f"T-{i % tasks}", i // tasks, passed, cost, seconds, 1.76e9 + i])


def run(case: tuple[str, str], *arguments: str) -> list[float]:
    """Seconds of wall and CPU time and the peak of memory in MiB, in a process of its own."""
    code = _MEASURED.format(prepare=case[0], work=case[1])
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def importing(size: Size) -> None:
    """The rate of an import and of the next one, memory, and a report over the runs."""
    rows = size.count(ROWS)
    samples: dict[str, list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        log = place / "bench.csv"
        write_log(log, rows)
        small = place / "bench_small.csv"
        write_log(small, max(1, rows // 10))
        empty = run(_NOTHING)[2]
        for number in range(min(size.rounds, ROUNDS)):
            mine, theirs = str(place / f"ours{number}.db"), str(place / f"peer{number}.db")
            cases = {
                "peer": (_PEER, str(log), theirs),
                "import": (_OURS, str(log), mine),
                "a tenth of it": (_OURS, str(small), str(place / f"small{number}.db")),
                "import again": (_OURS, str(log), mine),
                "report": (_REPORT, "", mine, "--json"),
                "report --by trial": (_REPORT, "", mine, "--json", "--by", "trial"),
            }
            for name, (case, *arguments) in cases.items():
                samples.setdefault(name, []).append(run(case, *arguments))
            for path in place.glob("*.db*"):
                path.unlink()
    _show(samples, rows, empty)


def _show(samples: dict[str, list[list[float]]], rows: int, empty: float) -> None:
    middle = {
        name: [statistics.median(column) for column in zip(*found, strict=True)]
        for name, found in samples.items()
    }
    lines = []
    for name, (wall, cpu, peak) in middle.items():
        met = ""
        if name == "import":
            met = verdict(rows / wall >= FASTEST)
        elif name == "report":
            met = verdict(wall <= REPORT)
        n = max(1, rows // 10) if name == "a tenth of it" else rows
        rate = f"{n / wall:,.0f}", f"{n / cpu:,.0f}"
        lines.append((name, f"{wall:.2f}", *rate, f"{peak - empty:+.0f}", met))
    head = ("", "seconds", "rows/s", "per CPU second", "MiB", "target")
    table(f"{rows:,} rows; MiB over an idle process ({empty:.0f} MiB)", head, lines)
    for measure, at in (("wall", 0), ("CPU", 1)):
        ratios = [a[at] / b[at] for a, b in zip(samples["import"], samples["peer"], strict=True)]
        print(f"  import over peer, {measure} time: {statistics.median(ratios):.2f}")
