"""Reports for people, with rich. Imported only by the command line and by demos."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ._report_types import EdgeReport, Group, Rate, Report, StepReport, ValidatorReport

_WIDTH = 78
_MANY = 40
"""Parts shown of a report that is split by a key with more values."""


def render(report: Report) -> RenderableType:
    """A report as one screen of text per pipeline, readable from 80 columns on."""
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
    said = f"{rate.successes:,} of {rate.n:,} {noun} did their job: {percent(rate)}"
    product = group.naive_step_product
    if product is None:
        return f"{said}."
    return f"{said}; the step product says {100 * product:.1f} %."


def percent(rate: Rate) -> str:
    """A share with its interval, for example "84.2 % [81.8, 86.3]"."""
    if rate.value is None:
        return "unknown (n=0)"
    return f"{_points(rate.value)} % {_interval(rate)}"


def _group(group: Group, report: Report) -> list[RenderableType]:
    title = Text(group.pipeline, style="bold")
    ids = [i for i in group.policy_ids if i]
    if len(ids) == 1:
        title.append(f"  policy {ids[0]}", style="dim")
    said = headline(group, report.unit)
    if len(said) > _WIDTH:
        said = said.replace("; ", ";\n", 1)
    blocks: list[RenderableType] = [title, Text(said, style="bold green")]
    if group.parts:
        blocks += _section(f"By {report.by}", parts_table(group))
    blocks += _section("Outcomes", outcomes_table({"": group}))
    if group.lost_at:
        blocks += _section("Where the losses were", lost_table(group))
    if group.steps:
        blocks += _section("Steps", steps_table(group.steps))
    if group.edges:
        blocks += _section("Edges", edges_table(group.edges))
    if group.validators:
        blocks += _section("Validators", validators_table(group.validators))
    blocks += _section("Cost and time", _pairs(cost_lines(group)))
    if group.warnings:
        listed = "\n".join(f"- {warning}" for warning in group.warnings)
        blocks += _section("Mind", Text(listed, style="yellow"))
    return blocks


def _section(name: str, body: RenderableType) -> list[RenderableType]:
    return [Text(""), Text(name, style="cyan"), Padding(body, (0, 0, 0, 2))]


def _table(*columns: str) -> Table:
    """A plain table: text to the left, numbers to the right."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_header=any(columns))
    for name in columns:
        if name.endswith("<"):
            table.add_column(name[:-1], overflow="fold", min_width=14)
        else:
            table.add_column(name, justify="right", no_wrap=True)
    return table


def outcomes_table(groups: Mapping[str, Group]) -> Table:
    """Outcomes side by side, families first, empty lines left out."""
    names = list(groups)
    table = _table("<", *(n for name in names for n in (name, "")))
    table.show_header = any(names)
    for label, counts, is_family in _families(groups):
        cells: list[str | Text] = [Text(label, style="bold" if is_family else "")]
        for name in names:
            n, group = counts[name], groups[name]
            share = f"{100 * n / group.started:.1f} %" if group.started else ""
            cells += [f"{n:,}", share if is_family else Text(share, style="dim")]
        table.add_row(*cells)
    return table


def _families(groups: Mapping[str, Group]) -> Iterable[tuple[str, dict[str, int], bool]]:
    every = list(next(iter(groups.values())).outcomes)
    for family in dict.fromkeys(name.partition(".")[0] for name in every):
        members = [n for n in every if n.partition(".")[0] == family]
        total = {k: sum(g.outcomes[n] for n in members) for k, g in groups.items()}
        if not any(total.values()) and family in ("unlabelled", "in_flight"):
            continue
        yield family.replace("_", " "), total, True
        for name in members:
            counts = {k: g.outcomes[name] for k, g in groups.items()}
            if "." in name and any(counts.values()):
                yield f"  {name.partition('.')[2].replace('_', ' ')}", counts, False


def lost_table(group: Group) -> Table:
    """Where runs without success were lost."""
    table = _table("<", "runs", "of losses")
    total = sum(group.lost_at.values())
    for step, n in group.lost_at.items():
        table.add_row(step, f"{n:,}", f"{100 * n / total:.1f} %")
    return table


def parts_table(group: Group) -> Table:
    """One line per value of the key that a report is split by."""
    table = _table("value<", "runs", "success", "interval", "cost/success")
    for part in group.parts[:_MANY]:
        rate = part.success_rate
        share = "-" if rate.value is None else f"{100 * rate.value:.1f} %"
        name = "(none)" if part.value is None else part.value
        table.add_row(name, f"{part.started:,}", share, _interval(rate), _per_success(part))
    left = len(group.parts) - _MANY
    if left > 0:
        table.add_row(f"... and {left:,} more; see --json", "", "", "", "")
    return table


