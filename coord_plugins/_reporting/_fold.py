"""`Accumulator`: a report's numbers as a fold over runs, one pass, flat memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from .._outcome import OUTCOMES
from .._store_lines import Audit, Line, TaskLine
from .._value import Value
from ..errors import CoordError
from . import _steps as steps_of
from ._checks import check_identities, families, warnings_of
from ._estimates import gap_of, to_label, trials_of, true_rate, worth_of
from ._measures import Cost, Rate
from ._moments import DELIVERED, FINISHED, LABELLED, Moments
from ._steps import StepSum
from ._types import Group


class Accumulator:
    """The numbers of one group of runs."""

    def __init__(self) -> None:
        self.nested = 0
        self.outcomes: Counter[str] = Counter()
        self.self_reported: Counter[str] = Counter()
        self.policy_ids: Counter[str] = Counter()
        self.goal_ids: Counter[str] = Counter()
        self.modes: Counter[str] = Counter()
        self.lost_at: Counter[str] = Counter()
        self.own_word: Counter[str] = Counter()
        """Runs whose label is the goal's own."""
        self.late: Counter[str] = Counter()
        """Runs with a label that came later."""
        self.first_tries: Counter[bool] = Counter()
        """Labelled runs in which every first try was right, by whether they succeeded."""
        self.won_anyway = 0
        self.seconds = 0.0
        self.amounts = [0.0] * 8
        self.in_flight_cost = 0.0
        self.steps: dict[str, StepSum] = {}
        self.moments = Moments()
        self.tasks: list[TaskLine] = []
        self.audits: list[Audit] = []

    def add(self, line: Line) -> None:
        """Add a run, or runs that agree in all but amounts."""
        n, outcome = line.n, line.outcome
        if line.nested:  # its cost is in its parent's record already
            self.nested += n
            return
        if outcome not in _KNOWN:
            raise CoordError(f"a run has the outcome {outcome!r}, which is none of OUTCOMES")
        self.outcomes[outcome] += n
        self.policy_ids[line.policy_id] += n
        self.goal_ids[line.goal_id or ""] += n
        self.modes[line.mode] += n
        family = outcome.partition(".")[0]
        if family == "in_flight":
            self.in_flight_cost += sum(line.amounts[:4])
            return
        self._add_outcome(line, family)
        self.moments.add_runs(line)
        self.seconds += line.elapsed
        self.amounts = [a + b for a, b in zip(self.amounts, line.amounts, strict=True)]
        for step in line.shape:
            known = self.steps.get(step.step)
            if known is None:
                known = self.steps[step.step] = StepSum()
            known.add(step, n)

    def _add_outcome(self, line: Line, family: str) -> None:
        n = line.n
        if line.source == "self_reported":
            self.self_reported[line.outcome] += n
        else:
            (self.own_word if line.source == "measured" else self.late)[family] += n
        if family == "unlabelled":
            return
        success = family == "success"
        if not success:
            blamed = line.lost_at or ("goal" if family == "silent_failure" else "(unknown)")
            self.lost_at[blamed] += n
        if steps_of.first_tries_right(line.shape):
            self.first_tries[success] += n
        elif success:
            self.won_anyway += n

    def merge(self, other: Accumulator) -> None:
        """Add another group's numbers."""
        self.nested += other.nested
        self.won_anyway += other.won_anyway
        for name in _COUNTERS:
            getattr(self, name).update(getattr(other, name))
        self.seconds += other.seconds
        self.in_flight_cost += other.in_flight_cost
        self.amounts = [a + b for a, b in zip(self.amounts, other.amounts, strict=True)]
        for name, step in other.steps.items():
            self.steps.setdefault(name, StepSum()).merge(step)
        self.moments.merge(other.moments)
        self.audits += other.audits

    def take_tasks(self, lines: Iterable[TaskLine]) -> None:
        """Take tasks instead of runs for what counts as independent, where some have several."""
        self.tasks = list(lines)
        if any(line.sums[0] > line.tasks for line in self.tasks):
            self.moments = Moments()
            self.moments.add_tasks(self.tasks)

    def group(
        self,
        pipeline: str,
        value: str | None,
        parts: tuple[Group, ...] = (),
        worth: Value | None = None,
        volume: float | None = None,
    ) -> Group:
        """The numbers as they are reported.

        Args:
            pipeline: The pipeline's name.
            value: The group's value of the key that the report is split by.
            parts: The groups of that split, of the whole.
            worth: What outcomes are worth.
            volume: Runs per month.

        Raises:
            CoordError: They do not add up; the message names the identity.
        """
        family = families(self.outcomes)
        in_flight, success = family["in_flight"], family["success"]
        finished = sum(self.outcomes.values()) - in_flight
        steps = tuple(steps_of.step_report(name, step) for name, step in self.steps.items())
        product, rates = steps_of.step_product(steps), self._rates(family, finished)
        moments = self.moments
        per_token, token_interval = moments.ratio("tokens", "success")
        per_second, second_interval = moments.ratio("seconds", "success")
        validators = [v for n, s in self.steps.items() for v in steps_of.validator_reports(n, s)]
        group = Group(
            pipeline=pipeline,
            value=value,
            policy_ids=dict(sorted(self.policy_ids.items())),
            goal_ids=dict(sorted(self.goal_ids.items())),
            modes=dict(sorted(self.modes.items())),
            started=finished + in_flight,
            finished=finished,
            in_flight=in_flight,
            nested=self.nested,
            outcomes={name: self.outcomes[name] for name in OUTCOMES},
            success=success,
            **rates,
            true_rate=true_rate(
                family, self.own_word, self.late, self.audits, moments.design_effect()
            ),
            recovered={n.partition(".")[2]: self.outcomes[n] for n in _RESCUES},
            self_reported=dict(sorted(self.self_reported.items())),
            naive_step_product=product,
            gap=gap_of(product, rates["success_rate"], self.first_tries, self.won_anyway),
            lost_at=dict(sorted(self.lost_at.items(), key=lambda item: (-item[1], item[0]))),
            attribution=steps_of.attribution(steps),
            repeats=steps_of.repeats(steps),
            trials=trials_of(self.tasks, moments),
            cost=self._cost(success),
            tokens=int(self.amounts[4] + self.amounts[5]),
            tokens_per_success=per_token,
            tokens_per_success_interval=token_interval,
            unknown_tokens=int(self.amounts[6]),
            seconds=self.seconds,
            seconds_per_success=per_second,
            seconds_per_success_interval=second_interval,
            worth=None if worth is None else worth_of(worth, moments, volume),
            steps=steps,
            edges=tuple(
                steps_of.edge_report(n, s) for n, s in self.steps.items() if s.count("calls")
            ),
            validators=tuple(validators),
            parts=parts,
        )
        check_identities(group)
        labels = tuple(to_label(group))
        return replace(group, to_label=labels, warnings=tuple(warnings_of(group)))

    def _rates(self, family: Mapping[str, int], finished: int) -> dict[str, Any]:
        labelled, cancelled = finished - family["unlabelled"], self.outcomes["error.cancelled"]
        own = families(self.self_reported)
        own_labelled = sum(own.values()) - own["unlabelled"]
        rate = self.moments.rate
        return {
            "success_rate": rate({"success": 1}, LABELLED),
            "coverage": rate(LABELLED, FINISHED),
            "completed_only": rate({"success": 1}, DELIVERED),
            "silent_rate": rate({"silent_failure": 1}, LABELLED),
            "escalated_rate": rate({"escalated": 1}, LABELLED),
            "error_rate": rate({"error": 1}, LABELLED),
            "error_rate_without_cancelled": Rate.of(
                family["error"] - cancelled, labelled - cancelled
            ),
            "success_rate_without_self_reported": Rate.of(
                family["success"] - own["success"], labelled - own_labelled
            ),
        }

    def _cost(self, success: int) -> Cost:
        first, retry, validation, fallback = self.amounts[:4]
        total = first + retry + validation + fallback
        unknown = int(self.amounts[7])
        return Cost(
            total=total,
            first=first,
            retry=retry,
            validation=validation,
            fallback=fallback,
            per_success=total / success if success else None,
            per_success_interval=self.moments.ratio("cost", "success")[1],
            lower_bound=unknown > 0,
            unknown_calls=unknown,
            in_flight=self.in_flight_cost,
        )


_COUNTERS = (
    "outcomes self_reported policy_ids goal_ids modes lost_at own_word late first_tries"
).split()
_KNOWN = frozenset(OUTCOMES)
_RESCUES = [n for n in OUTCOMES if n.startswith("success.") and n != "success.first_pass"]
