"""A plan for people, with rich: one screen, readable at 80 columns."""

from __future__ import annotations

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from coord_plugins.planning import Alternative, Assumption, Figure, Plan

_MARKS = {True: ("holds", "green"), False: ("FAILS", "red"), None: ("open", "yellow")}
_SHOWN = 3


def render(plan: Plan) -> RenderableType:
    """The plan, what to expect, what bounds it, and what it rests on."""
    blocks: list[RenderableType] = [_title(plan), _headline(plan)]
    if plan.why_not:
        blocks.append(Text(plan.why_not, style="red"))
    name = "Edges" if plan.reached else "The best plan there is"
    blocks += _section(name, _edges(plan) if plan.placements else Text("none: leave it as it is"))
    blocks += _section("What to expect, of each run", _expected(plan))
    blocks += _section("What bounds it", Text(plan.bound.says))
    if plan.improvements and plan.improvements[0].success > 0:
        blocks += _section("What would help most (one cause of failure halved)", _help(plan))
    blocks += _section("It rests on", _assumptions(plan.assumptions))
    if plan.warnings:
        listed = "\n".join(f"- {warning}" for warning in plan.warnings)
        blocks += _section("Mind", Text(listed, style="yellow"))
    return Stack(*blocks)


def _title(plan: Plan) -> Text:
    title = Text(plan.pipeline, style="bold")
    runs = f"from {plan.rates.runs:,} recorded runs" if plan.rates.runs else "from a description"
    title.append(f"  {len(plan.rates.steps)} steps, {runs}, costs in {plan.unit}", style="dim")
    return title


def _headline(plan: Plan) -> Text:
    success = plan.expected.success
    said = f"success {_share(success)}, cost {_amount(plan.expected.cost)}"
    if plan.target is None:
        worth = plan.expected.worth
        assert worth is not None
        return Text(f"Worth {_amount(worth)} a run; {said}.", style="bold green")
    asked = f"{100 * plan.target:.4g} %"
    if plan.reached:
        credible = f"{100 * (plan.credibility or 0):.0f} % credible"
        return Text(f"At least {asked} is {credible}: {said}.", style="bold green")
    return Text(
        f"No plan reaches {asked} with {100 * plan.confidence:.0f} % credibility.", "bold red"
    )


def _section(name: str, body: RenderableType) -> list[RenderableType]:
    return [Text(""), Text(name, style="cyan"), Padding(body, (0, 0, 0, 2))]


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in columns:
        if name.endswith("<"):
            table.add_column(name[:-1], overflow="fold")
        else:
            table.add_column(name, justify="right", no_wrap=True)
    return table


def _edges(plan: Plan) -> Table:
    table = _table("step<", "validators<", "back to<", "attempts")
    for edge in plan.placements:
        ladder = " -> ".join(edge.back_to) if edge.back_to else "in place"
        if edge.max_attempts == 1:
            ladder = "(only detects)"
        table.add_row(edge.step, ", ".join(edge.validators), ladder, str(edge.max_attempts))
    return table


def _expected(plan: Plan) -> Stack:
    worth = plan.value is not None
    columns = ["<", "success", "silent", "escalated", "error", "cost"]
    table = _table(*columns, *(["worth"] if worth else []))
    for one in plan.alternatives:
        table.add_row(*_means(one, worth), style="bold" if one.name == "plan" else "")
    measured = plan.expected
    said = (
        f"{plan.for_runs:,} runs will measure a success of {_band(measured.success)} and a cost "
        f"of {_amounts(measured.cost)} (95 %)"
    )
    return Stack(table, Text(said, style="dim"))


def _means(one: Alternative, worth: bool) -> list[str]:
    found = one.expected
    shares = (found.success, found.silent, found.escalated, found.error)
    cells = [one.name, *(_points(figure.mean) + " %" for figure in shares)]
    cells.append(f"{found.cost.mean:.4g}")
    if worth and found.worth is not None:
        cells.append(f"{found.worth.mean:.4g}")
    return cells


def _help(plan: Plan) -> Table:
    table = _table("<", "success", "cost")
    table.show_header = False
    for one in plan.improvements[:_SHOWN]:
        table.add_row(one.what, f"{100 * one.success:+.2f} points", f"cost {one.cost:+.3g}")
    return table


def _assumptions(assumptions: tuple[Assumption, ...]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in assumptions:
        mark, style = _MARKS[one.holds]
        table.add_row(Text(mark, style=style), f"{one.name}: {one.says}")
    return table


def _points(share: float) -> str:
    return f"{100 * share:.2f}"


def _share(figure: Figure) -> str:
    return f"{_points(figure.mean)} % [{_points(figure.low)}, {_points(figure.high)}]"


def _amount(figure: Figure) -> str:
    return f"{figure.mean:.4g} [{figure.low:.4g}, {figure.high:.4g}]"


def _band(figure: Figure) -> str:
    return f"{_points(figure.runs_low)} to {_points(figure.runs_high)} %"


def _amounts(figure: Figure) -> str:
    return f"{figure.runs_low:.4g} to {figure.runs_high:.4g}"
