"""A gate's result for people, with rich. Imported only by the command line."""

from __future__ import annotations

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ._types import GateResult
from ._words import points, share

_WORDS = {"accept": "ACCEPTED", "reject": "REJECTED", "inconclusive": "INCONCLUSIVE"}
_STYLES = {"accept": "bold green", "reject": "bold red", "inconclusive": "bold yellow"}


def render(result: GateResult) -> RenderableType:
    """The verdict first, then what it rests on; readable from 80 columns on."""
    title = Text(result.pipeline or "", style="bold")
    if len(result.policy_ids) == 1:
        title.append(f"  policy {result.policy_ids[0]}", style="dim")
    verdict = Text(f"{_WORDS[result.verdict]}  {result.reason}.", style=_STYLES[result.verdict])
    blocks: list[RenderableType] = [*([title] if result.pipeline else []), verdict]
    if result.trials:
        blocks += [Text(""), Padding(_table(_lines(result)), (0, 0, 0, 2))]
    if result.warnings:
        listed = "\n".join(f"- {warning}" for warning in result.warnings)
        blocks += [Text(""), Text("Mind", style="cyan")]
        blocks.append(Padding(Text(listed, style="yellow"), (0, 0, 0, 2)))
    return Stack(*blocks)


def _table(lines: dict[str, str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, show_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in lines.items():
        table.add_row(name, value)
    return table


def _lines(result: GateResult) -> dict[str, str]:
    lines = {"asked": f"more than {share(result.min_success)}"}
    if result.suite is not None:
        lines["asked"] = f"{share(result.min_success)} of a suite of {result.suite:,} tasks"
    if result.expected is not None:
        lines["asked"] += f", {share(result.expected)} expected"
    rate = "unknown" if result.success_rate is None else share(result.success_rate)
    low, high = (points(end) for end in result.interval)
    lines["success"] = (
        f"{rate}, above {points(result.lower_bound)} %, in [{low}, {high}]; at "
        f"{share(1 - result.alpha)}, whenever one looks"
    )
    if result.evidence is not None and result.evidence_to_accept is not None:
        lines["evidence for"] = (
            f"{_odds(result.evidence)} to 1; {result.evidence_to_accept:.4g} accepts"
        )
    if result.odds_against is not None and result.odds_to_reject is not None:
        lines["against"] = f"{_odds(result.odds_against)} to 1; {result.odds_to_reject:.4g} rejects"
    if result.verdict == "inconclusive":
        lines |= _to_decide(result)
    return lines


def _to_decide(result: GateResult) -> dict[str, str]:
    unit = f"{result.unit}s"
    said = []
    if result.clean_trials_needed:
        said.append(f"{result.clean_trials_needed:,} more {unit} without a failure would accept")
    if result.trials_needed and result.trials_needed != result.clean_trials_needed:
        bound = "at most" if result.suite is not None else "about"
        said.append(f"{bound} {result.trials_needed:,} more decide at this rate")
    return {"to decide": "; ".join(said)} if said else {}


def _odds(value: float) -> str:
    return f"{value:.3g}" if 0.001 <= value < 1_000_000 else f"{value:.1e}"
