"""What recorded runs say of the model's assumptions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..stats import rate_ratio, wilson
from ._evidence import Assumption
from ._seen import Seen

_AGREE = 0.98
"""Below this agreement of the last step's label with the goal, a plan for one is none for the
other."""
_ENOUGH = 50
"""Repeats that can show independence."""


class Repeats(NamedTuple):
    """How repeats do against first tries, over all steps."""

    total: int
    """Repeats of wrong outputs that were rejected."""
    ratio: float
    """Success of repeats over success of first tries (r2/r1)."""
    low: float
    """Its 95 % interval, from here ..."""
    high: float
    """... to here."""

    @property
    def independent(self) -> bool:
        """Whether enough repeats do as well as first tries."""
        return self.total >= _ENOUGH and self.high >= 1.0


def repeats(seen: Seen, order: Sequence[str]) -> Repeats | None:
    """The ratio r2/r1; None where no repeat is recorded.

    First tries are those of the same steps, each step weighted with its repeats.
    """
    counts = [(seen.steps[n], seen.steps[n].tally) for n in order]
    right = sum(t.repeat_right for _, t in counts)
    total = right + sum(t.repeat_wrong for _, t in counts)
    if not total:
        return None
    first = sum(
        (s.right + 0.5) / (s.right + s.wrong + 1.0) * (t.repeat_right + t.repeat_wrong)
        for s, t in counts
    )
    n = sum(s.right + s.wrong for s, _ in counts)
    ratio, (low, high) = rate_ratio(right, total, first / total * n, n)
    return Repeats(total, ratio, low, high)


def tested(seen: Seen, order: Sequence[str]) -> tuple[Assumption, ...]:
    """The assumptions that runs can test, each with what they say."""
    return (_repeats(seen, order), _healing(seen, order), _goal(seen))


def _repeats(seen: Seen, order: Sequence[str]) -> Assumption:
    name = "repeats succeed as often as first tries"
    found = repeats(seen, order)
    if found is None:
        return Assumption(
            name=name,
            holds=None,
            says="no repeat of a wrong output is recorded; taken as independent",
        )
    taken = "taken as independent" if found.independent else "what they show is in the plan"
    return Assumption(
        name=name,
        holds=found.high >= 1.0,
        says=f"r2/r1 = {found.ratio:.2f} [{found.low:.2f}, {found.high:.2f}] from "
        f"{found.total:,} repeats; {taken}",
    )


def _healing(seen: Seen, order: Sequence[str]) -> Assumption:
    name = "no later step heals an error"
    healed = sum(seen.steps[n].healed for n in order)
    total = healed + sum(seen.steps[n].masked for n in order)
    if not total:
        return Assumption(name=name, holds=None, says="no step worked on wrong input")
    low, high = wilson(healed, total)
    return Assumption(
        name=name,
        holds=low < 0.02,
        says=f"{healed:,} of {total:,} outputs on wrong input were right "
        f"[{100 * low:.1f}, {100 * high:.1f}] %",
    )


def _goal(seen: Seen) -> Assumption:
    name = "the last step's label and the goal agree"
    total = seen.agreeing + seen.disagreeing
    if not total:
        return Assumption(
            name=name, holds=None, says="no run has both; success means that every output is right"
        )
    return Assumption(
        name=name,
        holds=seen.agreeing >= _AGREE * total,
        says=f"they do in {seen.agreeing:,} of {total:,} delivered runs",
    )
