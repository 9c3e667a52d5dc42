"""`coord langsmith report`. Nothing here imports langsmith before the command runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coord_plugins import Rate, cli

if TYPE_CHECKING:
    from ._reading import ProjectReport

__all__ = ["register"]

_WIDTH = 78


def register(app: typer.Typer) -> None:
    """Add the commands; the entry point of the group `coord_plugins.cli`.

    Args:
        app: The application of `coord`.
    """
    group = typer.Typer(
        name="langsmith", help="What LangSmith projects come to.", no_args_is_help=True
    )
    group.callback()(_group)  # with one command only, typer would leave its name out
    group.command("report")(report_command)
    app.add_typer(group)


def _group() -> None:
    pass


def report_command(  # typer reads options from parameters
    project: Annotated[
        str | None, typer.Option("--project", help="Its name. Default: LANGSMITH_PROJECT.")
    ] = None,
    since: cli.SinceOption = None,
    until: cli.UntilOption = None,
    min_coverage: Annotated[
        float,
        typer.Option("--min-coverage", help="No accuracy if a smaller share of runs is labelled."),
    ] = 0.8,
    key: Annotated[str, typer.Option("--key", help="The feedback key of the outcomes.")] = (
        "outcome"
    ),
    as_json: cli.JsonOption = False,
) -> None:
    """End-to-end accuracy of a project's traced runs, beside what their steps suggest."""
    from ._reading import langsmith_report

    found = langsmith_report(project, since=since, until=until, key=key, min_coverage=min_coverage)
    if as_json:
        cli.print_json(found.to_dict())
        return
    cli.print_rich(*_blocks(found))


def _blocks(found: ProjectReport) -> Iterator[Any]:
    """The report from top to bottom: the headline first, what contradicts it after the counts."""
    from rich.text import Text

    title = Text(found.project, style="bold")
    title.append("  LangSmith", style="dim")
    yield title
    yield Text(_headline(found), style="bold yellow" if found.withheld else "bold green")
    yield from cli.section("Runs", cli.pairs(dict(_runs(found))))
    if found.labelled:
        yield from cli.section("Outcomes", _outcomes(found))
    if found.runs:
        beside = cli.pairs(dict(_beside(found)))
        yield from cli.section("What LangSmith shows by itself", beside)
    if found.cost is not None or found.mean_attempts is not None:
        yield from cli.section("Cost", cli.pairs(dict(_cost(found))))
    if found.warnings:
        listed = "\n".join(f"- {warning}" for warning in found.warnings)
        yield from cli.section("Mind", Text(listed, style="yellow"))


def _headline(found: ProjectReport) -> str:
    """The one sentence that the report comes down to."""
    if found.accuracy is None:
        return f"No accuracy: {found.withheld}."
    said = _of(found.accuracy, "runs did their job")
    if found.node_success.value is None:
        return f"{said}."
    said += f"; their steps say {_percent(found.node_success)}."
    return said if len(said) <= _WIDTH else said.replace("; ", ";\n", 1)


def _runs(found: ProjectReport) -> Iterator[tuple[str, str]]:
    ends = {"since": found.since, "until": found.until}
    window = "".join(f", {name} {end[:16]} UTC" for name, end in ends.items() if end)
    yield "traced", f"{found.runs:,}{window}"
    if found.runs:
        yield "labelled", f"{found.labelled:,} = {_percent(found.coverage)}"
    if found.accuracy is None or found.first_try is None:
        return
    yield "first try", _of(found.first_try, "succeeded at once")
    yield "final", _of(found.accuracy, "succeeded")
    more = found.accuracy.successes - found.first_try.successes
    if more > 0 and found.first_try.n == found.accuracy.n:
        yield "later", f"{more:,} more succeeded after a repeat, a fallback or a person"


def _outcomes(found: ProjectReport) -> Any:
    """All root runs by outcome, families first, empty lines left out.

    Shares are of all of them: a share of the labelled ones would be the accuracy, withheld or not.
    """
    from rich.text import Text

    table = cli.table("<", "", "")
    table.show_header = False
    families: dict[str, dict[str, int]] = {}
    for name, count in found.outcomes.items():
        family, _, detail = name.partition(".")
        families.setdefault(family, {})[detail] = count
    for extra, count in (
        ("outcome without a class", found.unclassed),
        ("no outcome", max(0, found.runs - found.labelled)),
    ):
        if count:
            families[extra] = {"": count}
    for family, members in families.items():
        total = sum(members.values())
        label = Text(family.replace("_", " "), style="bold")
        table.add_row(label, f"{total:,}", _share(total, found.runs))
        for name, count in members.items():
            if name and count:
                share = Text(_share(count, found.runs), style="dim")
                table.add_row(f"  {name.replace('_', ' ')}", f"{count:,}", share)
    return table


def _beside(found: ProjectReport) -> Iterator[tuple[str, str]]:
    yield "runs below the roots", _of(found.node_success, "have no error")
    yield "root runs", _of(found.root_success, "have no error")
    if found.gap is not None:
        points = 100 * found.gap
        said = f"{abs(points):.1f} points {'better' if points >= 0 else 'worse'}"
        yield "so", f"by its steps the project looks {said} than its runs turned out"


def _cost(found: ProjectReport) -> Iterator[tuple[str, str]]:
    bound = "at least " if found.cost_unknown else ""
    if found.cost_per_success is not None:
        yield "per success", f"{bound}{cli.dollars(found.cost_per_success)}, failures included"
    if found.cost is not None:
        missing = f" ({found.cost_unknown:,} runs have no cost)" if found.cost_unknown else ""
        yield "total", f"{bound}{cli.dollars(found.cost)}{missing}"
    if found.mean_attempts is not None:
        yield "attempts", f"{found.mean_attempts:.2f} per run"


def _of(rate: Rate, what: str) -> str:
    """Counts, share and interval, for example "8 of 10 succeeded: 80.0 % [49.0, 94.3]"."""
    if not rate.n:
        return "none"
    return f"{rate.successes:,} of {rate.n:,} {what}: {cli.percent(rate)}"


def _percent(rate: Rate) -> str:
    """A share without its interval."""
    return cli.percent(rate).partition(" [")[0]


def _share(count: int, total: int) -> str:
    return f"{100 * count / total:.1f} %" if total else ""
