"""Measuring side by side: interleaved rounds, medians, ratios, and a table with targets."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Batch = Callable[[int], object]
"""Does its work n times."""


@dataclass(frozen=True)
class Size:
    """How much a benchmark runs."""

    rounds: int
    """Interleaved rounds; each gives one sample a case."""
    scale: float
    """Factor on every count of calls."""

    def count(self, calls: int) -> int:
        """Calls a sample, of so many at full size."""
        return max(1, int(calls * self.scale))


FULL = Size(rounds=25, scale=1.0)
QUICK = Size(rounds=2, scale=0.002)
"""For the smoke test: it shows that a benchmark runs, and measures nothing."""


def interleaved(
    cases: Mapping[str, tuple[Batch, int]],
    size: Size,
    clock: Callable[[], int] = time.process_time_ns,
) -> dict[str, list[float]]:
    """Microseconds per call of each case, one sample a round.

    Each round runs every case once, in an order that turns from round to round, so that a slow
    moment of the machine does not fall on one case alone.

    Args:
        cases: By name, the work and its calls a sample.
        size: How much to run.
        clock: Nanoseconds; by default the CPU time of all threads of the process.
    """
    names = list(cases)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for batch, calls in cases.values():
        batch(max(1, size.count(calls) // 10))  # caches, lazy imports
    for number in range(size.rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            batch, calls = cases[name]
            calls = size.count(calls)
            gc.collect()
            began = clock()
            batch(calls)
            samples[name].append((clock() - began) / calls / 1_000)
    return samples


def medians(samples: Mapping[str, list[float]]) -> dict[str, float]:
    """The median of each case."""
    return {name: statistics.median(found) for name, found in samples.items()}


def spread(samples: list[float]) -> float:
    """Half the distance between the quartiles."""
    if len(samples) < 2:
        return 0.0
    low, _, high = statistics.quantiles(samples, n=4)
    return (high - low) / 2


def ratio(over: list[float], under: list[float]) -> float:
    """Median of the ratios of samples of the same round: drift of the machine cancels out."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True) if b > 0)


def difference(over: list[float], under: list[float]) -> float:
    """Median of the differences of samples of the same round."""
    return statistics.median(a - b for a, b in zip(over, under, strict=True))


def verdict(met: bool) -> str:
    """How a target came out."""
    return "met" if met else "MISSED"


def table(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print a table: the first column to the left, figures to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    print(f"\n{title}")
    for row in (head, *rows):
        cells = [
            row[0].ljust(widths[0]),
            *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
        ]
        print("  " + "  ".join(cells).rstrip())
