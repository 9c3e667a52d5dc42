"""Recorded runs as the trials of a gate, in order, and what was seen besides."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator

from ..errors import PolicyError
from ._read import Kind, Ran

FAILED, PASSED, MISSING = 0, 1, 2
UNKNOWN = ("unlabelled", "in_flight", "self_reported")
"""Ways to have no result that counts."""
_NAMES = ("failure", "success", "cancelled", *UNKNOWN)
_CODES = {name: code for code, name in enumerate(_NAMES)}


class Trials:
    """One trial per run, or per task by its latest run; nine bytes each."""

    def __init__(self, *, by_task: bool, allow_self_reported: bool) -> None:
        """Start without any.

        Args:
            by_task: Whether a task counts once, by its latest run.
            allow_self_reported: Whether an agent's own word is a label.
        """
        self.by_task = by_task
        self._own = allow_self_reported
        self._starts = array("d")
        self._codes = bytearray()
        # hashes of tasks: where each stands, or only that it was seen
        self._place: dict[int, int] = {}
        self._seen: set[int] = set()
        self._known: dict[tuple[str, str], tuple[int, bool]] = {}
        self.runs = 0
        """Runs read."""
        self.repeated = 0
        """Runs of a task that had one before."""
        self.judged = 0
        """Delivered runs with a label that is not their agent's own word."""
        self.kinds: Counter[Kind] = Counter()
        """Runs by what must not be pooled unnoticed."""

    def __len__(self) -> int:
        return len(self._codes)

    def add(self, ran: Ran) -> None:
        """Add one run."""
        self.runs += 1
        self.kinds[ran.kind] += 1
        key = ran.outcome, ran.source
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._read(ran)
        code, judged = known
        self.judged += judged
        if ran.task is None or not self._repeats(hash(ran.task), ran.started_at, code):
            self._starts.append(ran.started_at)
            self._codes.append(code)

    def _repeats(self, task: int, started_at: float, code: int) -> bool:
        """Whether a run only renews the trial of its task."""
        if not self.by_task:
            self.repeated += task in self._seen
            self._seen.add(task)
            return False
        at = self._place.setdefault(task, len(self._codes))
        if at == len(self._codes):
            return False
        self.repeated += 1
        if started_at >= self._starts[at]:
            self._starts[at], self._codes[at] = started_at, code
        return True

    def _read(self, ran: Ran) -> tuple[int, bool]:
        """A run's result, and whether it has a label that counts."""
        family, _, detail = ran.outcome.partition(".")
        if family in ("success", "silent_failure"):
            if ran.source == "self_reported" and not self._own:
                return _CODES["self_reported"], False
            return _CODES["success" if family == "success" else "failure"], True
        if detail == "cancelled":
            return _CODES[detail], False
        return _CODES[family if family in UNKNOWN else "failure"], False

    def counts(self) -> dict[str, int]:
        """How many trials there are of each kind of result."""
        found = Counter(self._codes)
        return {name: found[code] for name, code in _CODES.items()}

    def check(self, suite: int | None) -> None:
        """Refuse what must not be pooled or believed.

        Raises:
            PolicyError: Several pipelines or goals, self-reported labels alone, or more tasks
                than the suite has.
        """
        pipelines = sorted({kind.pipeline for kind in self.kinds})
        if len(pipelines) > 1:
            raise PolicyError(
                f"the runs are of {len(pipelines)} pipelines ({_some(pipelines)}); choose one "
                "with --pipeline"
            )
        goals = sorted({kind.goal_id for kind in self.kinds if kind.goal_id is not None})
        if len(goals) > 1:
            raise PolicyError(
                f"the runs were judged by {len(goals)} goals ({_some(goals)}), which ask different "
                "questions; choose one with --where goal_id=..."
            )
        own = self.counts()["self_reported"]
        if own and not self.judged:
            raise PolicyError(
                f"all labels ({own:,}) are the agents' own word, which a gate does not take alone; "
                "give the pipeline a goal, label runs with `coord outcome`, or pass "
                "--allow-self-reported"
            )
        if suite is not None and len(self) > suite:
            raise PolicyError(
                f"the suite has {suite} tasks and the runs are of {len(self):,}; choose the "
                "suite's own runs with --where, --since or --pipeline"
            )

    def in_order(self, missing: str, without_cancelled: bool) -> Iterator[int]:
        """The results by time of start: `FAILED`, `PASSED` or `MISSING`.

        Args:
            missing: "either", "failure" or "ignore".
            without_cancelled: Whether cancelled runs are left out.
        """
        unknown = {"either": MISSING, "failure": FAILED, "ignore": None}[missing]
        cancelled = None if without_cancelled else FAILED
        results = [FAILED, PASSED, cancelled, *(unknown for _ in UNKNOWN)]
        starts = self._starts
        order: Iterable[int] = range(len(starts))
        if any(starts[i] > starts[i + 1] for i in range(len(starts) - 1)):
            order = sorted(order, key=starts.__getitem__)
        for i in order:
            result = results[self._codes[i]]
            if result is not None:
                yield result


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(names[:6]) + more
