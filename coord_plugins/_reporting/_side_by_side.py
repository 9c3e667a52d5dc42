"""Two reports side by side: a pipeline as it was, and with the policy attached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .._comparing._types import Comparison, Side
from .._comparing._words import dollars as words_dollars
from .._comparing._words import money, points
from ._text import dollars, outcomes_table, percent
from ._types import Group, Report

NAMES = ("bare", "attached")
_SAID = {
    "better": "better",
    "worse": "worse",
    "no_effect": "no different",
    "too_few": "not yet told apart",
}


def render_comparison(
    bare: Report,
    attached: Report,
    *,
    comparison: Mapping[str, Any],
    predicted: Mapping[str, Any],
    simulated: bool,
) -> RenderableType:
    """Outcomes, rates, losses and costs of two reports of one pipeline each, side by side.

    Args:
        bare: The pipeline as it was.
        attached: The same work with edges and retries.
        comparison: `difference` and `interval` of the success rates, `p_value`, and any
            further number by name.
        predicted: Per name ("bare", "attached") the success rate that the exact model
            predicts, or a mapping with `success`.
        simulated: Whether the model was simulated; then every reader is told so.
    """
    groups = dict(zip(NAMES, (bare.only, attached.only), strict=True))
    blocks: list[RenderableType] = []
    if simulated:
        blocks += [Text("SIMULATED MODEL: no key, no network, no cost", "bold yellow"), Text("")]
    blocks += [Text(_sentence(groups, comparison), style="bold green"), Text("")]
    blocks.append(Padding(_figures(groups, predicted), (0, 0, 0, 2)))
    blocks += [Text(""), Text("Outcomes", style="cyan")]
    blocks.append(Padding(outcomes_table(groups), (0, 0, 0, 2)))
    blocks += [Text(""), Text("Where the losses were", style="cyan")]
    blocks.append(Padding(_lost(groups), (0, 0, 0, 2)))
    if comparison:
        blocks += [Text(""), Text("Paired, attached minus bare", style="cyan")]
        blocks.append(Padding(_comparison(comparison), (0, 0, 0, 2)))
    warnings = [f"! {name}: {said}" for name, g in groups.items() for said in g.warnings]
    if warnings:
        blocks += [Text(""), *(Text(said, style="yellow") for said in warnings)]
    return Stack(*blocks)


def render_one_call(bare: Comparison, attached: Comparison) -> RenderableType:
    """What one model call does with the same work, beside both pipelines.

    Args:
        bare: The pipeline as it was (B) against the one call (A).
        attached: The pipeline with edges and retries (B) against the one call (A).
    """
    table = _table("success %", "minus one call", "$/success")
    table.add_row("one call", *_one_call(attached.a, None))
    table.add_row("bare", *_one_call(bare.b, bare))
    table.add_row("attached", *_one_call(attached.b, attached))
    said = (
        f"Beside one call the bare pipeline is {_SAID[bare.conclusion]}, "
        f"the attached one {_SAID[attached.conclusion]}."
    )
    extra = attached.cost_per_extra_success
    if attached.conclusion == "better" and extra.value is not None and extra.value > 0:
        said += f"\nThere an extra success costs {money(extra)}."
    title = Text("Is it better than one model call that does the whole job?", style="cyan")
    return Stack(title, Padding(table, (0, 0, 0, 2)), Padding(Text(said), (0, 0, 0, 2)))


def _one_call(side: Side, found: Comparison | None) -> tuple[Text, Text, Text]:
    low, high = (100 * end for end in side.success.interval)
    share = f"{100 * side.success.value:.1f} [{low:.1f}, {high:.1f}]"
    per = side.cost_per_success.value
    return (
        Text(share),
        Text("" if found is None else points(found.success)),
        Text("-" if per is None else words_dollars(per, unit="")),
    )


def _sentence(groups: Mapping[str, Group], comparison: Mapping[str, Any]) -> str:
    said = [
        f"{name} {100 * group.success_rate.value:.1f} %"
        for name, group in groups.items()
        if group.success_rate.value is not None
    ]
    bare = groups["bare"]
    rates = [100 * s.first_try.value for s in bare.steps if s.first_try.value is not None]
    steps = ""
    if rates:
        span = f"{min(rates):.1f} to {max(rates):.1f} %"
        steps = f"{len(rates)} steps, each right at its first try in {span} of the cases.\n"
    sentence = f"{steps}End to end, of {bare.started:,} runs each: {', '.join(said)}"
    difference, interval = comparison.get("difference"), comparison.get("interval")
    if difference is None or interval is None:
        return f"{sentence}."
    low, high = (100 * end for end in interval)
    return f"{sentence};\na difference of {100 * difference:+.1f} points [{low:+.1f}, {high:+.1f}]."


def _table(*names: str) -> Table:
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column("", min_width=20)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _figures(groups: Mapping[str, Group], predicted: Mapping[str, Any]) -> Table:
    table = _table(*groups)
    table.add_row("runs", *(f"{g.started:,}" for g in groups.values()))
    table.add_row("success", *(percent(g.success_rate) for g in groups.values()))
    if predicted:
        table.add_row("  predicted", *(_share(_predicted(predicted.get(n))) for n in groups))
    products = (g.naive_step_product for g in groups.values())
    table.add_row("naive step product", *(_share(p) for p in products))
    table.add_row("silent failures", *(percent(g.silent_rate) for g in groups.values()))
    table.add_row("escalated", *(percent(g.escalated_rate) for g in groups.values()))
    table.add_row("errors", *(percent(g.error_rate) for g in groups.values()))
    table.add_row("cost per success", *(_cost(g) for g in groups.values()))
    table.add_row("cost in all", *(dollars(g.cost.total) for g in groups.values()))
    return table


def _predicted(value: Any) -> float | None:
    if isinstance(value, Mapping):
        value = value.get("success", value.get("success_rate"))
    return None if value is None else float(value)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _cost(group: Group) -> str:
    per = group.cost.per_success
    if per is None:
        return "-"
    return f"{'>= ' if group.cost.lower_bound else ''}{dollars(per)}"


def _lost(groups: Mapping[str, Group]) -> Table:
    table = _table(*groups)
    steps = dict.fromkeys(step for group in groups.values() for step in group.lost_at)
    for step in steps:
        table.add_row(step, *(f"{g.lost_at.get(step, 0):,}" for g in groups.values()))
    table.add_row("all", *(f"{sum(g.lost_at.values()):,}" for g in groups.values()))
    return table


def _comparison(comparison: Mapping[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 3, 0, 0), show_header=False)
    table.add_column(min_width=20)
    table.add_column(overflow="fold")
    for name, value in comparison.items():
        if value is None:
            continue
        table.add_row(name.replace("_", " "), _cell(value))
    return table


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_cell(item) for item in value) + "]"
    return f"{value:,}" if type(value) is int else str(value)
