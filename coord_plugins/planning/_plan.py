"""`plan`: where to put which edge, for a target or for prices, with what to expect."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from statistics import fmean, pstdev

from .._record import RunRecord
from .._value import Value
from ..errors import PolicyError
from ._chain import predict
from ._choose import Draw, Layout, Question, candidates, choose, ends, filled, layout
from ._estimate import rates_from_runs
from ._evidence import Assumption, PipelineRates, PlannedEdge
from ._expect import expect
from ._limits import bound_of, improvements, why_not
from ._rates import Prediction
from ._types import Alternative, Plan

_RUNS = 1_000
"""What the bands of measurements are for, where nothing was recorded."""
_CHOICE, _REPORT = 400, 1_000
"""Draws to choose on and draws to report."""
_CHOICE_STICKY, _REPORT_STICKY = 100, 300
"""The same where errors recur: the chain is ten times slower then."""


def plan(
    source: PipelineRates | Iterable[RunRecord],
    *,
    target: float | None = None,
    value: Value | None = None,
    confidence: float = 0.9,
    max_attempts: int = 5,
    for_runs: int | None = None,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Plan:
    """Find where to put validation edges, their ladders and attempts.

    With a target: the plan of the least cost whose success is credibly at least that, where a
    run that fails counts as one more run without edges (cost alone would reward giving up
    early). With prices: the plan whose outcomes are worth most, less what it costs. With both:
    the second among those that reach the first.

    Candidates come from the means of the rates and from somewhat worse ones; one is chosen on
    draws from the posterior, and what to expect of it is computed on other draws.

    Args:
        source: What is known of the pipeline, or its recorded runs.
        target: Least probability of success, in (0, 1).
        value: What outcomes are worth, in the unit of the costs.
        confidence: How credible it must be that the target is reached, in (0, 1).
        max_attempts: Most candidates of one edge, the first included.
        for_runs: How many runs a later measurement will have; default: as many as were
            recorded, else 1,000.
        seed: Of the draws: the same seed gives the same plan.
        progress: Called with a growing count of evaluated plans.

    Raises:
        PolicyError: Neither target nor value, a number out of range, or rates that can not be
            known from the runs (see `rates_from_runs`).
    """
    _check(target, value, confidence, max_attempts, for_runs)
    rates = source if isinstance(source, PipelineRates) else rates_from_runs(source)
    done = 0

    def count(n: int) -> None:
        nonlocal done
        done += n
        if progress is not None:
            progress(done)

    warnings = list(rates.warnings)
    if value is not None and rates.unit == "executions":
        warnings.append("prices are in dollars and no cost is recorded: the work is taken as free")
        rates = _free(rates)
    again = predict(rates.mean()[0]).cost
    prices = value or Value(success=0.0, escalation_cost=again, silent_cost=again)
    asked = Question(target, confidence, value, max_attempts, prices)
    choice, report = _draws(rates, seed)
    plans = candidates(rates, asked, count)
    places = choose(plans, rates, asked, choice, count)
    runs = for_runs or rates.runs or _RUNS
    weighed = _weighed(rates, places, asked, report, runs, seed, count)
    chosen, successes = weighed[-1]
    bound = bound_of(rates, places)
    reached = asked.target is None or (chosen.credibility or 0.0) >= confidence
    expected = chosen.expected.success.mean, pstdev(successes), chosen.credibility or 0.0
    return Plan(
        pipeline=rates.pipeline,
        target=target,
        confidence=confidence,
        value=value,
        reached=reached,
        why_not=None if reached else why_not(rates, places, asked, bound, expected),
        placements=chosen.edges,
        expected=chosen.expected,
        credibility=chosen.credibility,
        alternatives=tuple(one for one, _ in weighed),
        bound=bound,
        improvements=improvements(rates, places, asked),
        assumptions=(*rates.assumptions, *_more_assumptions(rates)),
        warnings=tuple(warnings),
        for_runs=runs,
        unit=rates.unit,
        seed=seed,
        rates=rates,
    )


def _check(
    target: float | None,
    value: Value | None,
    confidence: float,
    max_attempts: int,
    for_runs: int | None,
) -> None:
    if target is None and value is None:
        raise PolicyError("plan: give a target, for example target=0.99, or prices: value=Value()")
    for name, share in {"target": target, "confidence": confidence}.items():
        if share is not None and not 0.0 < share < 1.0:
            raise PolicyError(f"plan: {name}={share!r}; it is a share between 0 and 1")
    if max_attempts < 1:
        raise PolicyError(f"plan: max_attempts={max_attempts}; it counts the first, so at least 1")
    if for_runs is not None and for_runs < 1:
        raise PolicyError(f"plan: for_runs={for_runs}; it is at least 1")


def _free(rates: PipelineRates) -> PipelineRates:
    """The same pipeline, at no cost."""
    steps = tuple(replace(s, cost=replace(s.cost, mean=0.0, error=0.0)) for s in rates.steps)
    return replace(rates, steps=steps, unit="US dollars")


def _draws(rates: PipelineRates, seed: int) -> tuple[list[Draw], list[Draw]]:
    """Draws to choose on and, from another stream, draws to report."""
    if rates.certain:
        return [rates.mean()], [rates.mean()]
    sizes = (_CHOICE_STICKY, _REPORT_STICKY) if rates.sticky else (_CHOICE, _REPORT)
    streams = [random.Random(f"{seed}:{name}") for name in ("choose", "report")]
    choice, report = (
        [rates.draw(stream) for _ in range(size)]
        for stream, size in zip(streams, sizes, strict=True)
    )
    return choice, report


def _weighed(
    rates: PipelineRates,
    places: Layout,
    asked: Question,
    draws: Sequence[Draw],
    runs: int,
    seed: int,
    count: Callable[[int], None],
) -> list[tuple[Alternative, list[float]]]:
    """No edges, the present ones and the plan, on the same draws, each with its successes."""
    names: list[tuple[str, Layout]] = [("no edges", ())]
    if rates.present:
        names.append(("present", layout(rates.present)))
    names.append(("plan", places))
    known: dict[Layout, list[Prediction]] = {}
    weighed = []
    for name, where in names:
        if where not in known:
            known[where] = ends(where, draws)
            count(len(draws))
        found = known[where]
        reach = None
        if asked.target is not None:
            reach = fmean(one.success >= asked.target - 1e-12 for one in found)
        expected = expect(rates, where, found, asked, runs, random.Random(f"{seed}:measure"))
        made = Alternative(
            name=name, edges=_placed(rates, where), expected=expected, credibility=reach
        )
        weighed.append((made, [one.success for one in found]))
    return weighed


def _placed(rates: PipelineRates, places: Layout) -> tuple[PlannedEdge, ...]:
    names = {s.name: s.validator.names if s.validator else () for s in rates.steps}
    return tuple(
        PlannedEdge(step=step, back_to=targets, max_attempts=attempts, validators=names[step])
        for step, targets, attempts in places
    )


def _more_assumptions(rates: PipelineRates) -> tuple[Assumption, ...]:
    """What the rates themselves say: whether the model fits what was recorded."""
    found: list[Assumption] = []
    if not rates.runs:
        given = Assumption(name="the rates are right", holds=None, says="they come from a file")
        return (given,)
    if rates.success is not None and rates.present is not None:
        from ..stats import wilson

        steps, judges = rates.mean()
        said = predict(steps, filled(layout(rates.present), judges)).success
        n = rates.success.yes + rates.success.no
        low, high = wilson(rates.success.yes, n, 0.99)
        found.append(
            Assumption(
                name="the model fits the recorded runs",
                holds=low <= said <= high,
                says=f"it expects {100 * said:.1f} % success of what was attached; "
                f"{rates.success.yes:,.0f} of {n:,.0f} did ({100 * rates.success.yes / n:.1f} %)",
            )
        )
    found.append(
        Assumption(
            name="a validator's errors are independent of each other",
            holds=None,
            says="not testable from counts; a deterministic one repeats its verdict",
        )
    )
    return tuple(found)
