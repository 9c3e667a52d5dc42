"""The exact prediction against the closed form, every path, and a simulator."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coord_plugins.planning import (
    EdgeRates,
    Prediction,
    StepRates,
    closed_block,
    cost_variance,
    predict,
    sticky_block,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Choose = Callable[[Sequence[float]], int]

NAMES = ("a", "b", "c", "d", "e", "f")
OUTCOMES = ("success", "silent", "escalated_good", "escalated_bad", "error")
VALIDATION_COST = 0.2
"""Cost of one verdict; a call costs 1."""


def six(right: float = 0.97) -> list[StepRates]:
    """Return six equal steps that never raise."""
    return [StepRates(name=name, right=right) for name in NAMES]


def edge(step: int, s: float, t: float, m: int, *targets: int, **others: Any) -> EdgeRates:
    """Return an edge of `NAMES` by index."""
    return EdgeRates(
        step=NAMES[step],
        sensitivity=s,
        specificity=t,
        targets=tuple(NAMES[target] for target in targets),
        max_attempts=m,
        **{"cost": VALIDATION_COST, **others},
    )


def total(found: Prediction) -> float:
    """Add up the probabilities of the outcomes."""
    return found.success + found.silent + found.escalated + found.error


# --------------------------------------------------------------------- the closed form, identities

RATE = st.one_of(st.just(0.0), st.just(1.0), st.floats(0.001, 0.999))


@given(p=RATE, s=RATE, t=RATE, m=st.integers(1, 9))
def test_closed_form_is_the_chain_of_an_in_place_block(
    p: float, s: float, t: float, m: int
) -> None:
    """Both ways to compute one step with an in-place edge agree in every number."""
    closed = closed_block(p, s, t, m)
    chain = predict([StepRates(name="a", right=p)], [edge(0, s, t, m, cost=0.0)])
    for name in (*OUTCOMES, "cost"):
        assert getattr(chain, name) == pytest.approx(getattr(closed, name), abs=1e-9), name


@given(p=RATE, s=RATE, t=RATE, r=RATE, m=st.integers(1, 9))
def test_closed_form_is_the_formula(p: float, s: float, t: float, r: float, m: int) -> None:
    """The loop over attempts is the geometric series of the docstring."""
    rho1, rho = p * (1 - t) + (1 - p) * s, r * (1 - t) + (1 - r) * s
    repeats = rho1 * (m - 1 if rho == 1.0 else (1 - rho ** (m - 1)) / (1 - rho))
    found = closed_block(p, s, t, m, r)
    assert found.success == pytest.approx(t * (p + repeats * r), abs=1e-9)
    assert found.silent == pytest.approx((1 - s) * ((1 - p) + repeats * (1 - r)), abs=1e-9)
    assert found.escalated == pytest.approx(rho1 * rho ** (m - 1), abs=1e-9)
    assert found.cost == pytest.approx(1 + repeats, abs=1e-9)


@given(p=RATE, s=RATE, t=RATE, r=RATE, m=st.integers(1, 9))
def test_closed_form_sums_to_one(p: float, s: float, t: float, r: float, m: int) -> None:
    """Nothing is lost when repeats differ from the first execution either."""
    assert total(closed_block(p, s, t, m, r)) == pytest.approx(1.0, abs=1e-9)


@given(p=st.floats(0.01, 1), sticky=RATE, s=RATE, t=RATE)
def test_sticky_errors_lower_the_success_of_the_second_attempt(
    p: float, sticky: float, s: float, t: float
) -> None:
    """Two attempts in place: after a wrong first, (1 - sticky) * p; after a right one, p."""
    steps = [StepRates(name="a", right=p, sticky=sticky)]
    after_wrong = (1 - p) * s * (1 - sticky) * p
    after_right = p * (1 - t) * p
    found = predict(steps, [edge(0, s, t, 2, feedback=False)])
    assert found.success == pytest.approx(t * (p + after_wrong + after_right), abs=1e-12)
    told = predict(steps, [edge(0, s, t, 2)])
    assert told.success == pytest.approx(closed_block(p, s, t, 2).success, abs=1e-12)


@st.composite
def plans(draw: st.DrawFn) -> tuple[list[StepRates], list[EdgeRates]]:
    """Draw any pipeline of up to four steps with any edges."""
    n = draw(st.integers(1, 4))
    share = st.floats(0, 1 / 3)
    steps = [
        StepRates(
            name=NAMES[i],
            right=draw(RATE),
            transient=draw(share),
            fatal=draw(share),
            invalid=draw(share),
            sticky=draw(RATE),
            tries=draw(st.integers(1, 3)),
            cost=draw(st.floats(0, 5)),
        )
        for i in range(n)
    ]
    edges = []
    for i in range(n):
        targets = draw(st.lists(st.integers(0, i), max_size=3))
        if draw(st.booleans()):
            m = len(targets) + draw(st.integers(1, 2))
            edges.append(
                edge(
                    i,
                    draw(RATE),
                    draw(RATE),
                    m,
                    *targets,
                    sensitivity_upstream=draw(st.none() | RATE),
                    feedback=draw(st.booleans()),
                )
            )
    return steps, edges


@settings(deadline=None)
@given(plan=plans())
def test_outcomes_sum_to_one(plan: tuple[list[StepRates], list[EdgeRates]]) -> None:
    """Every run ends in one outcome, whatever the plan."""
    found = predict(*plan)
    assert total(found) == pytest.approx(1.0, abs=1e-9)
    assert all(getattr(found, name) >= 0 for name in OUTCOMES)


def test_without_edges() -> None:
    """Errors multiply, a call that can not be parsed is an error, later steps are not paid."""
    steps = [
        StepRates(name="a", right=0.9, transient=0.1, fatal=0.02, invalid=0.03, tries=2, cost=2.0),
        StepRates(name="b", right=0.8, cost=5.0),
    ]
    found = predict(steps)
    reached = 0.85 * 1.1
    assert found.success == pytest.approx(reached * 0.9 * 0.8)
    assert found.silent == pytest.approx(reached * (1 - 0.9 * 0.8))
    assert found.error == pytest.approx(0.1**2 + 1.1 * (0.02 + 0.03))
    assert found.cost == pytest.approx(1.1 * 2.0 + reached * 5.0)
    assert found.escalated == 0.0


def test_steps_that_always_raise() -> None:
    """Certain transient errors use all tries and leave nothing."""
    found = predict([StepRates(name="a", right=1.0, transient=1.0, tries=4)])
    assert (found.error, found.cost, found.success) == (1.0, 4.0, 0.0)


def test_unparsable_reply_is_a_rejection_that_no_validator_is_paid_for() -> None:
    """With an edge it costs an attempt; the last one escalates as bad, even past a blind check."""
    steps = [StepRates(name="a", right=1.0, invalid=0.25)]
    found = predict(steps, [edge(0, 0.0, 1.0, 2)])
    assert found.success == pytest.approx(0.9375)
    assert found.escalated_bad == pytest.approx(0.0625)
    assert found.escalated_good == 0.0
    assert found.cost == pytest.approx(1.25 + VALIDATION_COST * 0.9375)


def test_upstream_sensitivity_forms_agree() -> None:
    """A rate, the same rate by step and none (own sensitivity) are one when they say the same."""
    ladder = (2, 1, 0)
    forms: tuple[Any, ...] = (0.9, {"a": 0.9, "b": 0.9}, {"a": 0.9}, {}, None)
    found = [
        predict(six()[:3], [edge(2, 0.9, 0.97, 4, *ladder, sensitivity_upstream=form)])
        for form in forms
    ]
    assert all(prediction == found[0] for prediction in found)
    blind = predict(six()[:3], [edge(2, 0.9, 0.97, 4, *ladder, sensitivity_upstream=0.0)])
    assert blind.silent > found[0].silent + 0.04


def test_many_attempts_need_no_recursion() -> None:
    """Hundreds of attempts on crossing ladders reach the limit of the endless loop."""
    found = predict(six(), [edge(i, 0.9, 0.97, 300, i, 0) for i in range(6)])
    assert found.escalated < 1e-12
    assert total(found) == pytest.approx(1.0, abs=1e-9)


# ------------------------------------------------------------- one run, written without the chain


class Run:
    """Walks one run event by event, on contents that remember where they went wrong."""

    def __init__(
        self, steps: Sequence[StepRates], edges: Sequence[EdgeRates], choose: Choose
    ) -> None:
        """Take a `choose(weights)` that returns the index of what happens."""
        self.steps, self.choose = steps, choose
        self.place = {step.name: i for i, step in enumerate(steps)}
        self.edges = {self.place[e.step]: e for e in edges}
        self.rejections = dict.fromkeys(self.edges, 0)
        self.told: dict[int, set[int]] = {}  # edge -> steps its latest feedback names
        self.stuck: set[int] = set()
        self.born: list[int | None] = [None] * len(steps)  # first wrong step in each output
        self.cost = 0.0

    def result(self) -> tuple[str, float]:
        """Run to the end; return the outcome and what it cost."""
        now = 0
        while now < len(self.steps):
            reply = self.call(self.steps[now])
            if reply == "error" or (reply == "invalid" and now not in self.edges):
                return "error", self.cost
            if reply == "content":
                self.write(now)
            if now not in self.edges or (reply == "content" and self.passes(now)):
                self.rejections[now] = 0
                self.told.pop(now, None)
                now += 1
                continue
            e = self.edges[now]
            self.rejections[now] += 1
            if self.rejections[now] == e.max_attempts:
                good = reply == "content" and self.born[now] is None
                return "escalated_good" if good else "escalated_bad", self.cost
            ladder = e.targets or (e.step,)
            target = self.place[ladder[min(self.rejections[now], len(ladder)) - 1]]
            if e.feedback:
                self.told[now] = {target, now}
            now = target
        return "success" if self.born[-1] is None else "silent", self.cost

    def call(self, step: StepRates) -> str:
        """Call until something else than a transient error happens."""
        for _ in range(step.tries):
            self.cost += step.cost
            content = 1 - step.transient - step.fatal - step.invalid
            what = self.choose([content, step.transient, step.fatal, step.invalid])
            if what != 1:
                return ("content", "", "error", "invalid")[what]
        return "error"

    def write(self, now: int) -> None:
        """Make the content of a step from the content before it."""
        if any(now in named for named in self.told.values()):
            self.stuck.discard(now)
        before = self.born[now - 1] if now else None
        self.born[now] = before
        if before is not None:
            return
        step = self.steps[now]
        wrong = 1 - step.right
        what = 2
        if now not in self.stuck:
            what = self.choose([step.right, wrong * (1 - step.sticky), wrong * step.sticky])
        self.born[now] = now if what else None
        if what == 2:
            self.stuck.add(now)

    def passes(self, now: int) -> bool:
        """Judge the content of a step."""
        e, born = self.edges[now], self.born[now]
        self.cost += e.cost
        if born is None:
            reject = 1 - e.specificity
        elif born == now or e.sensitivity_upstream is None:
            reject = e.sensitivity
        else:
            assert isinstance(e.sensitivity_upstream, float)
            reject = e.sensitivity_upstream
        return self.choose([1 - reject, reject]) == 0


class Branch:
    """One of the possible runs: takes the given choices, then the first possible ones."""

    def __init__(self, prefix: tuple[int, ...]) -> None:
        """Take the choices to begin with."""
        self.prefix = prefix
        self.trail: tuple[int, ...] = ()
        self.weight = 1.0
        self.others: list[tuple[int, ...]] = []  # prefixes of the paths that branch off

    def choose(self, weights: Sequence[float]) -> int:
        """Return the choice of this path; note the ones that it leaves to others."""
        if len(self.trail) < len(self.prefix):
            pick = self.prefix[len(self.trail)]
        else:
            pick, *others = (i for i, weight in enumerate(weights) if weight > 0)
            self.others.extend((*self.trail, other) for other in others)
        self.trail += (pick,)
        self.weight *= weights[pick]
        return pick


def every_path(
    steps: Sequence[StepRates], edges: Sequence[EdgeRates]
) -> Iterator[tuple[str, float, float]]:
    """Yield outcome, cost and probability of each possible run."""
    prefixes: list[tuple[int, ...]] = [()]
    while prefixes:
        branch = Branch(prefixes.pop())
        outcome, cost = Run(steps, edges, branch.choose).result()
        prefixes.extend(branch.others)
        yield outcome, cost, branch.weight


SURE = StepRates(name="?", right=1.0)
STUCK = StepRates(name="?", right=0.6, sticky=0.7)
PARSED = StepRates(name="?", right=0.7, sticky=0.8, invalid=0.1)
RAISES = StepRates(name="?", right=0.8, transient=0.2, fatal=0.05, invalid=0.1, tries=2, cost=3.0)
SMALL_PLANS: dict[str, tuple[list[StepRates], list[EdgeRates]]] = {
    "one step, ladder of one": ([STUCK], [edge(0, 0.8, 0.9, 4)]),
    "tries, fatal and invalid": ([RAISES], [edge(0, 0.8, 0.9, 3)]),
    "invalid, then back past it": (
        [PARSED, PARSED],
        [edge(1, 0.8, 0.9, 3, 1, 0, sensitivity_upstream=0.5)],
    ),
    "nested loops": ([STUCK, STUCK], [edge(0, 0.8, 0.9, 2), edge(1, 0.8, 0.9, 3, 1, 0)]),
    "a middle step is not named": (
        [STUCK, STUCK, STUCK],
        [edge(2, 0.8, 0.9, 3, 0, sensitivity_upstream=0.6)],
    ),
    "a rung is no longer named": ([STUCK, STUCK, SURE], [edge(2, 0.8, 0.9, 3, 1, 0)]),
    "named from further on": (
        [STUCK, SURE, SURE],
        [edge(1, 0.8, 0.9, 2, 0), edge(2, 0.8, 1, 3, 0)],
    ),
    "named on wrong input": ([STUCK, STUCK, SURE], [edge(1, 0.5, 1, 2), edge(2, 0.8, 1, 3, 0)]),
    "crossing loops": (
        [STUCK, STUCK, STUCK],
        [edge(1, 0.8, 1.0, 2, 0, sensitivity_upstream=0.6), edge(2, 0.8, 0.9, 2, 1)],
    ),
}


DELIVERED = {"all": slice(None), "none": slice(0), "first": slice(1), "last": slice(-1, None)}
"""Which edges deliver their feedback."""


@pytest.mark.parametrize("delivered", DELIVERED)
@pytest.mark.parametrize("name", SMALL_PLANS)
def test_every_path_of_small_plans(name: str, delivered: str) -> None:
    """All runs of a small plan, one by one, add up to the prediction."""
    rates, edges = SMALL_PLANS[name]
    steps = [replace(step, name=NAMES[i]) for i, step in enumerate(rates)]
    told = edges[DELIVERED[delivered]]
    edges = [replace(e, feedback=e in told) for e in edges]
    sums = dict.fromkeys((*OUTCOMES, "cost"), 0.0)
    for outcome, cost, weight in every_path(steps, edges):
        sums[outcome] += weight
        sums["cost"] += weight * cost
    found = predict(steps, edges)
    for key, value in sums.items():
        assert getattr(found, key) == pytest.approx(value, abs=1e-11), key


@pytest.mark.parametrize("delivered", DELIVERED)
@pytest.mark.parametrize("name", SMALL_PLANS)
def test_the_variance_of_the_cost_is_that_of_every_path(name: str, delivered: str) -> None:
    """Weighted with their probabilities, the costs of all runs have this variance."""
    rates, edges = SMALL_PLANS[name]
    steps = [replace(step, name=NAMES[i]) for i, step in enumerate(rates)]
    told = edges[DELIVERED[delivered]]
    edges = [replace(e, feedback=e in told) for e in edges]
    paths = [(weight, cost) for _, cost, weight in every_path(steps, edges)]
    mean = sum(weight * cost for weight, cost in paths)
    variance = sum(weight * (cost - mean) ** 2 for weight, cost in paths)
    assert cost_variance(steps, edges) == pytest.approx(variance, abs=1e-5 * mean**2)


def test_the_variance_of_a_free_pipeline() -> None:
    assert cost_variance([replace(step, cost=0.0) for step in six()]) == 0.0


@pytest.mark.parametrize("feedback", [True, False])
def test_simulation_of_crossing_ladders(*, feedback: bool) -> None:
    """Simulate a plan too large to enumerate: it agrees within five standard errors."""
    steps = [
        StepRates(name="a", right=0.9, sticky=0.5, transient=0.1, tries=2),
        StepRates(name="b", right=0.8, sticky=0.8, invalid=0.05, cost=2.0),
        StepRates(name="c", right=0.85, sticky=0.6, transient=0.2, fatal=0.01, tries=3),
        StepRates(name="d", right=0.9, sticky=0.3, invalid=0.1, transient=0.05, tries=2),
    ]
    told = {"feedback": feedback}
    edges = [
        edge(1, 0.8, 0.95, 4, 1, 0, sensitivity_upstream=0.5, **told),
        edge(2, 0.7, 0.9, 3, 1, sensitivity_upstream=0.6, **told),
        edge(3, 0.85, 0.92, 5, 3, 2, 0, sensitivity_upstream=0.75, **told),
    ]
    found = predict(steps, edges)
    source = random.Random(20240611)
    n = 40_000

    def choose(weights: Sequence[float]) -> int:
        return source.choices(range(len(weights)), weights)[0]

    runs = [Run(steps, edges, choose).result() for _ in range(n)]
    for name in OUTCOMES:
        expected = getattr(found, name)
        seen = sum(outcome == name for outcome, _ in runs) / n
        assert abs(seen - expected) <= 5 * (expected * (1 - expected) / n) ** 0.5, name
    mean = sum(cost for _, cost in runs) / n
    spread = sum((cost - mean) ** 2 for _, cost in runs) / (n - 1)
    assert abs(mean - found.cost) <= 5 * (spread / n) ** 0.5


# ------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("right", 1.2, r"step 'a': right must be a probability in \[0, 1\], not 1.2"),
        ("right", float("nan"), "step 'a': right must be a probability"),
        ("sticky", -0.1, "step 'a': sticky must be a probability"),
        ("transient", 2, "step 'a': transient must be a probability"),
        ("fatal", -1, "step 'a': fatal must be a probability"),
        ("invalid", 1.01, "step 'a': invalid must be a probability"),
        ("tries", 0, "step 'a': tries must be at least 1, not 0"),
        ("cost", -1.0, "step 'a': cost must be finite and not negative"),
        ("cost", float("inf"), "step 'a': cost must be finite and not negative"),
    ],
)
def test_bad_step_rates(field: str, value: Any, message: str) -> None:
    """One error that names the step and the field."""
    with pytest.raises(ValueError, match=message):
        replace(StepRates(name="a", right=0.9), **{field: value})


def test_error_rates_of_a_call_exceed_one() -> None:
    """The ways in which a call ends exclude each other; rounding is no fault."""
    StepRates(name="a", right=1.0, transient=0.7, fatal=0.1, invalid=0.2)
    with pytest.raises(
        ValueError, match=r"step 'a': transient \+ fatal \+ invalid = 1.2 exceeds 1$"
    ):
        StepRates(name="a", right=1.0, transient=0.5, fatal=0.3, invalid=0.4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sensitivity": 1.1}, "edge at 'b': sensitivity must be a probability"),
        ({"specificity": -0.1}, "edge at 'b': specificity must be a probability"),
        ({"sensitivity_upstream": 7}, "edge at 'b': sensitivity_upstream must be a probability"),
        ({"sensitivity_upstream": {"a": 7}}, r"edge at 'b': sensitivity_upstream\['a'\] must be"),
        ({"cost": -1}, "edge at 'b': cost must be finite"),
        ({"max_attempts": 0}, "edge at 'b': max_attempts must be at least 1"),
        (
            {"targets": ("b", "a"), "max_attempts": 2},
            r"edge at 'b': max_attempts=2 never reaches target 'a'; .* max_attempts >= 3",
        ),
    ],
)
def test_bad_edge_rates(changes: dict[str, Any], message: str) -> None:
    """One error that names the edge and the field; an unreachable rung is one."""
    with pytest.raises(ValueError, match=message):
        replace(edge(1, 0.9, 0.9, 2), **changes)


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([replace(edge(1, 1, 1, 2), step="x")], "edge at 'x': there is no such step"),
        ([replace(edge(1, 1, 1, 2), targets=("x",))], "edge at 'b': there is no step 'x' to go"),
        ([edge(1, 1, 1, 2, 2)], "edge at 'b': target 'c' comes after it"),
        ([edge(1, 1, 1, 2), edge(1, 1, 1, 3)], "edge at 'b' is given twice"),
        ([edge(1, 1, 1, 2, sensitivity_upstream={"b": 1.0})], "names 'b', which is not an earlier"),
        ([edge(1, 1, 1, 2, sensitivity_upstream={"x": 1.0})], "names 'x', which is not an earlier"),
    ],
)
def test_edges_that_do_not_fit_the_steps(edges: list[EdgeRates], message: str) -> None:
    """One error that names the edge and what is wrong with it."""
    with pytest.raises(ValueError, match=message):
        predict(six(), edges)


def test_steps_that_are_no_pipeline() -> None:
    """No steps, or one name for two."""
    with pytest.raises(ValueError, match="at least one step"):
        predict([])
    with pytest.raises(ValueError, match="step 'a' is given twice"):
        predict([StepRates(name="a", right=1.0), StepRates(name="a", right=0.5)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.5, 1.0, 1.0, 1), "p must be a probability"),
        ((1.0, 1.0, 1.0, 0), "m must be at least 1"),
        ((1.0, 1.0, 1.0, 1, 2.0), "r must be a probability"),
        ((1.0, 1.0, 1.0, 1, 1.0, 2.0), "r_good must be a probability"),
    ],
)
def test_bad_block(arguments: tuple[Any, ...], message: str) -> None:
    """The closed form names its argument."""
    with pytest.raises(ValueError, match=message):
        closed_block(*arguments)


def test_bad_sticky_block() -> None:
    """More success after a failure than at first is no stickiness."""
    with pytest.raises(ValueError, match="0 < p and r <= p, not p=0.5, r=0.6"):
        sticky_block(0.5, 0.9, 0.9, 2, 0.6)
    with pytest.raises(ValueError, match="0 < p"):
        sticky_block(0.0, 0.9, 0.9, 2, 0.0)
