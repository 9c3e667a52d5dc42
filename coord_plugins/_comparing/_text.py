"""A comparison for people, with rich. Imported only by the command line and by demos."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ._moments import OUTCOMES
from ._types import Amount, Comparison, NetBenefit, Share, Side
from ._words import dollars, flips, money, points

_STYLES = {"better": "bold green", "worse": "bold red"}
_NAMES = ("success", "silent failures", "escalated", "errors")


def render_compared(found: Comparison) -> RenderableType:
    """One screen: the answer, who was compared and how, the figures."""
    style = _STYLES.get(found.conclusion, "bold yellow")
    blocks: list[RenderableType] = [Text(found.answer, style=style), Text("")]
    blocks += [_inset(_sides(found)), Text(f"  {matched(found)}")]
    blocks += _section("Outcomes, in % of runs; B - A in points", outcomes_table(found))
    if found.cost_conclusion != "unknown":
        blocks += _section("Cost in US dollars", costs_table(found))
        extra = _extra(found)
        blocks += [] if extra is None else [_inset(Text(extra))]
    if found.net_benefit is not None:
        told = Text("\n".join(_benefit(found, found.net_benefit)))
        blocks += _section("Net benefit at your prices, per run", told)
    if found.warnings:
        listed = "\n".join(f"- {warning}" for warning in found.warnings)
        blocks += _section("Mind", Text(listed, style="yellow"))
    return Stack(*blocks)


def _section(name: str, body: RenderableType) -> list[RenderableType]:
    return [Text(""), Text(name, style="cyan"), _inset(body)]


def _inset(body: RenderableType) -> Padding:
    return Padding(body, (0, 0, 0, 2))


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _sides(found: Comparison) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column()
    for letter, side in (("A", found.a), ("B", found.b)):
        table.add_row(letter, Text(side.name), _counted(side))
    return table


def _counted(side: Side) -> str:
    runs = f"{side.compared:,} {'run' if side.compared == 1 else 'runs'}"
    tasks = f" of {side.tasks:,} {'task' if side.tasks == 1 else 'tasks'}" if side.tasks else ""
    rest = side.started - side.compared
    return f"{runs}{tasks}" + (f"; {rest:,} left out" if rest else "")


def matched(found: Comparison) -> str:
    """How runs were matched, and what the pairs say."""
    if found.pairing == "unpaired":
        return "unpaired: each side on its own"
    how = f"paired by {found.paired_by}"
    if found.pairs is None:
        return f"{how}: means of {found.tasks:,} tasks, which weigh alike"
    gained, harmed = found.success.only_b, found.success.only_a
    said = f"{how}: {found.pairs:,} pairs, {gained:,} gained, {harmed:,} harmed"
    p_value = found.success.p_value
    return said if p_value is None else f"{said}; exact McNemar p = {p_value:.2g}"


def outcomes_table(found: Comparison) -> Table:
    """The shares of both sides and their difference, with intervals; empty lines left out."""
    table = _table("A", "B", "B - A")
    for title, name in zip(_NAMES, OUTCOMES, strict=True):
        a: Share = getattr(found.a, name)
        b: Share = getattr(found.b, name)
        if a.runs or b.runs or name == "success":
            cells = (percent(a), percent(b), points(getattr(found, name)))
            table.add_row(title, *(Text(cell) for cell in cells))
    return table


def costs_table(found: Comparison) -> Table:
    """Cost per run and per success of both sides, and the difference per run."""
    table = _table("per run", "per success")
    for letter, side in (("A", found.a), ("B", found.b)):
        bound = ">= " if side.cost_unknown else ""
        cells = (side.cost_per_run, side.cost_per_success)
        table.add_row(letter, *(Text(bound + _bare(cell)) for cell in cells))
    table.add_row("B - A", Text(money(found.cost_per_run, sign=True, unit="")))
    return table


def _extra(found: Comparison) -> str | None:
    """What an extra success costs, where B does more for more, or less for less."""
    extra = found.cost_per_extra_success
    if extra.value is None or extra.value < 0:
        return None
    if extra.interval is None:
        return f"per extra success: {money(extra)} (the difference in success may be 0)"
    return f"per extra success: {money(extra)}"


def percent(share: Share) -> str:
    """A share with its interval, in percent."""
    low, high = share.interval
    digits = 1 if high - low >= 0.002 else 2
    return f"{100 * share.value:.{digits}f} [{100 * low:.{digits}f}, {100 * high:.{digits}f}]"


def _bare(amount: Amount) -> str:
    return "-" if amount.value is None else money(amount, unit="")


def _benefit(found: Comparison, net: NetBenefit) -> Iterator[str]:
    for letter, side in (("A", found.a), ("B", found.b)):
        if side.worth_per_run is not None:
            yield f"{letter:6}{money(side.worth_per_run)}"
    yield f"B - A {money(Amount(value=net.value, interval=net.interval), sign=True)}"
    given = (f"{name.removesuffix('_cost')} {dollars(p)}" for name, p in net.prices.items())
    yield f"prices: {', '.join(given)}"
    yield flips(found, net)