def steps_table(steps: Iterable[StepReport]) -> Table:
    """How often each step's first try was right; optional columns only where they say something."""
    rows = list(steps)
    shown = {"runs": "runs", "calls": "executions"} | _said(
        rows, {"errors": "errors", "fed back": "feedback_delivered"}
    )
    table = _table("<", *shown, "first try right", "interval")
    for step in rows:
        rate = step.first_try
        share = "-" if rate.value is None else f"{_points(rate.value)} %"
        counts = (f"{getattr(step, name):,}" for name in shown.values())
        table.add_row(step.step, *counts, share, _interval(rate))
    return table


def edges_table(edges: Iterable[EdgeReport]) -> Table:
    """What each edge judged and did."""
    rows = list(edges)
    names = {name: name for name in ("calls", "passes", "rejects", "loops", "exhausted")}
    names |= _said(rows, {"errors": "validator_errors", "would reject": "would_reject"})
    table = _table("<", *names)
    for edge in rows:
        table.add_row(edge.step, *(f"{getattr(edge, field):,}" for field in names.values()))
    return table


def _said(rows: Iterable[object], optional: Mapping[str, str]) -> dict[str, str]:
    """The columns that are not zero throughout."""
    kept = list(rows)
    return {k: name for k, name in optional.items() if any(getattr(r, name) for r in kept)}


def validators_table(validators: Iterable[ValidatorReport]) -> Table:
    """What each validator said, and how well, where labels allow to know."""
    rows = list(validators)
    failed = any(v.errors for v in rows)
    errors = ["errors"] if failed else []
    table = _table("<", "calls", "rejects", *errors, "sensitivity %", "specificity %")
    for v in rows:
        table.add_row(
            f"{v.step}: {v.name}",
            f"{v.calls:,}",
            f"{v.rejects:,}",
            *([f"{v.errors:,}"] if failed else []),
            _measured(v.sensitivity),
            _measured(v.specificity),
        )
    return table


def cost_lines(group: Group) -> dict[str, str]:
    """Cost, tokens and time as labelled texts."""
    cost = group.cost
    if not (cost.total or group.tokens or cost.unknown_calls):
        return {"cost": "no model calls were counted", **_time_lines(group)}
    split = {"first": cost.first, "retry": cost.retry, "validation": cost.validation}
    split["fallback"] = cost.fallback
    parts = " + ".join(f"{name} {dollars(value)}" for name, value in split.items() if value)
    lines = {"per success": _per_success(group)}
    bound = "at least " if cost.lower_bound else ""
    lines["total"] = f"{bound}{dollars(cost.total)}{f' = {parts}' if parts else ''}"
    if cost.in_flight:
        lines["in flight"] = dollars(cost.in_flight)
    lines["tokens"] = f"{group.tokens:,}"
    return lines | _time_lines(group)


def _time_lines(group: Group) -> dict[str, str]:
    lines = {}
    per = group.seconds_per_success
    if per is not None:
        lines["seconds"] = f"{per:.2f} per success, {group.seconds:,.1f} in all"
    if group.nested:
        lines["runs inside runs"] = f"{group.nested:,}, counted apart"
    return lines


def _pairs(lines: Mapping[str, str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, show_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in lines.items():
        table.add_row(name, value)
    return table


def dollars(value: float) -> str:
    """US dollars with as many digits as say something."""
    if value == 0:
        return "$0"
    return f"${value:,.2f}" if value >= 1 else f"${value:.4g}"


def _per_success(group: Group) -> str:
    per = group.cost.per_success
    if per is None:
        return "-"
    return f">= {dollars(per)}" if group.cost.lower_bound else dollars(per)


def _interval(rate: Rate) -> str:
    return "-" if not rate.n else "[{}, {}]".format(*(_points(end) for end in rate.interval))


def _measured(rate: Rate) -> str:
    if rate.value is None:
        return "-"
    return f"{_points(rate.value)} {_interval(rate)} n={rate.n:,}"


def _points(share: float) -> str:
    """A share in percent; more digits near 0 and 1, so that no interval looks empty."""
    points = 100 * share
    digits = 1 if 0.5 <= points <= 99.5 or points in (0, 100) else 2
    return (
        f"{points:.{digits}f}".removesuffix(".0") if points in (0, 100) else f"{points:.{digits}f}"
    )
