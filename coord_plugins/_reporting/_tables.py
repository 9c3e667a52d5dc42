"""The tables of a report, with rich."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.table import Table
from rich.text import Text

from ._measures import Rate
from ._types import EdgeReport, Group, StepReport, ValidatorReport

_MANY = 40
"""Parts shown of a report that is split by a key with more values."""


def plain_table(*columns: str) -> Table:
    """A plain table: text to the left, numbers to the right."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_header=any(columns))
    for name in columns:
        if name.endswith("<"):
            table.add_column(name[:-1], overflow="fold", min_width=14)
        else:
            table.add_column(name, justify="right", no_wrap=True)
    return table


def pairs_table(lines: Mapping[str, str]) -> Table:
    """Names to the left, texts to the right."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, show_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in lines.items():
        table.add_row(name, value)
    return table


def outcomes_table(groups: Mapping[str, Group]) -> Table:
    """Outcomes side by side, families first, empty lines left out."""
    names = list(groups)
    table = plain_table("<", *(n for name in names for n in (name, "")))
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
    table = plain_table("<", "runs", "of losses")
    total = sum(group.lost_at.values())
    for step, n in group.lost_at.items():
        table.add_row(step, f"{n:,}", f"{100 * n / total:.1f} %")
    return table


def parts_table(group: Group) -> Table:
    """One line per value of the key that a report is split by."""
    table = plain_table("value<", "runs", "success", "interval", "cost/success")
    for part in group.parts[:_MANY]:
        rate = part.success_rate
        share = "-" if rate.value is None else f"{100 * rate.value:.1f} %"
        name = "(none)" if part.value is None else part.value
        table.add_row(name, f"{part.started:,}", share, interval(rate), per_success(part))
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
    repeated = any(step.repeat.n for step in rows)
    table = plain_table("<", *shown, "first try right", "interval", *(["repeat"] * repeated))
    for step in rows:
        rate = step.first_try
        share = "-" if rate.value is None else f"{points(rate.value)} %"
        counts = (f"{getattr(step, name):,}" for name in shown.values())
        again = "-" if step.repeat.value is None else f"{points(step.repeat.value)} %"
        table.add_row(step.step, *counts, share, interval(rate), *([again] * repeated))
    return table


def edges_table(edges: Iterable[EdgeReport]) -> Table:
    """What each edge judged and did."""
    rows = list(edges)
    names = {name: name for name in ("calls", "passes", "rejects", "loops", "exhausted")}
    names |= _said(rows, {"errors": "validator_errors", "would reject": "would_reject"})
    table = plain_table("<", *names)
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
    table = plain_table("<", "calls", "rejects", *errors, "sensitivity %", "specificity %")
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


def dollars(value: float) -> str:
    """US dollars with as many digits as say something."""
    if value == 0:
        return "$0"
    return f"${value:,.2f}" if value >= 1 else f"${value:.4g}"


def per_success(group: Group) -> str:
    per = group.cost.per_success
    if per is None:
        return "-"
    return f">= {dollars(per)}" if group.cost.lower_bound else dollars(per)


def interval(rate: Rate) -> str:
    return "-" if not rate.n else "[{}, {}]".format(*(points(end) for end in rate.interval))


def _measured(rate: Rate) -> str:
    if rate.value is None:
        return "-"
    return f"{points(rate.value)} {interval(rate)} n={rate.n:,}"


def points(share: float) -> str:
    """A share in percent; more digits near 0 and 1, so that no interval looks empty."""
    points = 100 * share
    digits = 1 if 0.5 <= points <= 99.5 or points in (0, 100) else 2
    return (
        f"{points:.{digits}f}".removesuffix(".0") if points in (0, 100) else f"{points:.{digits}f}"
    )


def percent(rate: Rate) -> str:
    """A share with its interval, for example "84.2 % [81.8, 86.3]"."""
    if rate.value is None:
        return "unknown (n=0)"
    return f"{points(rate.value)} % {interval(rate)}"
