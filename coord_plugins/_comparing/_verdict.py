"""What a comparison's intervals allow to conclude, and how many runs would settle the rest."""

from __future__ import annotations

import math

from .._value import Value
from ..stats import normal_quantile, pairs_needed, runs_needed
from ._moments import COST
from ._numbers import Gap, Weights, effective, unit, worth
from ._pairs import Layout
from ._types import Conclusion, CostConclusion, Difference, NetBenefit

POWER = 0.8
"""The chance with which the proposed number of runs settles the question."""
_BOTH = 0.9
"""Power for each end of an interval that is to lie inside the margins: 0.8 for both."""


def concluded(difference: Difference, margin: float) -> Conclusion:
    """What a difference in success says.

    "no_effect" takes an interval inside the margins: a wide one that holds 0 is "too_few".
    """
    low, high = difference.interval
    if low > 0:
        return "better"
    if high < 0:
        return "worse"
    return "no_effect" if -margin <= low and high <= margin else "too_few"


def cost_concluded(gap: Gap, recorded: bool, confidence: float) -> CostConclusion:
    """What the difference in cost per run says."""
    if not recorded:
        return "unknown"
    interval = gap.amount(unit(COST), confidence).interval
    if interval is None or interval[0] <= 0 <= interval[1]:
        return "undecided"
    return "cheaper" if interval[1] < 0 else "dearer"


def more_runs(
    layout: Layout, gap: Gap, difference: Difference, margin: float, alpha: float
) -> int | None:
    """About how many more runs of each side would settle it with 80 % power.

    Either the difference that was seen is real, and shows; or what is left of it up to the margin
    is, and the interval comes to lie inside. The easier of the two counts. None: too few units
    to say.
    """
    d = abs(difference.value)
    sizes = [_runs_for(layout, gap, d, POWER, alpha)] if d > 0 else []
    if d < margin:
        sizes.append(_runs_for(layout, gap, margin - d, _BOTH, alpha))
    known = [size for size in sizes if size is not None]
    have = min(runs.n for runs in layout.kept)
    return max(1, min(known) - have) if known else None


def _runs_for(layout: Layout, gap: Gap, target: float, power: float, alpha: float) -> int | None:
    """Runs of each side that show a difference so large."""
    if layout.pairing == "pairs":
        n = layout.kept[0].n
        unlike = sum(m for (a, b), m in layout.crossed.items() if (a == 0) != (b == 0))
        # one pair more on each side of the scale: no share of unlike pairs is known to be 0
        return pairs_needed(target, max(target, (unlike + 1) / (n + 2)), power, alpha)
    if layout.pairing == "unpaired":
        p1, p2 = (_inside(side.mean[0], side.units) for side in (layout.a, layout.b))
        middle = (p1 + p2) / 2
        low = min(max(middle - target / 2, 0.0), 1.0 - target)
        designs = [
            runs.n / effective(side, runs.n, 0) if layout.clustered else 1.0
            for side, runs in zip((layout.a, layout.b), layout.kept, strict=True)
        ]
        return math.ceil(runs_needed(low, low + target, power, alpha) * max(designs))
    units = layout.between.units
    variance = max(gap.variance(unit(0)), 2 / (units + 2) ** 2)
    return _scaled(min(r.n for r in layout.kept), units, variance, target, power, alpha)


def _inside(share: float, n: int) -> float:
    """A share moved off 0 and 1, where nothing would vary."""
    return (share * n + 1) / (n + 2)


def _scaled(
    runs: int, units: float, variance: float, target: float, power: float, alpha: float
) -> int | None:
    """Runs at which the standard error is small enough to show the target."""
    if units < 2:
        return None
    wanted = (normal_quantile(1 - alpha / 2) + normal_quantile(power)) ** 2
    return math.ceil(runs * wanted * variance / target**2)


def net_benefit(
    layout: Layout, gap: Gap, prices: Value, margin: float, confidence: float
) -> NetBenefit:
    """What B earns more per run at the user's prices, and where that would turn."""
    weights = worth(prices)
    found = gap.amount(weights, confidence)
    value, most = found.value or 0.0, margin * prices.success
    # net benefit is V * (difference in success) + rest, so it is 0 at V = -rest / difference
    minus_rest: Weights = (0.0, *(-w for w in weights[1:]))
    conclusion: Conclusion = "too_few"
    if found.interval is not None:
        low, high = found.interval
        if low > 0 or high < 0:
            conclusion = "better" if low > 0 else "worse"
        elif -most <= low and high <= most:
            conclusion = "no_effect"
    more = None
    if conclusion == "too_few":
        more = _more_at_prices(layout, gap.variance(weights), abs(value), most, 1 - confidence)
    return NetBenefit(
        prices={
            "success": prices.success,
            "escalation_cost": prices.escalation_cost,
            "silent_cost": prices.silent_cost,
            "error_cost": -prices.worth("error"),
        },
        value=value,
        interval=found.interval,
        margin=most,
        flips_at=gap.ratio(minus_rest, unit(0), confidence),
        conclusion=conclusion,
        more=more,
    )


def _more_at_prices(
    layout: Layout, variance: float, value: float, margin: float, alpha: float
) -> int | None:
    """As `more_runs`, for an amount of money."""
    runs = min(kept.n for kept in layout.kept)
    units = min(side.units for side in (layout.a, layout.b))
    found = [_scaled(runs, units, variance, value, POWER, alpha)] if value else []
    if value < margin:
        found.append(_scaled(runs, units, variance, margin - value, _BOTH, alpha))
    known = [size for size in found if size is not None]
    return max(1, min(known) - runs) if known else None
