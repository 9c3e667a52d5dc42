"""What several runs of the same examples say: pass^k, and an interval that knows of clusters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable

from coord_plugins import Rate
from coord_plugins.stats import Trials, clustered_wilson, pass_hat_k

__all__ = ["clustered_rate", "pass_hat_k"]


def trials(passed: Iterable[tuple[Hashable, bool]]) -> list[tuple[int, int]]:
    """Group runs by their example, in order of first arrival.

    Args:
        passed: For each run its example and whether it passed.
    """
    counts: dict[Hashable, list[int]] = defaultdict(lambda: [0, 0])
    for example, did in passed:
        counts[example][0] += did
        counts[example][1] += 1
    return [(c, n) for c, n in counts.values()]


def fewest(counts: Trials) -> int:
    """The repetitions that every example has; 0 without examples."""
    return min((n for _, n in counts), default=0)


def clustered_rate(counts: Trials, confidence: float = 0.95) -> Rate:
    """The share of runs that passed, with an interval that counts examples, not runs.

    Args:
        counts: For each example (c, n).
        confidence: Two-sided level, in (0, 1).

    Source: `coord_plugins.stats.clustered_wilson`.
    """
    passed, n = sum(c for c, _ in counts), sum(m for _, m in counts)
    value = passed / n if n else None
    interval = clustered_wilson(counts, confidence)
    return Rate(successes=passed, n=n, value=value, interval=interval)


def percent(rate: Rate) -> str:
    """A share with its interval, for example "62.5 % [30.6, 86.3]"."""
    if rate.value is None:
        return "unknown (n=0)"
    low, high = rate.interval
    return f"{100 * rate.value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
