"""What recorded runs say of each step, as sums: one pass, whatever their number."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import sqrt

from .._record import RunRecord
from .._tally import StepTally
from ._evidence import NOTHING, Amount

_LABELLED = (
    "pass_right pass_own pass_upstream reject_right reject_own reject_upstream "
    "repeat_right repeat_wrong"
).split()


@dataclass(slots=True)
class _Ratio:
    """Sums for the mean of amounts per unit, as a ratio of sums, and for its error."""

    x: float = 0.0
    n: float = 0.0
    xx: float = 0.0
    xn: float = 0.0
    nn: float = 0.0

    def add(self, x: float, n: float) -> None:
        self.x += x
        self.n += n
        self.xx += x * x
        self.xn += x * n
        self.nn += n * n

    def amount(self) -> Amount:
        """Mean per unit; its error by linearisation; the spread of one."""
        if not self.n:
            return NOTHING
        mean = self.x / self.n
        squares = self.xx - 2.0 * mean * self.xn + mean * mean * self.nn
        squares = squares if squares > 1e-12 * self.xx else 0.0  # equal amounts, rounded
        return Amount(mean=mean, error=sqrt(squares) / self.n, deviation=sqrt(squares / self.n))


@dataclass(slots=True)
class Sums:
    """What all runs say of one step."""

    tally: StepTally = field(default_factory=StepTally)
    """Labelled counts and executions."""
    right: int = 0
    """First outputs that were right, given right input."""
    wrong: int = 0
    """First outputs that were wrong, given right input."""
    healed: int = 0
    """First outputs that were right, given wrong input."""
    masked: int = 0
    """First outputs that were wrong, given wrong input."""
    unlabelled: int = 0
    """Runs in which the step gave outputs and none has a label."""
    work: _Ratio = field(default_factory=_Ratio)
    judging: _Ratio = field(default_factory=_Ratio)

    def add(self, tally: StepTally, *, known: bool) -> None:
        """Count one run's executions; `known`: whether its labels show whose error is whose."""
        self.work.add(tally.cost_first + tally.cost_retry + tally.cost_fallback, visits(tally))
        if tally.calls:
            self.judging.add(tally.cost_validation, tally.calls)
        # An error, or a reply that could not be read, is no content that is right or wrong.
        if known and tally.completed == tally.executions:
            ok = bool(tally.first_ok)
            if tally.first_given_right:
                self.right += ok
                self.wrong += not ok
            else:
                self.healed += ok
                self.masked += not ok
        kept = {} if known else {name: getattr(self.tally, name) for name in _LABELLED}
        self.tally.merge(tally)
        for name, count in kept.items():
            setattr(self.tally, name, count)


@dataclass(slots=True)
class Seen:
    """What all runs say."""

    steps: dict[str, Sums] = field(default_factory=dict)
    runs: int = 0
    finished: int = 0
    pipelines: Counter[str] = field(default_factory=Counter)
    policies: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By policy and mode."""
    ways: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """Orders of first execution, of delivered runs."""
    successes: int = 0
    failures: int = 0
    agreeing: int = 0
    """Delivered runs whose goal says what the last step's label says."""
    disagreeing: int = 0
    elsewhere: int = 0
    """Errors of no step: cancelled, limits of the host."""
    unpriced: int = 0
    """Runs with model calls without a price."""

    def add(self, record: RunRecord) -> None:
        """Count one run."""
        if record.parent_id is not None or record.status != "finished":
            return
        self.runs += 1
        self.pipelines[record.pipeline] += 1
        self.policies[record.policy_id, record.mode] += 1
        self.unpriced += record.cost_unknown > 0
        outcome = record.outcome.partition(".")[0]
        if outcome != "unlabelled":
            self.successes += outcome == "success"
            self.failures += outcome != "success"
        known = True
        last: bool | None = None
        # "(whole run)" of an import and "(child)" stand for costs, not for steps
        steps = {name: t for name, t in record.steps.items() if not name.startswith("(")}
        for name, tally in steps.items():
            sums = self.steps.get(name)
            if sums is None:
                sums = self.steps[name] = Sums()
            labelled = _labelled(tally)
            sums.add(tally, known=known and labelled)
            # Labels after an output without one are left out: nobody knows whose error they show.
            sums.unlabelled += not labelled and tally.completed > 0
            known = known and (labelled or not tally.completed)
            last = tally.accepted
        raised = any(t.errors > t.retries + t.fallbacks for t in record.steps.values())
        self.elsewhere += record.end == "error" and not raised
        if record.end == "delivered":
            if not any(t.fallbacks for t in record.steps.values()):
                self.ways[tuple(steps)] += 1
            if record.passed is not None and last is not None:
                self.agreeing += record.passed is last
                self.disagreeing += record.passed is not last


def _labelled(tally: StepTally) -> bool:
    counts = tally.pass_right + tally.pass_own + tally.pass_upstream
    counts += tally.reject_right + tally.reject_own + tally.reject_upstream
    return tally.accepted is not None or counts > 0


def visits(tally: StepTally) -> int:
    """Executions, a retried one counted with its retry."""
    return max(0, tally.executions - tally.retries - tally.fallbacks)


def unread(tally: StepTally) -> int:
    """Replies that could not be read and were rejected."""
    return max(0, tally.executions - tally.completed - tally.errors)
