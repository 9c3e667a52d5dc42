"""Recording: how many six-step runs a second reach SQLite, and what that costs the run."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench_core import Heard, batch, silent
from measure import Size, difference, interleaved, medians, table, verdict

from coord_plugins import Retry, check, collect_runs, flush, retrying, track, validated
from coord_plugins._bus import delivery_of
from coord_plugins._events import RunFinished, RunStarted
from coord_plugins._record import RunRecord
from coord_plugins._store import Store

STEPS = 6
LIMIT = 10_000
"""The target: six-step runs a second from one process."""


def steps(fault_rate: float) -> list[Any]:
    """Six validated and retriable steps; some of their outputs are rejected once."""
    source = random.Random(7)

    def is_good(output: Any) -> bool:
        return output != "bad"

    def make(name: str) -> Any:
        def work() -> str:
            return "bad" if source.random() < fault_rate else "good"

        policy = validated(check(is_good), max_attempts=5, name=name)
        return retrying(Retry(max_attempts=3, initial_interval=0))(policy(work))

    return [make(f"step{i}") for i in range(STEPS)]


def real_runs(count: int) -> list[RunRecord]:
    """Records of runs that really ran, in the usual mix of clean and looped ones."""
    work, tracked = steps(0.03), track("bench", goal=lambda output: True, store="off")
    with collect_runs() as found, silent():
        for _ in range(count):
            with tracked as run:
                for step in work:
                    run.output = step()
    return found


def rate(size: Size) -> float:
    """Runs a second from the first `put` until the last one is in the database."""
    kept = real_runs(max(20, size.count(2_000)))
    count = size.count(20_000)
    records = [replace(kept[i % len(kept)], run_id=f"run-{i}") for i in range(count)]
    with tempfile.TemporaryDirectory() as directory:
        store = Store(f"sqlite:///{Path(directory) / 'runs.db'}")
        delivery = delivery_of(store)
        began = time.perf_counter()
        for record in records:
            # as a run does it: one event when it starts, one when it ends
            delivery.put([RunStarted(record)])
            delivery.put([RunFinished(record)])
        assert delivery.flush(300)
        spent = time.perf_counter() - began
        assert store.describe()["runs"] == count
        store.close()
    return count / spent


def cost(size: Size) -> None:
    """What recording adds to the thread that runs."""
    work = steps(0.0)
    with tempfile.TemporaryDirectory() as directory:
        store = Store(f"sqlite:///{Path(directory) / 'runs.db'}")
        places = {
            "store off": track("bench", store="off"),
            "listener in memory": track("bench", store="off", listeners=[Heard()]),
            "SQLite": track("bench", store=store),
        }

        def one(tracked: track) -> Any:
            def run_once() -> None:
                with tracked:
                    for step in work:
                        step()

            return run_once

        cases = {name: (batch(one(place)), 300) for name, place in places.items()}
        samples = interleaved(cases, size, clock=time.thread_time_ns)
        assert flush(120)
        store.close()
    rows = []
    for name, value in medians(samples).items():
        over = difference(samples[name], samples["store off"])
        rows.append((name, f"{value:.1f}", f"{over:+.1f}"))
    table("the run's own thread: CPU time of a six-step run", ("", "us/run", "over off"), rows)


def recording(size: Size) -> None:
    """The rate of recording and its cost."""
    found = [rate(size) for _ in range(min(size.rounds, 5))]
    middle = statistics.median(found)
    row = ("SQLite", f"{middle:,.0f}", f"{min(found):,.0f}", verdict(middle >= LIMIT))
    head = ("", "runs/s", "slowest", "target")
    table(
        f"six-step runs into SQLite, target {LIMIT:,}/s, median of {len(found)}, wall time",
        head,
        [row],
    )
    cost(size)
