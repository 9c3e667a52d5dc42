"""The algebra is the exact chain, wherever loops do not cross."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coord_plugins.planning import (
    EdgeRates,
    StepRates,
    Transfer,
    block_transfer,
    join,
    loop,
    predict,
    series,
    step_transfer,
)

RATE = st.one_of(st.just(0.0), st.just(1.0), st.floats(0.001, 0.999))
NAMES = ("a", "b", "c", "d")


@st.composite
def steps(draw: st.DrawFn, n: int) -> list[StepRates]:
    share = st.floats(0.0, 0.3)
    return [
        StepRates(
            name=NAMES[i],
            right=draw(RATE),
            transient=draw(share),
            fatal=draw(share),
            invalid=draw(share),
            tries=draw(st.integers(1, 3)),
            cost=draw(st.floats(0.0, 3.0)),
        )
        for i in range(n)
    ]


@st.composite
def pipelines(draw: st.DrawFn) -> tuple[list[StepRates], list[EdgeRates]]:
    """Blocks side by side, each judged at its end or not at all."""
    n = draw(st.integers(1, 4))
    rates = draw(steps(n))
    edges, first = [], 0
    while first < n:
        last = draw(st.integers(first, n - 1))
        if draw(st.booleans()):
            m = draw(st.integers(1, 4))
            edges.append(
                EdgeRates(
                    step=NAMES[last],
                    sensitivity=draw(RATE),
                    specificity=draw(RATE),
                    sensitivity_upstream=draw(RATE),
                    targets=(NAMES[first],) if m > 1 else (),
                    max_attempts=m,
                    cost=draw(st.floats(0.0, 2.0)),
                )
            )
        first = last + 1
    return rates, edges


def composed(rates: list[StepRates], edges: list[EdgeRates]) -> Transfer:
    """The same pipeline from parts."""
    place = {step.name: i for i, step in enumerate(rates)}
    parts, at = [], 0
    for e in edges:
        first = place[e.targets[0] if e.targets else e.step]
        parts += [step_transfer(step) for step in rates[at:first]]
        parts.append(block_transfer(rates[first : place[e.step] + 1], e, e.max_attempts))
        at = place[e.step] + 1
    return series(*parts, *(step_transfer(step) for step in rates[at:]))


@settings(deadline=None)
@given(pipeline=pipelines())
def test_the_algebra_is_the_chain(pipeline: tuple[list[StepRates], list[EdgeRates]]) -> None:
    """To 1e-12, with crashes, unreadable replies, and own sensitivities for errors upstream."""
    found, whole = predict(*pipeline), composed(*pipeline)
    scale = max(1.0, found.cost)
    assert whole.success == pytest.approx(found.success, abs=1e-12)
    assert whole.silent == pytest.approx(found.silent, abs=1e-12)
    assert whole.escalated == pytest.approx(found.escalated, abs=1e-12)
    assert whole.xg == pytest.approx(found.error, abs=1e-12)
    assert whole.cg == pytest.approx(found.cost, abs=1e-12 * scale)


@settings(deadline=None)
@given(rates=steps(3), s=RATE, t=RATE, m=st.integers(1, 4), inner=st.integers(1, 3))
def test_a_loop_inside_a_loop(
    rates: list[StepRates], s: float, t: float, m: int, inner: int
) -> None:
    """An edge over a block that has an edge inside."""
    rates = [replace(step, invalid=0.0) for step in rates]
    common = {"sensitivity": s, "specificity": t, "cost": 0.3}
    small = EdgeRates(step="b", max_attempts=inner, **common)
    large = EdgeRates(step="c", max_attempts=m, targets=("a",) if m > 1 else (), **common)
    before = [] if m > 1 else [step_transfer(rates[0])]
    inside = block_transfer(rates[1:2], small, inner)
    if m == 1:
        whole = series(*before, inside, block_transfer(rates[2:], large, 1))
    else:
        body = series(step_transfer(rates[0]), inside, step_transfer(rates[2]))
        whole = loop(body, max_attempts=m, **common)
    found = predict(rates, [small, large])
    assert whole.success == pytest.approx(found.success, abs=1e-12)
    assert whole.silent == pytest.approx(found.silent, abs=1e-12)
    assert whole.escalated == pytest.approx(found.escalated, abs=1e-12)
    assert whole.cg == pytest.approx(found.cost, abs=1e-11)


def test_a_wrong_entry() -> None:
    """The closed form: wrong out 1 - s^m, escalated s^m, attempts (1 - s^m)/(1 - s)."""
    body = Transfer(gg=0.9, gb=0.1, bb=1.0, cg=1.0, cb=1.0)
    found = loop(body, sensitivity=0.8, specificity=0.95, max_attempts=3, upstream=0.7)
    assert found.bb == pytest.approx(1 - 0.7**3)
    assert found.cb == pytest.approx((1 - 0.7**3) / (1 - 0.7))


def test_repeats_that_are_worse_than_the_first() -> None:
    """The golden block with r = 0.5."""
    first, later = (Transfer(gg=p, gb=1 - p, bb=1.0, cg=1.0, cb=1.0) for p in (0.97, 0.5))
    found = loop(first, again=later, sensitivity=0.9, specificity=0.97, max_attempts=3, cost=0.2)
    assert found.success == pytest.approx(0.9807604525, abs=1e-12)
    assert found.silent == pytest.approx(0.007109325, abs=1e-12)
    assert found.cg == pytest.approx(1.2 * 1.0821865, abs=1e-12)


def test_branches_that_join() -> None:
    """The published S of two validated branches between two steps is met by enumeration."""
    branch = Transfer(gg=0.9, gb=0.05, bb=0.8, cg=2.0, cb=1.0, xg=0.02, lg=3.0, lb=1.0)
    other = Transfer(gg=0.8, gb=0.2, bb=1.0, cg=1.0, cb=1.0, lg=4.0, lb=0.5)
    found = join(branch, other)
    assert found.gg == pytest.approx(0.72)
    assert found.gb == pytest.approx(0.9 * 0.2 + 0.05 * 0.8 + 0.05 * 0.2)
    assert found.bb == pytest.approx(0.8)
    assert (found.cg, found.cb) == (3.0, 2.0)
    assert (found.lg, found.lb) == (4.0, 1.0)
    assert found.xg == pytest.approx(0.02)
    assert found.escalated == pytest.approx(0.03)
    with pytest.raises(ValueError, match="at least one branch"):
        join()


def test_time_adds_up_like_cost() -> None:
    slow = step_transfer(StepRates(name="a", right=0.9, transient=0.5, tries=2, cost=2.0), time=4.0)
    assert slow.lg == pytest.approx(6.0)
    assert slow.cg == pytest.approx(3.0)
    found = loop(slow, sensitivity=1.0, specificity=1.0, max_attempts=2, time=1.0)
    assert found.lg == pytest.approx((6.0 + 0.75) * (1 + 0.75 * 0.1))


def test_what_the_algebra_can_not_do() -> None:
    with pytest.raises(ValueError, match="step 'a': sticky errors need"):
        step_transfer(StepRates(name="a", right=0.9, sticky=0.1))
    judge = EdgeRates(
        step="b",
        sensitivity=0.9,
        specificity=0.9,
        max_attempts=1,
        sensitivity_upstream={"a": 0.5},
    )
    rates = [StepRates(name=name, right=0.9) for name in "ab"]
    with pytest.raises(ValueError, match="edge at 'b': a flat plan needs one sensitivity"):
        block_transfer(rates, judge, 2)
    body = Transfer(gg=0.9, gb=0.1, bb=1.0)
    with pytest.raises(ValueError, match="upstream must be a probability"):
        loop(body, sensitivity=1.0, specificity=1.0, max_attempts=1, upstream=2.0)
    with pytest.raises(ValueError, match="max_attempts must be at least 1"):
        loop(body, sensitivity=1.0, specificity=1.0, max_attempts=0)
