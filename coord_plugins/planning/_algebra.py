"""Pipelines put together from parts: a 2 x 2 transfer matrix per part, with what it costs.

Errors persist, so a part is known by what it does to a right and to a wrong entry. Composition is
exact for disjoint and nested loops and for branches that join; loops that cross need `predict`.
Source: 'reliability of validated pipelines' in docs/numbers.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ._rates import StepRates, check_cost, check_count, check_probability


@dataclass(frozen=True, kw_only=True, slots=True)
class Transfer:
    """What a part of a pipeline does to one run that enters it."""

    gg: float
    """Probability that a right entry leaves right."""
    gb: float
    """Probability that a right entry leaves wrong."""
    bb: float
    """Probability that a wrong entry leaves; it leaves wrong."""
    cg: float = 0.0
    """Expected cost from a right entry."""
    cb: float = 0.0
    """Expected cost from a wrong entry."""
    xg: float = 0.0
    """Probability that the run ends as error, from a right entry. What is missing to 1 in
    gg + gb + xg is escalated."""
    xb: float = 0.0
    """Probability that the run ends as error, from a wrong entry."""
    lg: float = 0.0
    """Expected time from a right entry, in any unit."""
    lb: float = 0.0
    """Expected time from a wrong entry."""

    @property
    def success(self) -> float:
        """Delivered and right, for a whole pipeline with right input."""
        return self.gg

    @property
    def silent(self) -> float:
        """Delivered and wrong."""
        return self.gb

    @property
    def escalated(self) -> float:
        """The attempts of an edge were spent."""
        return max(0.0, 1.0 - self.gg - self.gb - self.xg)


NOTHING = Transfer(gg=1.0, gb=0.0, bb=1.0)
"""A part that does nothing."""


def step_transfer(step: StepRates, time: float = 0.0) -> Transfer:
    """One step without an edge; a reply that can not be read ends the run as error.

    Args:
        step: Its rates; `sticky` must be 0, as the algebra has no memory.
        time: Expected time of one call.

    Raises:
        ValueError: The step has sticky errors.
    """
    if step.sticky:
        raise ValueError(f"step {step.name!r}: sticky errors need `predict`, not the algebra")
    calls = expected_calls(step)
    content = max(0.0, 1.0 - step.transient - step.fatal - step.invalid) * calls
    return Transfer(
        gg=content * step.right,
        gb=content * (1.0 - step.right),
        bb=content,
        cg=calls * step.cost,
        cb=calls * step.cost,
        xg=max(0.0, 1.0 - content),
        xb=max(0.0, 1.0 - content),
        lg=calls * time,
        lb=calls * time,
    )


def expected_calls(step: StepRates) -> float:
    """Calls of one execution: 1 + transient + ... + transient^(tries-1)."""
    return sum(step.transient**k for k in range(step.tries))


def series(*parts: Transfer) -> Transfer:
    """Parts one after the other."""
    whole = NOTHING
    for part in parts:
        g, b, bb = whole.gg, whole.gb, whole.bb
        whole = Transfer(
            gg=g * part.gg,
            gb=g * part.gb + b * part.bb,
            bb=bb * part.bb,
            cg=whole.cg + g * part.cg + b * part.cb,
            cb=whole.cb + bb * part.cb,
            xg=whole.xg + g * part.xg + b * part.xb,
            xb=whole.xb + bb * part.xb,
            lg=whole.lg + g * part.lg + b * part.lb,
            lb=whole.lb + bb * part.lb,
        )
    return whole


def join(*branches: Transfer) -> Transfer:
    """Branches that start together and are all needed: right only if every one is.

    Costs add up. The time is the largest of the branches' expected times, which is a lower bound
    of the expected time of the slowest. A run in which one branch fails is an error, whatever
    becomes of the others.

    Raises:
        ValueError: No branch is given.
    """
    if not branches:
        raise ValueError("join needs at least one branch")
    right = prod(b.gg for b in branches)
    return Transfer(
        gg=right,
        gb=max(0.0, prod(b.gg + b.gb for b in branches) - right),
        bb=prod(b.bb for b in branches),
        cg=sum(b.cg for b in branches),
        cb=sum(b.cb for b in branches),
        xg=1.0 - prod(1.0 - b.xg for b in branches),
        xb=1.0 - prod(1.0 - b.xb for b in branches),
        lg=max(b.lg for b in branches),
        lb=max(b.lb for b in branches),
    )


def loop(
    body: Transfer,
    *,
    sensitivity: float,
    specificity: float,
    max_attempts: int,
    upstream: float | None = None,
    cost: float = 0.0,
    time: float = 0.0,
    unread: tuple[float, float] = (0.0, 0.0),
    again: Transfer | None = None,
) -> Transfer:
    """A body whose result is judged; a rejection runs the whole body again on its own entry.

    With rho1, rho the share of first and of repeated candidates that is rejected, and N = rho1 *
    (1 + rho + ... + rho^(m-2)) repeats, each end is that of the first candidate plus N times
    that of a repeated one, and rho1 * rho^(m-1) is escalated.

    Args:
        body: What is repeated.
        sensitivity: Probability that a wrong result of a right entry is rejected.
        specificity: Probability that a right result is passed.
        max_attempts: Candidates, the first included; 1 detects only.
        upstream: Probability that the result of a wrong entry is rejected; None: `sensitivity`.
        cost: Of one judgement.
        time: Of one judgement.
        unread: Share of executions, from a right and from a wrong entry, whose reply can not be
            read: rejected without a judgement. They must be missing from `body`'s exits.
        again: The body when it is repeated; None: as the first time.

    Raises:
        ValueError: A rate is no probability, a cost is negative, or `max_attempts` is below 1.
    """
    s, t = sensitivity, specificity
    u = s if upstream is None else upstream
    for name, rate in {"sensitivity": s, "specificity": t, "upstream": u}.items():
        check_probability(name, rate)
    check_count("max_attempts", max_attempts)
    check_cost("cost", cost)
    check_cost("time", time)
    again = body if again is None else again
    rho1 = body.gg * (1.0 - t) + body.gb * s + unread[0]
    rho = again.gg * (1.0 - t) + again.gb * s + unread[0]
    n = rho1 * sum(rho**k for k in range(max_attempts - 1))
    rho1_bad, rho_bad = body.bb * u + unread[1], again.bb * u + unread[1]
    n_bad = rho1_bad * sum(rho_bad**k for k in range(max_attempts - 1))
    shown, shown_again = body.gg + body.gb, again.gg + again.gb
    return Transfer(
        gg=t * (body.gg + n * again.gg),
        gb=(1.0 - s) * (body.gb + n * again.gb),
        bb=(1.0 - u) * (body.bb + n_bad * again.bb),
        cg=body.cg + shown * cost + n * (again.cg + shown_again * cost),
        cb=body.cb + body.bb * cost + n_bad * (again.cb + again.bb * cost),
        xg=body.xg + n * again.xg,
        xb=body.xb + n_bad * again.xb,
        lg=body.lg + shown * time + n * (again.lg + shown_again * time),
        lb=body.lb + body.bb * time + n_bad * (again.lb + again.bb * time),
    )
