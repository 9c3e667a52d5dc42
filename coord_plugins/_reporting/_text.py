"""Reports for people, with rich. Imported only by the command line and by demos."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from ._measures import Gap, Interval, Trials, TrueRate, Worth
from ._tables import (
    dollars,
    edges_table,
    interval,
    lost_table,
    outcomes_table,
    pairs_table,
    parts_table,
    per_success,
    percent,
    plain_table,
    points,
    steps_table,
    validators_table,
)
from ._types import Group, Report

_WIDTH = 78
_SHOWN_K = 5
"""Columns of pass@k and pass^k."""


def render(report: Report) -> RenderableType:
    """A report as text per pipeline, the answer first, readable from 80 columns on."""
    if not report.groups:
        return Text("No runs match. Record one first, or widen --since, --pipeline and --where.")
    blocks: list[RenderableType] = []
    for group in report.groups:
        if blocks:
            blocks.append(Text(""))
        blocks += _group(group, report)
    return Stack(*blocks)


def headline(group: Group, unit: str = "run") -> str:
    """The one sentence that a report comes down to."""
    noun = unit if group.success_rate.n == 1 else f"{unit}s"
    rate = group.success_rate
    if not group.finished:
        return f"No {unit} has finished yet; {group.in_flight:,} in flight."
    if not rate.n:
        return (
            f"{group.finished:,} {unit}s finished, none has a label: give a goal, or label them "
            "with `coord outcome`."
        )
    true = group.true_rate
    if true is not None:
        sample = sum(stratum.labelled for stratum in true.strata)
        low, high = (points(end) for end in true.interval)
        return (
            f"{points(true.value)} % [{low}, {high}] of {group.finished:,} {unit}s did their job, "
            f"by a sample of {sample:,}; of the labelled ones alone {percent(rate)}."
        )
    said = f"{rate.successes:,} of {rate.n:,} {noun} did their job: {percent(rate)}"
    product = group.naive_step_product
    if product is None:
        return f"{said}."
    return f"{said}; the step product says {100 * product:.1f} %."


def _group(group: Group, report: Report) -> list[RenderableType]:
    title = Text(group.pipeline, style="bold")
    ids = [i for i in group.policy_ids if i]
    if len(ids) == 1:
        title.append(f"  policy {ids[0]}", style="dim")
    said = headline(group, report.unit)
    if len(said) > _WIDTH:
        said = said.replace("; ", ";\n", 1)
    blocks: list[RenderableType] = [title, Text(said, style="bold green")]
    for name, part in _parts(group, report.by):
        blocks += section(name, part)
    return blocks


def _parts(group: Group, by: str | None) -> Iterator[tuple[str, RenderableType]]:
    """The titled parts that have something to say."""
    if group.parts:
        yield f"By {by}", parts_table(group)
    yield "Outcomes", outcomes_table({"": group})
    if group.true_rate is not None:
        yield "From the labelled sample", _sample(group.true_rate)
    if group.trials is not None:
        yield "Trials of the same tasks", _trials(group.trials)
    if group.lost_at:
        yield "Where the losses were", lost_table(group)
    if group.gap is not None:
        yield "From the step product to the success rate", _gap(group.gap)
    executed = [step for step in group.steps if step.executions]
    if executed:
        yield "Steps", steps_table(executed)
    if group.edges:
        yield "Edges", edges_table(group.edges)
    if group.validators:
        yield "Validators", validators_table(group.validators)
    yield from _closing(group)


def _closing(group: Group) -> Iterator[tuple[str, RenderableType]]:
    yield "Cost and time", pairs_table(cost_lines(group))
    if group.worth is not None:
        yield "What the runs earn", pairs_table(_worth(group.worth))
    if group.to_label:
        yield "To know more, label", Text(_listed(group.to_label))
    if group.warnings:
        yield "Mind", Text(_listed(group.warnings), style="yellow")


def _listed(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def section(name: str, body: RenderableType) -> list[RenderableType]:
    """A titled part of a report."""
    return [Text(""), Text(name, style="cyan"), Padding(body, (0, 0, 0, 2))]


def _sample(true: TrueRate) -> RenderableType:
    table = plain_table("<", "runs", "labelled", "right")
    for part in true.strata:
        name = part.name.replace("_", " ")
        share = "0" if part.name == "not_delivered" else "at the goal's word"
        if part.labelled:
            share = f"{100 * part.passed / part.labelled:.1f} %"
        table.add_row(name, f"{part.runs:,}", f"{part.labelled:,}", share)
    return table


def _trials(trials: Trials) -> RenderableType:
    runs = f"{trials.fewest}" if trials.fewest == trials.most else f"{trials.fewest}-{trials.most}"
    said = f"{trials.tasks:,} tasks with {runs} labelled runs each"
    if trials.standard_error:  # all tasks alike: that is no certainty
        said += f"; standard error {100 * trials.standard_error:.2g} points, by task"
    said += f"\nsolved at least once {percent(trials.solved)}, always {percent(trials.always)}"
    if trials.cost_per_solved_task:
        said += f"\ncost per solved task {dollars(trials.cost_per_solved_task)}"
    ks = [k for k in trials.pass_at_k if k < _SHOWN_K or k == trials.fewest]
    if len(ks) < 2:
        return Text(said)
    table = plain_table("k<", *(str(k) for k in ks))
    for name, values in {"pass@k": trials.pass_at_k, "pass^k": trials.pass_hat_k}.items():
        table.add_row(name, *(f"{100 * values[k]:.1f} %" for k in ks))
    return Stack(Text(said), table)


def _gap(gap: Gap) -> RenderableType:
    n = gap.first_tries.n
    table = plain_table("<", "points", "runs")
    table.add_row("step product", f"{100 * gap.naive:.1f}", "")
    table.add_row("steps that fail together", f"{100 * gap.dependence:+.1f}", "")
    lost = f"{-100 * gap.lost_anyway / n:+.1f}"
    table.add_row("lost though every first try looked right", lost, f"{gap.lost_anyway:,}")
    won = f"{100 * gap.won_anyway / n:+.1f}"
    table.add_row("won by repeats", won, f"{gap.won_anyway:,}")
    table.add_row("success rate", f"{100 * gap.real:.1f}", f"{n:,}")
    return table


def cost_lines(group: Group) -> dict[str, str]:
    """Cost, tokens and time as labelled texts."""
    cost = group.cost
    if not (cost.total or group.tokens):
        calls = "no model calls were counted"
        if cost.unknown_calls:
            calls = f"not known: none of {cost.unknown_calls:,} model calls has a price"
        return {"cost": calls, **_time_lines(group)}
    split = {"first": cost.first, "retry": cost.retry, "validation": cost.validation}
    split["fallback"] = cost.fallback
    parts = " + ".join(f"{name} {dollars(value)}" for name, value in split.items() if value)
    lines = {"per success": f"{per_success(group)}{_between(cost.per_success_interval)}"}
    bound = "at least " if cost.lower_bound else ""
    lines["total"] = f"{bound}{dollars(cost.total)}{f' = {parts}' if parts else ''}"
    if cost.in_flight:
        lines["in flight"] = dollars(cost.in_flight)
    lines["tokens"] = f"{group.tokens:,}"
    if group.tokens_per_success:
        lines["tokens"] += f", {group.tokens_per_success:,.0f} per success"
    return lines | _time_lines(group)


def _between(ends: Interval | None) -> str:
    return "" if ends is None else f" [{dollars(max(0.0, ends[0]))}, {dollars(ends[1])}]"


def _time_lines(group: Group) -> dict[str, str]:
    lines = {}
    per = group.seconds_per_success
    if per:
        lines["seconds"] = f"{per:.2f} per success, {group.seconds:,.1f} in all"
    if group.nested:
        lines["runs inside runs"] = f"{group.nested:,}, counted apart"
    return lines


def _worth(worth: Worth) -> Mapping[str, str]:
    lines = {"per run": f"{_signed(worth.per_run)}{_signed_between(worth.interval)}"}
    if worth.per_month is not None and worth.per_month_interval is not None:
        ends = _signed_between(worth.per_month_interval)
        lines["per month"] = f"{_signed(worth.per_month)}{ends} at {worth.runs_per_month:,.0f} runs"
    parts = {k.replace("_", " "): v for k, v in worth.by_class.items() if v}
    lines["made of"] = ", ".join(f"{name} {_signed(value)}" for name, value in parts.items())
    if worth.dearest_failure is not None:
        lines["dearest failures"] = worth.dearest_failure.replace("_", " ")
    return lines


def _signed(value: float) -> str:
    return f"-{dollars(-value)}" if value < 0 else dollars(value)


def _signed_between(ends: Interval) -> str:
    return f" [{_signed(ends[0])}, {_signed(ends[1])}]"


__all__ = [
    "cost_lines",
    "dollars",
    "headline",
    "interval",
    "outcomes_table",
    "pairs_table",
    "percent",
    "plain_table",
    "points",
    "render",
    "section",
    "validators_table",
]
