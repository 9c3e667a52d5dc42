"""Run the adapters' tests on every supported version of their host, each in its own environment.

    python tests/versions.py                           # all hosts and versions of pyproject.toml
    python tests/versions.py crewai                    # all versions of one host
    python tests/versions.py langgraph 1.2.0 latest    # some of them
    python tests/versions.py --keep envs --jobs 2      # keep the environments, for the next time

It prints a table per host, and ends with 0 when every version passed, and passed as many tests as
the host's others (tests of what came with a later version are skipped before it).
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
PACKAGES = {
    # released together: the model clients in the version of the teams
    "autogen": ["autogen-agentchat", "autogen-ext[openai]"],
}
"""What is installed in the version that is asked for, where it is not the host's name alone."""
NEEDS = {
    "langgraph": [
        "fastapi>=0.115",
        "httpx>=0.27",
        "hypothesis>=6.110",
        "langchain>=1.0,<2",
        "langchain-openai>=1.0",
        "langgraph-checkpoint-sqlite>=3.0",
        "pytest>=8.3",
    ],
    "autogen": [
        "hypothesis>=6.110",
        "pytest>=8.3",
        "pytest-httpserver>=1.1",
        "rich>=13.7",
        "typer>=0.15",
    ],
    "crewai": ["pytest>=8.3", "rich>=13.7", "typer>=0.15"],
    "pytest": ["anyio>=4", "pytest-xdist>=3.6"],
    # with the host that is built on it; the tests of the other two are skipped
    "langsmith": [
        "hypothesis>=6.110",
        "langgraph>=1.0.10,<2",
        "numpy>=1.26",
        "pytest>=8.3",
        "rich>=13.7",
        "typer>=0.15",
    ],
}
EXTRAS = {"pytest": "repair,prices"}
"""The extras of the project that a host's tests need, where the host has none of its own."""
COMPANIONS = {
    # later releases of its own companion import a name that this LangGraph does not have
    ("langgraph", "1.0.10"): ["langgraph-prebuilt==1.0.8"],
}
LIMIT = 900
"""Seconds for one version's tests."""


def tests_of(host: str) -> list[str]:
    """The tests that a host's version must pass."""
    names = [f"tests/adapters/{host}", f"tests/adapters/test_{host}_conformance.py"]
    return [name for name in names if (ROOT / name).exists()]


def packages_of(host: str) -> list[str]:
    """The distributions that make a host; the version of the first is the host's."""
    return PACKAGES.get(host, [host])


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


def supported(host: str) -> list[str]:
    """The versions that pyproject.toml promises."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        found: list[str] = tomllib.load(file)["tool"]["coord"][f"{host}-versions"]
    return found


def python_of(host: str, version: str, place: Path) -> Path:
    """The interpreter of a version's environment, which is made if it is not there."""
    home = place / f"{host}-{version}"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        venv.create(home, with_pip=True)
    pins = [name if version == "latest" else f"{name}=={version}" for name in packages_of(host)]
    more = [*NEEDS[host], *COMPANIONS.get((host, version), [])]
    extras = EXTRAS.get(host, f"{host},repair,prices")
    wanted = ["-e", f"{ROOT}[{extras}]", *pins, *more]
    command = [python, "-m", "pip", "install", "--quiet", "--upgrade", *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{host} {version} could not be installed:\n{done.stderr[-2000:]}")
    return python


def run(host: str, version: str, place: Path, *, show: bool) -> Result:
    """Install one version and run the tests on it."""
    began = time.monotonic()
    python = python_of(host, version, place)
    ask = f"from importlib.metadata import version; print(version('{packages_of(host)[0]}'))"
    installed = subprocess.check_output([python, "-c", ask], text=True).strip()
    command = [python, "-m", "pytest", "-q", "--tb=short", *tests_of(host)]
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


def table(host: str, results: list[Result]) -> str:
    """What happened, one version a line."""
    lines = [f"{host:<10}{'installed':<12}{'passed':>7}{'skipped':>9}{'seconds':>9}  else"]
    for r in results:
        numbers = f"{r.passed:>7}{r.skipped:>9}{r.seconds:>9.0f}"
        lines.append(f"{r.version:<10}{r.installed:<12}{numbers}  {r.other or '-'}")
    return "\n".join(lines)


def all_pass(results: list[Result]) -> bool:
    """Whether every version passed, and collected as many tests as the others."""
    collected = {r.passed + r.skipped for r in results}
    if len(collected) > 1:
        print("the versions collected different numbers of tests", file=sys.stderr)
    return len(collected) == 1 and all(r.ok for r in results)


def main() -> int:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("host", nargs="?", choices=NEEDS, help="default: every host")
    parser.add_argument("versions", nargs="*", help="default: those of pyproject.toml")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the environments here")
    parser.add_argument("--jobs", type=int, default=1, help="versions at a time")
    parser.add_argument("--show", action="store_true", help="print pytest's output")
    given = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory(prefix="coord-versions-") as temporary:
        place = (given.keep or Path(temporary)).absolute()
        place.mkdir(parents=True, exist_ok=True)
        for host in [given.host] if given.host else NEEDS:
            with concurrent.futures.ThreadPoolExecutor(max(1, given.jobs)) as pool:
                started = [
                    pool.submit(run, host, version, place, show=given.show)
                    for version in given.versions or supported(host)
                ]
                results = [future.result() for future in started]
            print(table(host, results))
            good = all_pass(results) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
