"""What an offline evaluation found, as frozen values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from coord_plugins import Rate

from ._goal import VALUES, Value
from ._trials import clustered_rate, fewest, pass_hat_k, percent, trials

SCHEMA_VERSION = 1
"""Of `OfflineResult.to_dict`."""
_SHOWN = 10
"""How many runs that did not pass `str` lists."""


@dataclass(frozen=True, kw_only=True)
class OfflineRow:
    """One run of the target on one example."""

    example: int
    """The example's place in the data, from 0."""
    repetition: int
    """Which run of this example it is, from 0."""
    passed: bool
    """Whether the goal was met; everything else is a failure."""
    value: Value
    """"success", "failure" (missed), "error" (the target raised) or "goal_error"."""
    comment: str | None
    """Why; redacted and truncated."""
    error: str | None
    """What the target raised, redacted and truncated; None: it returned."""
    seconds: float
    """How long the target took."""


@dataclass(frozen=True, kw_only=True)
class OfflineResult:
    """What an offline evaluation found; every figure counts a crash as a failure."""

    key: str
    """The name of what was measured."""
    rows: tuple[OfflineRow, ...]
    """One per run, by example and repetition."""
    repetitions: int
    """Runs of each example."""

    @property
    def success_rate(self) -> Rate:
        """The share of runs that passed; the 95 % interval is clustered by example."""
        return clustered_rate(self._trials(self.rows))

    @property
    def completed_only(self) -> Rate | None:
        """The share without the runs that raised, never to be read alone; None: none raised."""
        completed = [row for row in self.rows if row.value != "error"]
        if len(completed) == len(self.rows):
            return None
        return clustered_rate(self._trials(completed))

    def pass_hat_k(self, k: int) -> float:
        """The chance that k runs of one example all pass, unbiased, over all examples.

        Args:
            k: From 1 to the repetitions.

        Raises:
            PolicyError: k is out of this range.

        Source: tau-bench, arXiv:2406.12045, section 2.
        """
        return pass_hat_k(self._trials(self.rows), k)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON takes it, with a `schema_version`."""
        counts = Counter(row.value for row in self.rows)
        completed = self.completed_only
        ks = range(1, fewest(self._trials(self.rows)) + 1)
        return {
            "schema_version": SCHEMA_VERSION,
            "key": self.key,
            "examples": self._examples,
            "repetitions": self.repetitions,
            "success_rate": asdict(self.success_rate),
            "completed_only": None if completed is None else asdict(completed),
            "pass_hat_k": {str(k): self.pass_hat_k(k) for k in ks},
            "values": {value: counts[value] for value in VALUES},
            "rows": [asdict(row) for row in self.rows],
        }

    def __str__(self) -> str:
        rate, completed = self.success_rate, self.completed_only
        counts = Counter(row.value for row in self.rows)
        told = ", ".join(f"{counts[v]} {v}" for v in VALUES if counts[v])
        size = f"({self._examples} examples x {self.repetitions})"
        head = f"{self.key}: {rate.successes} of {rate.n} runs did their job: {percent(rate)}"
        lines = [f"{head} {size}", f"  {told}"]
        if completed is not None:
            lines.append(f"  without those that raised: {percent(completed)}, not the success rate")
        if self.repetitions > 1:
            ks = sorted({1, 2, self.repetitions})
            lines.append("  " + ", ".join(f"pass^{k} {100 * self.pass_hat_k(k):.1f} %" for k in ks))
        failed = [row for row in self.rows if not row.passed]
        lines += [
            f"  example {row.example}, repetition {row.repetition}: {row.value}"
            + (f": {row.comment}" if row.comment else "")
            for row in failed[:_SHOWN]
        ]
        if len(failed) > _SHOWN:
            lines.append(f"  and {len(failed) - _SHOWN} more")
        return "\n".join(lines)

    @property
    def _examples(self) -> int:
        return len({row.example for row in self.rows})

    @staticmethod
    def _trials(rows: Iterable[OfflineRow]) -> list[tuple[int, int]]:
        return trials((row.example, row.passed) for row in rows)
