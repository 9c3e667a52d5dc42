"""Run the benchmarks: `python tests/benchmarks/run.py [name ...] [--quick]`.

Nothing here is a test: figures depend on the machine. They stand beside the targets, and each
comparison is made within one process, interleaved, so that the ratios mean something anywhere.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = {
    "success": ("bench_core", "a validated and retriable call that succeeds"),
    "failure": ("bench_core", "one failure, then success"),
    "langgraph": ("bench_langgraph", "overhead per node"),
    "autogen": ("bench_autogen", "overhead per turn, and what attaching costs"),
    "crewai": ("bench_crewai", "overhead per task"),
    "langsmith": ("bench_langsmith", "overhead over LangSmith's own tracing, rate of delivery"),
    "recording": ("bench_recording", "runs a second into SQLite, and the cost to a run"),
    "identities": ("bench_identities", "a million random event logs: every report adds up"),
    "compare": ("bench_compare", "coverage of a comparison's intervals, and its speed"),
    "planning": ("bench_plan", "what a plan promises, attached and run on LangGraph"),
    "importing": ("bench_import", "rows a second of an import, memory, a report over them"),
    "imports": ("bench_imports", "import time, and what is loaded"),
    # the last one: it ends with exit code 1 where a target is missed
    "statistics": ("bench_statistics", "intervals and gates err as often as they say"),
}


def main() -> None:
    """Run the named benchmarks, or all."""
    listed = "; ".join(f"{name}: {what}" for name, (_, what) in NAMES.items())
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=listed)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="name")
    parser.add_argument("--quick", action="store_true", help="tiny counts: only that they run")
    parser.add_argument("--rounds", type=int, help="interleaved rounds")
    given = parser.parse_args()
    os.environ["COORD_STORE"] = "off"  # a benchmark writes nowhere but where it says
    sys.path[:0] = [str(HERE), str(HERE.parent.parent), str(HERE.parent.parent / "adapters")]
    from measure import FULL, QUICK, Size

    size = QUICK if given.quick else FULL
    if given.rounds:
        size = Size(rounds=given.rounds, scale=size.scale)
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}"
    )
    for name in given.names or NAMES:
        module, what = NAMES[name]
        print(f"\n== {name}: {what}")
        getattr(importlib.import_module(module), name)(size)


if __name__ == "__main__":
    main()
