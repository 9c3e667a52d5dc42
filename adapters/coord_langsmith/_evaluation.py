"""End-to-end evaluators for `langsmith.evaluate` and `aevaluate` from which no run drops out."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from langsmith.evaluation import EvaluationResult
from langsmith.evaluation.evaluator import DynamicRunEvaluator
from langsmith.schemas import Example
from pydantic import Field

from coord_plugins import PolicyError
from coord_plugins.host import clean

from ._asking import Work, adrive, drive
from ._goal import Goal, Judged, Subject, as_goal, judging
from ._trials import clustered_rate, fewest, pass_hat_k, percent, trials

__all__ = ["E2EEvaluator", "e2e_evaluator", "e2e_summary"]

log = logging.getLogger("coord_plugins.langsmith")

Summary = Callable[[Sequence[Any], Sequence[Example]], dict[str, list[EvaluationResult]]]
"""What `summary_evaluators=[...]` takes."""


class E2EEvaluator(DynamicRunEvaluator):
    """What `e2e_evaluator` returns: an evaluator of LangSmith's that keeps its verdicts.

    Attributes:
        key: The feedback's key.
    """

    key: str

    def __init__(
        self, goal: Goal, *, key: str, output: str | Callable[[Any], Any] | None = None
    ) -> None:
        """Use `e2e_evaluator`.

        Args:
            goal: Who judges.
            key: The feedback's key.
            output: What the goal sees.
        """
        self.key = key
        self._goal = goal
        self._output = output
        self._lock = threading.Lock()
        self._arrived: dict[Hashable, int] = defaultdict(int)
        self._repetition: dict[Any, int] = {}
        self._judged: dict[Any, Judged] = {}

        # LangSmith traces the call under the function's name, and reads the parameters' names
        def e2e(run: Any, example: Example | None) -> EvaluationResult:
            return self._result(self.judge(run, example))

        async def ae2e(run: Any, example: Example | None) -> EvaluationResult:
            return self._result(await self.ajudge(run, example))

        e2e.__name__ = ae2e.__name__ = key
        super().__init__(e2e, ae2e)

    @property
    def feedback_keys(self) -> list[str]:
        """The one key, which LangSmith shows before the first run and reports an error under."""
        return [self.key]

    def judge(self, run: Any, example: Example | None = None) -> Judged:
        """Judge one finished run.

        Args:
            run: LangSmith's run of the target.
            example: What it ran on.

        Raises:
            PolicyError: The goal is async: use `aevaluate`.
        """
        return self._keep(run, drive(self._judging(run, example), "aevaluate"))

    async def ajudge(self, run: Any, example: Example | None = None) -> Judged:
        """The async form of `judge`; the goal may be async."""
        return self._keep(run, await adrive(self._judging(run, example)))

    def judged(self, run: Any, example: Example | None = None) -> Judged:
        """What was said of this run, by its id; a run that is not known yet is judged now."""
        with self._lock:
            known = self._judged.get(run.id)
        return known or self.judge(run, example)

    def _judging(self, run: Any, example: Example | None) -> Work[Judged]:
        subject = Subject(run=run, example=example, repetition=self._arrival(run, example))
        return judging(self._goal, subject, self._output)

    def _arrival(self, run: Any, example: Example | None) -> int:
        """Which run of this example in this experiment it is: LangSmith does not say."""
        experiment = getattr(run, "session_id", None) or getattr(run, "session_name", None)
        key = (experiment, _example_id(run, example))
        with self._lock:
            if run.id not in self._repetition:
                self._repetition[run.id] = self._arrived[key]
                self._arrived[key] += 1
            return self._repetition[run.id]

    def _keep(self, run: Any, judged: Judged) -> Judged:
        with self._lock:
            self._judged[run.id] = judged
        return judged

    def _result(self, judged: Judged) -> EvaluationResult:
        about = {"repetition": judged.repetition, "goal": self._goal.name}
        return EvaluationResult(
            key=self.key,
            score=int(judged.passed),
            value=judged.value,
            comment=judged.comment,
            evaluator_info={"coord": about},
            extra={"coord": about},
        )


def e2e_evaluator(
    goal: Any,
    *,
    key: str = "e2e",
    threshold: float = 0.5,
    output: str | Callable[[Any], Any] | None = None,
) -> E2EEvaluator:
    """An evaluator for `evaluators=[...]` whose mean is the end-to-end success rate.

    Every run gets a score, 1 or 0, never none, so that LangSmith's own average is the share of
    runs that did their job. The feedback's value says why: "success", "failure" (the goal was
    missed), "error" (the target raised) or "goal_error" (the goal raised or returned no
    judgement; after its retries, for a `Validator`). The repetition, counted from 0 per example
    in order of arrival, stands in the feedback's `extra["coord"]["repetition"]` and in
    its source's metadata.

    Args:
        goal: A callable of the outputs, with `inputs`, `reference_outputs` and `ctx` by name
            where it declares them (`AssertionError` and `ValueError` say no, as everywhere); a
            `check`, `judge` or `schema`, whose `ctx.metadata` has `reference_outputs` and
            `repetition`; or an evaluator of LangSmith or openevals, called by the names `run`,
            `example`, `inputs`, `outputs`, `reference_outputs`. May be async under `aevaluate`.
            The outputs are what LangSmith records: a dict; other values are in its "output".
        key: The feedback's key.
        threshold: A number or a result's score passes when it is at least this; a bool stands
            for itself.
        output: What the goal sees of the outputs: a key, or a callable of them.

    Raises:
        PolicyError: The goal cannot be called so. Under `evaluate`, an async goal raises it for
            every run, which LangSmith logs: no number at all, rather than a wrong one.
    """
    return E2EEvaluator(as_goal(goal, threshold), key=key, output=output)


class _SummaryResult(EvaluationResult):
    """LangSmith hands all fields to `create_feedback`, which warns of `metadata`."""

    metadata: dict[str, Any] | None = Field(default=None, exclude=True)


def e2e_summary(evaluator: E2EEvaluator, *, k: Iterable[int] = (1, 2, 4)) -> Summary:
    """The evaluator's verdicts over a whole experiment, for `summary_evaluators=[...]`.

    Feedback on the experiment: `<key>.success_rate` (a crash counts), `<key>.pass_hat_<k>`
    where every example has at least k repetitions (those left out are named in the rate's
    comment), and `<key>.completed_only` where runs crashed, to be read beside the rate only.

    Args:
        evaluator: Its verdicts are reused by run id; it is asked for runs that it has not seen.
        k: How many repetitions must all pass.

    Returns:
        A function of `(runs, examples)`. LangSmith rounds what it stores to 4 digits.

    Raises:
        PolicyError: `evaluator` is not from `e2e_evaluator`, or a k is below 1.
    """
    if not isinstance(evaluator, E2EEvaluator):
        raise PolicyError(f"e2e_summary takes what e2e_evaluator returned, not {evaluator!r}")
    wanted = sorted(set(k))
    if any(not isinstance(each, int) or each < 1 for each in wanted):
        raise PolicyError(f"e2e_summary: k={tuple(wanted)}; each counts repetitions, from 1")

    def e2e_summary(
        runs: Sequence[Any], examples: Sequence[Example]
    ) -> dict[str, list[EvaluationResult]]:
        pairs = list(zip(runs, examples, strict=True))
        judged = [evaluator.judged(run, example) for run, example in pairs]
        of = [_example_id(run, example) for run, example in pairs]
        return {"results": _summed(evaluator.key, judged, of, wanted)}

    return e2e_summary


def _summed(
    key: str, judged: Sequence[Judged], of: Sequence[Hashable], wanted: Sequence[int]
) -> list[EvaluationResult]:
    counts = trials((example, j.passed) for example, j in zip(of, judged, strict=True))
    if not counts:
        return []
    rate = clustered_rate(counts)
    words = [f"{rate.successes} of {rate.n} runs did their job: {percent(rate)}"]
    crashed = sum(j.value == "error" for j in judged)
    failed = sum(j.value == "goal_error" for j in judged)
    if crashed:
        words.append(f"{crashed} crashed, counted as failed")
    if failed:
        words.append(f"the goal failed on {failed}, counted as failed")
    results = []
    for each in wanted:
        if each > fewest(counts):
            words.append(f"pass^{each} is left out: an example has {fewest(counts)} repetitions")
        else:
            share = pass_hat_k(counts, each)
            comment = (
                f"pass^{each} over {len(counts)} examples: so many runs of one all pass, unbiased"
            )
            results.append(
                _SummaryResult(key=f"{key}.pass_hat_{each}", score=share, comment=comment)
            )
    if 0 < crashed < rate.n:
        share = rate.successes / (rate.n - crashed)
        comment = f"without those that crashed ({crashed}): not the success rate"
        results.append(_SummaryResult(key=f"{key}.completed_only", score=share, comment=comment))
    comment = clean("; ".join(words)) or ""
    log.info("%s: %s", key, comment)
    first = _SummaryResult(key=f"{key}.success_rate", score=rate.value, comment=comment)
    return [first, *results]


def _example_id(run: Any, example: Example | None) -> Hashable:
    found: Hashable = run.reference_example_id if example is None else example.id
    return found or run.id
