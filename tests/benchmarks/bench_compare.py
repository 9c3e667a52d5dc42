"""Comparisons: do their intervals cover what they claim, and how fast are they?

Each simulated study goes through `compare` itself, from records to conclusion. "Covers" is the
share of studies whose interval holds the true value.
"""

from __future__ import annotations

import math
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from measure import Size, table, verdict

from coord_plugins import Comparison, RunRecord, StepTally, Store
from coord_plugins import compare as compared
from coord_plugins._events import RunFinished

STUDIES = 1_000
ENDS = {"s": ("delivered", True), "w": ("delivered", False), "e": ("escalated", None)}
Draw = Callable[[random.Random], tuple[list[RunRecord], list[RunRecord]]]


def record(side: str, task: str, trial: int, kind: str, cost: float) -> RunRecord:
    """A finished run."""
    end, passed = ENDS[kind]
    return RunRecord(
        run_id=f"{side}-{task}-{trial}",
        pipeline="desk",
        goal_id="done:1",
        status="finished",
        task=task,
        metadata={"trial": trial},
        end=end,
        detail="unjudged" if end == "escalated" else "first_pass",
        passed=passed,
        finished_at=1.0,
        steps={"a": StepTally(executions=1, completed=1, cost_first=cost)},
    )


def paired(
    n: int, p: float, lift: float, harm: float, trials: int = 1, spread: float = 0.0
) -> Draw:
    """Studies of n tasks: A succeeds with p; B wins a share `lift` of A's failures and loses a
    share `harm` of its successes; costs about 5 and 6.5. `spread`: how far tasks differ in p."""

    def draw(rng: random.Random) -> tuple[list[RunRecord], list[RunRecord]]:
        a, b = [], []
        for task in range(n):
            own = p + (spread if rng.random() < 0.5 else -spread)
            for trial in range(trials):
                won = rng.random() < own
                also = rng.random() >= harm if won else rng.random() < lift
                spent = 5 + rng.expovariate(1.0)
                extra = 0.5 + rng.random() + (2.0 if not won else 0.0)
                a.append(record("a", f"t{task}", trial, "s" if won else "w", spent))
                b.append(record("b", f"t{task}", trial, "s" if also else "w", spent + extra))
        return a, b

    return draw


def compare_coverage(size: Size) -> None:
    """Coverage of differences and of cost per extra success; how often each word is said."""
    cases = {
        "400 pairs, .83 to .96": (paired(400, 0.83, 0.8, 0.007), 0.83, 0.8, 0.007),
        "200 pairs, .83 to .96": (paired(200, 0.83, 0.8, 0.007), 0.83, 0.8, 0.007),
        "100 pairs, .95 to .97": (paired(100, 0.95, 0.6, 0.01), 0.95, 0.6, 0.01),
        "400 pairs, no difference": (paired(400, 0.8, 0.2, 0.05), 0.8, 0.2, 0.05),
        "60 tasks x 4, .80 to .87": (paired(60, 0.8, 0.4, 0.01, 4, 0.15), 0.8, 0.4, 0.01),
        "40 tasks x 3, .97 to .98": (paired(40, 0.97, 0.5, 0.005, 3, 0.02), 0.97, 0.5, 0.005),
    }
    rows = []
    for name, (draw, p, lift, harm) in cases.items():
        gain = (1 - p) * lift - p * harm
        price = 1.0 + 2.0 * (1 - p)
        found = _studies(draw, max(2, size.count(STUDIES)), name)
        rows.append((name, *_row(found, gain, price)))
    head = ("studies through compare", "covers", "ICER covers", "unbounded")
    table("intervals at 95 %", (*head, "better", "worse", "no effect", "too few"), rows)
    print("  target: covers 0.95 within Monte Carlo error; worse at most 0.025 where B is not")


def _studies(draw: Draw, n: int, seed: str) -> list[Comparison]:
    rng = random.Random(seed)
    return [compared(*draw(rng)) for _ in range(n)]


def _row(found: list[Comparison], gain: float, price: float) -> tuple[str, ...]:
    n = len(found)
    covers = sum(f.success.interval[0] <= gain <= f.success.interval[1] for f in found)
    bounded = [f for f in found if f.cost_per_extra_success.interval is not None]
    truth = price / gain if abs(gain) > 1e-12 else math.inf
    held = n - len(bounded)  # an unbounded set is taken to hold every price
    for f in bounded:
        low, high = f.cost_per_extra_success.interval or (0.0, 0.0)
        held += low <= truth <= high
    words = ("better", "worse", "no_effect", "too_few")
    said = (sum(f.conclusion == word for f in found) / n for word in words)
    shares = (covers / n, held / n, 1 - len(bounded) / n, *said)
    return tuple(f"{share:.3f}" for share in shares)


def compare_speed(size: Size) -> None:
    """Runs a second of CPU time from a store, pairs of single runs and of trials."""
    n = max(100, size.count(200_000))
    rows = []
    for name, trials in (("one run a task", 1), ("four trials a task", 4)):
        with tempfile.TemporaryDirectory() as directory:
            path = str(Path(directory) / "runs.db")
            _fill(path, n, trials)
            began = time.process_time()
            compared("pipeline=a", "pipeline=b", store=path)
            took = time.process_time() - began
        million = took / (2 * n) * 2e6
        rows.append((name, f"{2 * n / took:,.0f}", f"{million:.1f} s", verdict(million < 15)))
    table(
        "from SQLite", (f"{n:,} runs a side", "runs/s", "1,000,000 a side", "target 15 s CPU"), rows
    )


def _fill(path: str, n: int, trials: int) -> None:
    rng = random.Random(1)
    store = Store(f"sqlite:///{path}")
    for side, p in (("a", 0.83), ("b", 0.9)):
        batch = []
        for i in range(n):
            kind = "s" if rng.random() < p else "w"
            made = record(side, f"t{i // trials}", i % trials, kind, rng.random())
            values = {f: getattr(made, f) for f in made.__dataclass_fields__}
            batch.append(RunFinished(RunRecord(**{**values, "pipeline": side})))
            if len(batch) == 10_000 or i == n - 1:
                store.on_events(batch)
                batch = []
    store.close()


def compare(size: Size) -> None:
    """Both."""
    compare_coverage(size)
    compare_speed(size)
