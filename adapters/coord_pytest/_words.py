"""What is said of a question: in the summary, in a failing test's message, while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_SAID = {"accept": "accepted", "reject": "rejected", "inconclusive": "inconclusive"}


def summary(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Two lines per test.

    Args:
        found: By node id the properties that `properties` made.
    """
    for nodeid, given in found.items():
        said = _SAID.get(given["reliability_verdict"], given["reliability_verdict"])
        observed = "" if given.get("reliability_mode") != "observe" else " (observed)"
        yield f"{said}{observed}  {nodeid}"
        yield f"    {counted(given)}{spent(given)}"
        if "reliability_note" in given:
            yield f"    {given['reliability_note']}"


def counted(given: Mapping[str, Any]) -> str:
    """Trials, interval and question in one line."""
    n, passed = given["reliability_trials"], given["reliability_successes"]
    lost = [
        f"{given[f'reliability_{name}']:,} {word if given[f'reliability_{name}'] != 1 else one}"
        for name, one, word in (
            ("failures", "failure", "failures"),
            ("errors", "error", "errors"),
        )
        if given[f"reliability_{name}"]
    ]
    low, high = given["reliability_low"], given["reliability_high"]
    counts = f"{passed:,} of {n:,} trials passed"
    if lost:
        counts += f" ({', '.join(lost)})"
    above = f"above {points(given['reliability_lower_bound'])} %"
    asked = f"asked: {share(given['reliability_min_success'])}"
    level = share(1 - given["reliability_alpha"])
    return f"{counts}: {above} ({asked}) and in [{points(low)}, {points(high)}] at {level}"


def spent(given: Mapping[str, Any]) -> str:
    """What the trials' recorded runs cost; empty where none was recorded."""
    if not given.get("reliability_runs"):
        return ""
    bound = "at least " if given["reliability_cost_unknown"] else ""
    cost = given["reliability_cost_usd"]
    dollars = f"${cost:,.2f}" if cost >= 1 or cost == 0 else f"${cost:.3g}"
    return f"; {bound}{dollars}, {given['reliability_tokens']:,} tokens"


def share(value: float) -> str:
    """A share in percent."""
    return f"{100 * value:.4g} %"


def points(value: float) -> str:
    """A share in percent without its sign; near 0 and 1 with the digits that tell it from them."""
    if value in (0, 1):
        return f"{100 * value:.0f}"
    digits = 1
    while digits < 9 and round(100 * value, digits) in (0, 100):
        digits += 1
    return f"{100 * value:.{digits}f}"
