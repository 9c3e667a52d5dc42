"""Run the LangGraph adapter's tests on every supported version, each in its own environment.

    python tests/versions.py                        # all versions of pyproject.toml
    python tests/versions.py 1.2.0 latest           # some of them
    python tests/versions.py --keep envs --jobs 2   # keep the environments, for the next time

It prints a table, and ends with 0 when every version passed the same number of tests.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import NamedTuple

try:
    import tomllib
except ImportError:  # Python 3.10; pip carries it
    from pip._vendor import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
TESTS = ["tests/adapters/langgraph", "tests/adapters/test_langgraph_conformance.py"]
NEEDS = [
    "fastapi>=0.115",
    "httpx>=0.27",
    "hypothesis>=6.110",
    "langchain>=1.0,<2",
    "langchain-openai>=1.0",
    "langgraph-checkpoint-sqlite>=3.0",
    "pytest>=8.3",
]
COMPANIONS = {
    # later releases of its own companion import a name that this LangGraph does not have
    "1.0.10": ["langgraph-prebuilt==1.0.8"],
}
LIMIT = 900
"""Seconds for one version's tests."""


class Result(NamedTuple):
    """One version's line of the table."""

    version: str
    installed: str
    passed: int
    skipped: int
    other: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether no test failed (those skipped say that a host cannot do it at all)."""
        return self.passed > 0 and not self.other


def supported() -> list[str]:
    """The versions that pyproject.toml promises."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        found: list[str] = tomllib.load(file)["tool"]["coord"]["langgraph-versions"]
    return found


def python_of(version: str, place: Path) -> Path:
    """The interpreter of a version's environment, which is made if it is not there."""
    home = place / f"langgraph-{version}"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        venv.create(home, with_pip=True)
    pin = "langgraph" if version == "latest" else f"langgraph=={version}"
    wanted = ["-e", f"{ROOT}[langgraph,repair,prices]", pin, *NEEDS, *COMPANIONS.get(version, [])]
    command = [python, "-m", "pip", "install", "--quiet", "--upgrade", *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"LangGraph {version} could not be installed:\n{done.stderr[-2000:]}")
    return python


def run(version: str, place: Path, *, show: bool) -> Result:
    """Install one version and run the tests on it."""
    began = time.monotonic()
    python = python_of(version, place)
    ask = "from importlib.metadata import version; print(version('langgraph'))"
    installed = subprocess.check_output([python, "-c", ask], text=True).strip()
    tests = [name for name in TESTS if (ROOT / name).exists()]
    command = [python, "-m", "pytest", "-q", "--tb=short", *tests]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LIMIT
    )
    counts = {kind: int(n) for n, kind in re.findall(r"(\d+) ([a-z]+)", _last_line(done.stdout))}
    passed = counts.pop("passed", 0)
    skipped = counts.pop("skipped", 0)
    for kind in ("warning", "warnings"):
        counts.pop(kind, None)
    other = ", ".join(f"{n} {kind}" for kind, n in counts.items())
    if done.returncode and not other:
        other = f"pytest ended with {done.returncode}"
    if show or other:
        print(done.stdout[-6000:], done.stderr[-2000:], file=sys.stderr)
    return Result(version, installed, passed, skipped, other, time.monotonic() - began)


def _last_line(text: str) -> str:
    """Pytest's summary, without its time."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].rsplit(" in ", 1)[0] if lines else ""


def table(results: list[Result]) -> str:
    """What happened, one version a line."""
    lines = [f"{'version':<10}{'installed':<12}{'passed':>7}{'skipped':>9}{'seconds':>9}  else"]
    for r in results:
        numbers = f"{r.passed:>7}{r.skipped:>9}{r.seconds:>9.0f}"
        lines.append(f"{r.version:<10}{r.installed:<12}{numbers}  {r.other or '-'}")
    return "\n".join(lines)


def main() -> int:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("versions", nargs="*", help="default: those of pyproject.toml")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the environments here")
    parser.add_argument("--jobs", type=int, default=1, help="versions at a time")
    parser.add_argument("--show", action="store_true", help="print pytest's output")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="coord-versions-") as temporary:
        place = (given.keep or Path(temporary)).absolute()
        place.mkdir(parents=True, exist_ok=True)
        with concurrent.futures.ThreadPoolExecutor(max(1, given.jobs)) as pool:
            started = [
                pool.submit(run, version, place, show=given.show)
                for version in given.versions or supported()
            ]
            results = [future.result() for future in started]
    print(table(results))
    same = len({(r.passed, r.skipped) for r in results}) == 1
    if not same:
        print("the versions passed different numbers of tests", file=sys.stderr)
    return 0 if same and all(r.ok for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
