"""One step that is repeated in place, without a chain: constant, dependent and sticky repeats."""

from __future__ import annotations

from ._rates import Prediction, check_count, check_probability


def closed_block(
    p: float, s: float, t: float, m: int, r: float | None = None, r_good: float | None = None
) -> Prediction:
    """Compute one step with an in-place edge.

    Where all repeats are alike (`r_good` is `r`) the result is, with rho1 = p(1-t) + (1-p)s,
    rho = r(1-t) + (1-r)s and G = (1 - rho^(m-1)) / (1 - rho):

        success  = t (p + rho1 r G)             silent   = (1-s) ((1-p) + rho1 (1-r) G)
        escalated = rho1 rho^(m-1)              attempts = 1 + rho1 G

    Source: 'reliability of validated pipelines' in docs/numbers.md.

    Args:
        p: Probability that the first execution is right.
        s: Sensitivity: probability that a wrong candidate is rejected.
        t: Specificity: probability that a right candidate is passed.
        m: Attempts, the first included.
        r: Probability that an execution which repeats a wrong one is right; None: as the first.
        r_good: Probability that an execution which repeats a right one is right (it follows a
            false alarm); None: as `r`.

    Returns:
        The outcomes; `cost` is the expected number of attempts.

    Raises:
        ValueError: A rate is no probability, or `m` is below 1.
    """
    r = p if r is None else r
    r_good = r if r_good is None else r_good
    for name, value in {"p": p, "s": s, "t": t, "r": r, "r_good": r_good}.items():
        check_probability(name, value)
    check_count("m", m)
    right, wrong = p, 1.0 - p
    success = silent = attempts = 0.0
    for attempt in range(m):
        attempts += right + wrong
        success += right * t
        silent += wrong * (1.0 - s)
        false_alarms, caught = right * (1.0 - t), wrong * s
        if attempt < m - 1:
            right = false_alarms * r_good + caught * r
            wrong = false_alarms * (1.0 - r_good) + caught * (1.0 - r)
    return Prediction(
        success=success,
        silent=silent,
        escalated_good=false_alarms,
        escalated_bad=caught,
        error=0.0,
        cost=attempts,
    )


def sticky_block(p: float, s: float, t: float, m: int, r: float) -> Prediction:
    """Compute one step with an in-place edge where some tasks always fail.

    A share w of the tasks is never done right, the others are with probability q each time. Both
    follow from what can be seen, first tries that are right (p) and repeats of wrong ones that
    are (r): q = 1 - r(1-p)/p and w = 1 - p/q. The result is the mean of two blocks.

    Args:
        p: Probability that the first execution is right, over all tasks; above 0.
        s: As for `closed_block`.
        t: As for `closed_block`.
        m: As for `closed_block`.
        r: Probability that the second execution is right after a wrong first one, at most `p`.

    Returns:
        The outcomes; `cost` is the expected number of attempts.

    Raises:
        ValueError: A rate is no probability, `m` is below 1, `p` is 0, or `r` exceeds `p`.
    """
    check_probability("p", p)
    check_probability("r", r)
    if p == 0.0 or r > p:
        raise ValueError(f"sticky tasks need 0 < p and r <= p, not p={p}, r={r}")
    q = 1.0 - r * (1.0 - p) / p
    hard = 1.0 - p / q
    easy, never = closed_block(q, s, t, m), closed_block(0.0, s, t, m)
    mixed = {
        name: (1.0 - hard) * getattr(easy, name) + hard * getattr(never, name)
        for name in Prediction.__dataclass_fields__
    }
    return Prediction(**mixed)
