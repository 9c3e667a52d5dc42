"""Predict the outcomes of a pipeline with validation edges, exactly.

The model is the absorbing Markov chain under 'reliability of validated pipelines' in
docs/numbers.md; docs/planning.md says what it leaves out:

- Steps run in order. An error persists until its step or an earlier one is executed again: no
  later step heals it. So all that matters of the contents is the first wrong step.
- A rejection at step i with target j <= i runs j..i again. The edge counts candidates until it
  passes one or has judged `max_attempts`: then the run ends as escalated. Edges inside j..i-1
  start anew, because they had passed.
- Verdicts are independent of each other, given which step made the first error.

Sticky errors. A content that is wrong by its own step's fault, not its input's, is sticky with
probability `sticky`. A step with a pending sticky error repeats it, whatever its input has become,
until it is executed with feedback and answers with content; then it draws afresh, and may err
again, sticky or not. The feedback of an edge's latest rejection reaches the target and the
rejected step until that edge passes. The result is exact for the process as stated here. The
process itself simplifies reality in four places:

- Any live feedback cures, also one that was given before the sticky error was made.
- A step draws no error of its own on wrong input: there it would be masked.
- A step that was right draws afresh when it is run again, so it may err then; a model in which a
  task is either hard or easy for good would not allow that. (For one step that model is the mean of
  two predictions, one with `right=0` for the hard share.)
- Verdicts on the repeats of a sticky error are independent. A deterministic validator repeats its
  verdict: what it rejected can not slip through later, so `silent` is too high here and
  `escalated` too low; what it missed it never catches, where here another look may.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp

from ._rates import EdgeRates, Prediction, StepRates, resolve

_State = tuple[int, int]
"""(index of the first wrong step, or the number of steps when none is; bitmask of the steps with a
pending sticky error)."""
_Masses = dict[_State, float]


def predict(steps: Sequence[StepRates], edges: Sequence[EdgeRates] = ()) -> Prediction:
    """Compute how the runs of a pipeline end and what they cost.

    The states are not enumerated with their counters. When an edge rejects, all edges before it
    have just passed, so each re-run is the same walk over fresh edges, computed once and used for
    every attempt. The time grows with attempts, targets and pairs of steps, not with the product
    of the attempts; only sticky errors on many steps can multiply it (by the sets of steps that
    may have one pending; by the steps alone where no edge delivers feedback). Python's recursion
    limit ends it at some 300 steps.

    Args:
        steps: The steps in the order in which they run.
        edges: At most one edge per step, in any order.

    Returns:
        The probabilities of the outcomes and the expected cost; rounding apart, exact for the
        model in this module's docstring, also when loops cross.

    Raises:
        ValueError: No steps, a name that is unknown or used twice, or a target after its step.
    """
    walk = _Walk(steps, edges)
    none_wrong = len(steps)
    flow = walk.between(0, len(steps), 0, (none_wrong, 0))
    delivered = flow.arrived.items()
    return Prediction(
        success=sum(mass for (first, _), mass in delivered if first == none_wrong),
        silent=sum(mass for (first, _), mass in delivered if first != none_wrong),
        escalated_good=flow.escalated_good,
        escalated_bad=flow.escalated_bad,
        error=flow.error,
        cost=flow.cost,
    )


def cost_variance(steps: Sequence[StepRates], edges: Sequence[EdgeRates] = ()) -> float:
    """Compute the variance of what one run costs, by how often its steps run and are judged.

    Each execution is taken to cost exactly its step's `cost`, and each judgement the edge's. By
    the second difference of E[exp(h * cost)] at h = 0, with h so small that the error is about a
    millionth of the squared mean.

    Args:
        steps: As for `predict`.
        edges: As for `predict`.

    Raises:
        ValueError: As for `predict`.
    """
    mean = predict(steps, edges).cost
    if mean == 0.0:
        return 0.0
    h = 1e-3 / mean
    up, down = (_Walk(steps, edges, tilt=tilt).total() for tilt in (h, -h))
    return max(0.0, (up - 2.0 + down) / h**2 - mean**2)


@dataclass(slots=True)
class _Flow:
    """What became of a mass of runs on a stretch of the pipeline."""

    arrived: _Masses = field(default_factory=lambda: defaultdict(float))
    escalated_good: float = 0.0
    escalated_bad: float = 0.0
    error: float = 0.0
    cost: float = 0.0

    def add_losses(self, other: _Flow, mass: float) -> None:
        """Add what `mass` runs of `other` lost and spent on the way."""
        self.escalated_good += mass * other.escalated_good
        self.escalated_bad += mass * other.escalated_bad
        self.error += mass * other.error
        self.cost += mass * other.cost


class _Walk:
    """Moves masses of runs through the steps.

    With a `tilt`, each mass is weighted with exp(tilt * what the runs have spent so far).
    """

    def __init__(
        self, steps: Sequence[StepRates], edges: Sequence[EdgeRates], tilt: float = 0.0
    ) -> None:
        self._steps = steps
        self._edges = resolve(steps, edges)
        self._none_wrong = len(steps)
        self._sticky = sum(1 << i for i, step in enumerate(steps) if step.sticky > 0.0)
        self._cured = any(edge.rates.feedback for edge in self._edges.values())
        self._call = [exp(tilt * step.cost) for step in steps]
        self._judge = {i: exp(tilt * edge.rates.cost) for i, edge in self._edges.items()}
        self._known: dict[tuple[int, int, int, _State], _Flow] = {}

    def total(self) -> float:
        """The mass of all runs, however they end: 1 without a tilt."""
        flow = self.between(0, len(self._steps), 0, (self._none_wrong, 0))
        lost = flow.escalated_good + flow.escalated_bad + flow.error
        return sum(flow.arrived.values()) + lost

    def between(self, start: int, stop: int, told: int, state: _State) -> _Flow:
        """Walk one run from before step `start` to before step `stop`, their edges fresh.

        `told` is the bitmask of the steps that have live feedback from edges at or after `stop`.
        """
        # Feedback to a step that is never sticky changes nothing: forget it, to meet known keys.
        told &= self._sticky & ((1 << stop) - 1)
        key = (start, stop, told, state)
        if key not in self._known:
            self._known[key] = self._walk(start, stop, told, state)
        return self._known[key]

    def _walk(self, start: int, stop: int, told: int, state: _State) -> _Flow:
        """Walk to the last step before `stop`, then through that step and its edge."""
        flow = _Flow()
        if start == stop:
            flow.arrived[state] = 1.0
            return flow
        last = stop - 1
        waiting = self._spread({state: 1.0}, start, last, told, flow)
        edge = self._edges.get(last)
        if edge is None:
            flow.arrived, unparsed = self._execute(last, told, waiting, flow)
            flow.error += sum(unparsed.values())
            return flow
        rejected = self._attempt(last, told, waiting, flow)
        for rejection in range(edge.rates.max_attempts - 1):
            target = edge.targets[min(rejection, len(edge.targets) - 1)]
            named = told | (1 << target | 1 << last if edge.rates.feedback else 0)
            waiting = self._spread(self._roll_back(rejected, target), target, last, named, flow)
            rejected = self._attempt(last, named, waiting, flow)
        self._escalate(rejected, flow)
        return flow

    def _spread(
        self, masses: Mapping[_State, float], start: int, stop: int, told: int, flow: _Flow
    ) -> _Masses:
        """Walk many runs; return those that arrive, add the rest to `flow`."""
        arrived: _Masses = defaultdict(float)
        for state, mass in masses.items():
            stretch = self.between(start, stop, told, state)
            flow.add_losses(stretch, mass)
            for reached, share in stretch.arrived.items():
                arrived[reached] += mass * share
        return arrived

    def _attempt(self, step: int, told: int, waiting: _Masses, flow: _Flow) -> _Masses:
        """Execute a step and judge its candidates; return the rejected ones."""
        edge = self._edges[step]
        candidates, rejected = self._execute(step, told, waiting, flow)
        for state, mass in candidates.items():
            reject = edge.reject[state[0]]
            flow.cost += mass * edge.rates.cost
            judged = mass * self._judge[step]
            flow.arrived[state] += judged * (1.0 - reject)
            if reject > 0.0:
                rejected[state] += judged * reject
        return rejected

    def _execute(
        self, step: int, told: int, waiting: _Masses, flow: _Flow
    ) -> tuple[_Masses, _Masses]:
        """Execute a step; return its contents and its replies that could not be parsed."""
        rates = self._steps[step]
        call = self._call[step]
        again = rates.transient * call
        spent = again**rates.tries
        # Expected calls: the geometric series 1 + transient + ... + transient^(tries-1).
        calls = call * (rates.tries if again == 1.0 else (1.0 - spent) / (1.0 - again))
        content = max(0.0, 1.0 - rates.transient - rates.fatal - rates.invalid) * calls
        contents: _Masses = defaultdict(float)
        unparsed: _Masses = defaultdict(float)
        for state, mass in waiting.items():
            flow.cost += mass * calls * rates.cost
            flow.error += mass * (rates.fatal * calls + spent)
            if rates.invalid > 0.0:
                # To what follows, no content is a wrong content of this step.
                unparsed[min(state[0], step), state[1]] += mass * rates.invalid * calls
            for drawn, share in self._draw(step, state, told=bool(told >> step & 1)):
                if share > 0.0:
                    contents[drawn] += mass * content * share
        return contents, unparsed

    def _draw(self, step: int, state: _State, *, told: bool) -> tuple[tuple[_State, float], ...]:
        """Return the states after a content of a step, with their probabilities."""
        first, pending = state
        bit = 1 << step
        cured = pending & ~bit
        if first < step:
            return (((first, cured if told else pending), 1.0),)
        if pending & bit and not told:
            return (((step, pending), 1.0),)
        stuck = cured | bit
        if not self._cured:
            # Nothing is right any more from the first such step on: only it can matter.
            stuck &= -stuck
        rates = self._steps[step]
        wrong = 1.0 - rates.right
        return (
            ((self._none_wrong, cured), rates.right),
            ((step, cured), wrong * (1.0 - rates.sticky)),
            ((step, stuck), wrong * rates.sticky),
        )

    def _roll_back(self, rejected: _Masses, target: int) -> _Masses:
        """Forget the errors that running again from `target` undoes."""
        ready: _Masses = defaultdict(float)
        for (first, pending), mass in rejected.items():
            ready[self._none_wrong if first >= target else first, pending] += mass
        return ready

    def _escalate(self, rejected: _Masses, flow: _Flow) -> None:
        """End the runs whose last candidate was rejected."""
        for (first, _), mass in rejected.items():
            if first == self._none_wrong:
                flow.escalated_good += mass
            else:
                flow.escalated_bad += mass
