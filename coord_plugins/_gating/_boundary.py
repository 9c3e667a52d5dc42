"""Where a gate accepts, and which questions it can decide."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

from ..errors import PolicyError
from ..stats import log_evidence_above


@lru_cache(maxsize=1 << 16)
def successes_needed(failures: int, min_success: float, alpha: float) -> int:
    """The fewest successes beside so many failures that a gate accepts.

    The e-process grows with every success, so that one number per count of failures is the whole
    boundary and a gate compares integers.

    Args:
        failures: Failures so far.
        min_success: The rate that must be exceeded.
        alpha: The largest chance of accepting wrongly.
    """
    wanted = -math.log(alpha)
    least = math.ceil(failures * min_success / (1 - min_success))  # below, the rate is too low

    def enough(successes: int) -> bool:
        return log_evidence_above(successes, successes + failures, min_success) >= wanted

    return first(enough, max(1, least))


def first(holds: Callable[[int], bool], start: int, end: int = 1 << 34) -> int:
    """The smallest whole number from `start` on for which a monotone condition holds.

    Args:
        holds: False, and true from some number on.
        start: Where to begin.
        end: Where to stop; it is the answer where nothing below it holds.
    """
    below, step = start - 1, 1
    above = start
    while above < end and not holds(above):
        below, step = above, 2 * step
        above = min(end, above + step)
    while above - below > 1:
        middle = (below + above) // 2
        if holds(middle):
            above = middle
        else:
            below = middle
    return above


def check_numbers(
    min_success: float,
    expected: float,
    alpha: float,
    beta: float,
    max_trials: int | None,
    suite: int | None,
) -> None:
    """Refuse a question that cannot be decided.

    Raises:
        PolicyError: It says what to do.
    """
    highest = "at most 1" if suite is not None else "below 1"
    if not 0 < min_success <= 1 or (suite is None and min_success == 1):
        raise PolicyError(f"min_success={min_success:g}; it is a share above 0 and {highest}")
    for name, value in (("alpha", alpha), ("beta", beta)):
        if not 0 < value < 1:
            raise PolicyError(f"{name}={value:g}; it is a probability between 0 and 1, like 0.05")
    if suite is None and not min_success < expected < 1:
        raise PolicyError(
            f"expected={expected:g} with min_success={min_success:g}; expected is the rate that "
            f"you hope for, above min_success and below 1, for example "
            f"{1 - 0.4 * (1 - min_success):g}"
        )
    for name, count in (("max_trials", max_trials), ("suite", suite)):
        if count is not None and count < 1:
            raise PolicyError(f"{name}={count}; it is at least 1")
