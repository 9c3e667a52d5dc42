"""A comparison in words."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ._numbers import FEW
from ._pairs import Layout
from ._types import Amount, Comparison, Difference, NetBenefit, Side

MANY = 0.05
"""Share of finished runs without a label that is worth a warning."""


def answer(found: Comparison) -> str:
    """The comparison in two or three sentences."""
    return " ".join(sentences(found))


def sentences(found: Comparison) -> Iterator[str]:
    """What there is to say, the answer first."""
    a, b = found.a.name, found.b.name
    rates = f"{_share(found.b)} against {_share(found.a)} of runs did their job"
    rates = f"{rates}, {points(found.success, ' points')}."
    margin = f"{100 * found.margin:g} points"
    if found.conclusion == "better":
        small = found.success.interval[1] <= found.margin
        yield f"{b} is better than {a}{f', by less than {margin}' if small else ''}: {rates}"
    elif found.conclusion == "worse":
        yield f"{b} is worse than {a}, it does harm: {rates}"
    elif found.conclusion == "no_effect":
        yield f"No effect: {b} and {a} differ by less than {margin}: {rates}"
    else:
        yield f"Too few runs to tell {b} from {a}: {rates}"
        if found.more is None:
            yield "One task or run says nothing of how they differ."
        else:
            yield f"About {about(found.more)} of each would settle it."
    it = "It" if found.conclusion in ("better", "worse") else b
    yield from _silent(found, it)
    yield from _price(found, it)
    yield from _benefit(found)


def _silent(found: Comparison, it: str) -> Iterator[str]:
    """What is delivered wrong matters most where it goes the other way."""
    low, high = found.silent_failure.interval
    if low > 0 or high < 0:
        which = "more" if low > 0 else "fewer"
        yield f"{it} delivers {which} wrong results: {points(found.silent_failure, ' points')}."


def _price(found: Comparison, it: str) -> Iterator[str]:
    extra, settled = found.cost_per_extra_success, found.conclusion
    spent = f"{money(found.cost_per_run, sign=True)} a run"
    if found.cost_conclusion == "unknown":
        return
    if settled == "better" and found.cost_conclusion == "dearer":
        yield f"An extra success costs {money(extra)}."
    elif settled == "worse" and found.cost_conclusion == "cheaper":
        yield f"A lost success saves {money(extra)}."
    elif found.cost_conclusion == "undecided":
        yield f"Whether it costs more is open: {spent}."
    else:
        alike = (settled, found.cost_conclusion) in (("better", "cheaper"), ("worse", "dearer"))
        less = "less" if found.cost_conclusion == "cheaper" else "more"
        yield f"{it} costs {less}{' too' if alike else ''}: {spent}."


def _benefit(found: Comparison) -> Iterator[str]:
    net = found.net_benefit
    if net is None:
        return
    earned = f"{money(Amount(value=net.value, interval=net.interval), sign=True)} a run"
    if net.conclusion == "no_effect":
        yield f"At your prices they differ by less than {dollars(net.margin)} a run: {earned}."
        return
    if net.conclusion != "too_few":
        yield f"At your prices {found.b.name} is {net.conclusion}: {earned}."
        return
    more = "" if net.more is None else f"; about {about(net.more)} of each would"
    yield f"At your prices the runs do not decide: {earned}{more}."


def _share(side: Side) -> str:
    value = 100 * side.success.value
    return f"{value:.{1 if 0.5 <= value <= 99.5 else 0 if value in (0, 100) else 2}f} %"


def points(difference: Difference, noun: str = "") -> str:
    """A difference of shares in points, with its interval."""
    low, high = difference.interval
    digits = 1 if high - low >= 0.002 else 2
    ends = f"[{100 * low:+.{digits}f}, {100 * high:+.{digits}f}]"
    return f"{100 * difference.value:+.{digits}f}{noun} {ends}"


def money(amount: Amount, *, sign: bool = False, unit: str = "$") -> str:
    """Dollars with their interval."""
    if amount.value is None:
        return "unknown"
    value = dollars(amount.value, sign=sign, unit=unit)
    if amount.interval is None:
        return f"{value}, unbounded"
    low, high = (dollars(end, sign=sign, unit=unit) for end in amount.interval)
    return f"{value} [{low}, {high}]"


def dollars(value: float, *, sign: bool = False, unit: str = "$") -> str:
    """US dollars with as many digits as say something."""
    before = "-" if value < 0 else "+" if sign and value > 0 else ""
    size = abs(value)
    if size < 1e-12:
        return f"{unit}0"
    digits = 2 if size >= 1 else 2 - math.floor(math.log10(size))
    return f"{before}{unit}{size:,.{digits}f}"


def about(n: int) -> str:
    """A number of runs, rounded up to two digits: it rests on an estimate."""
    step = 10 ** max(0, int(math.log10(n)) - 1)
    return f"{math.ceil(n / step) * step:,} more {'run' if n == 1 else 'runs'}"


def warnings_of(found: Comparison, layout: Layout) -> Iterator[str]:
    """What a reader must know before quoting the numbers."""
    for side in (found.a, found.b):
        yield from _about_side(side)
    known = [side for side in (found.a, found.b) if set(side.goal_ids) - {""}]
    vague = [side.name for side in (found.a, found.b) if "" in side.goal_ids]
    if vague and known:
        yield f"whether {' and '.join(vague)} had the same goal is not recorded"
    elif vague:
        yield "which goal judged the runs is not recorded; make sure that it was one"
    yield from _about_pairs(found, layout)


def _about_side(side: Side) -> Iterator[str]:
    finished = side.started - side.in_flight
    if side.unlabelled:
        much = side.unlabelled > MANY * finished
        biased = "; only delivered runs lack one, so its success rate is too low" if much else ""
        yield (
            f"{side.name}: {side.unlabelled:,} of {finished:,} finished runs have no label and "
            f"are left out{biased}"
        )
    if side.self_reported:
        yield (
            f"{side.name}: {side.self_reported:,} runs with self-reported labels are left out "
            f"({side.self_reported_success:,} claim success)"
        )
    for name, counts in (("pipelines", side.pipelines), ("modes", side.modes)):
        if len(counts) > 1:
            yield f"{side.name} pools {len(counts)} {name} ({', '.join(counts)})"
    if len(side.policy_ids) > 1:
        listed = ", ".join(f"{name or '(none)'}: {n:,}" for name, n in side.policy_ids.items())
        yield f"{side.name} pools {len(side.policy_ids)} policies ({listed})"
    if side.cost_unknown:
        yield (
            f"{side.name}: costs are lower bounds, {side.cost_unknown:,} model calls have no price"
        )


def _about_pairs(found: Comparison, layout: Layout) -> Iterator[str]:
    if layout.common is not None:
        tasks = "no task is" if not layout.common else f"only {layout.common:,} tasks are"
        yield f"{tasks} on both sides: too few to pair runs by task; the sides are independent"
    out = found.left_out
    if out is not None:
        yield (
            f"runs without a partner are left out: {_left(found.a.name, out.a_runs, out.a_success)}"
            f", {_left(found.b.name, out.b_runs, out.b_success)}"
        )
    few = layout.between.differing(0)
    if found.pairing == "tasks" and few < FEW:
        yield (
            f"success differs in {few} of {found.tasks:,} tasks only; its interval is approximate"
        )


def _left(name: str, runs: int, success: int) -> str:
    return f"{name} {runs:,} ({success:,} did their job)" if runs else f"{name} none"


def flips(found: Comparison, net: NetBenefit) -> str:
    """At which value of a success the two sides are worth the same."""
    at, gained = net.flips_at, found.success.value
    if at.value is None:
        return "no value of a success changes that: both succeed alike"
    side = found.b.name if gained > 0 else found.a.name
    if at.value <= 0:
        return f"{side} is worth more at any value of a success, other prices as given"
    return f"{side} is worth more where a success is worth more than {money(at)}"
