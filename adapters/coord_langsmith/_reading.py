"""What the outcomes in a LangSmith project add up to, beside what LangSmith shows by itself.

Every figure comes from aggregates that the server computes: one request for the project, one for
the statistics of its root runs with their feedback, one for those of the runs below them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from langsmith import Client

from coord_plugins import OUTCOMES, PolicyError, Rate, cli

from ._reading_client import LangSmithReadError, asking, default_project, read_project

__all__ = ["LangSmithReadError", "ProjectReport", "langsmith_report"]

SCHEMA_VERSION = 1
"""Of `ProjectReport.to_dict` and the command line's `--json`."""
CLASSES = tuple(name for name in OUTCOMES if not name.startswith(("unlabelled", "in_flight")))
"""The outcomes that a labelled run can have."""


@dataclass(frozen=True, kw_only=True)
class ProjectReport:
    """How often the traced runs of a project did their job, and how sure that is."""

    project: str
    """The project's name."""
    key: str
    """The feedback key of the outcomes."""
    since: str | None
    """Only runs that began then or later, in ISO format (UTC); None: since the project began."""
    until: str | None
    """Only runs that began before, in ISO format (UTC); None: until now."""
    runs: int
    """Root runs: one per trace."""
    labelled: int
    """Outcomes on root runs."""
    coverage: Rate
    """Labelled among the root runs."""
    min_coverage: float
    """The coverage below which there is no accuracy."""
    accuracy: Rate | None
    """Successes among the labelled runs; None: `withheld` says why."""
    withheld: str | None
    """Why there is no accuracy; None: there is one."""
    successes: int | None
    """Labelled runs that did their job; None: the server returned neither classes nor scores."""
    counted_from: str
    """"values": counted by class, exactly; "scores": the mean score times the labelled runs."""
    outcomes: Mapping[str, int]
    """Labelled runs by class, zeros included, then values that are no class of `OUTCOMES`."""
    unclassed: int
    """Labelled runs whose class is in no line of `outcomes`."""
    first_try: Rate | None
    """Runs that did their job at once, nothing repeated; None: withheld, or not recorded."""
    mean_attempts: float | None
    """Attempts per run that has them recorded, labelled or not; None: none has."""
    cost: float | None
    """US dollars of all runs whose cost is known, labelled or not; None: of none."""
    cost_per_success: float | None
    """`cost` over `successes`; None: no cost, no success, or the accuracy is withheld."""
    cost_unknown: int
    """Root runs without a cost; if there are any, the costs are lower bounds."""
    root_success: Rate
    """Root runs that did not end in an error."""
    node_success: Rate
    """The same of every run below a root: what a look at the steps suggests."""
    gap: float | None
    """`node_success` minus `accuracy`, in shares; None: one of them is unknown."""
    warnings: tuple[str, ...] = ()
    """What a reader must know before quoting these numbers."""
    schema_version: int = SCHEMA_VERSION
    """Of `to_dict`."""

    def __str__(self) -> str:
        """One line; `coord langsmith report` shows more."""
        if self.accuracy is None:
            return f"{self.project}: {self.withheld}"
        low, high = self.accuracy.interval
        share = f"{100 * self.accuracy.successes / self.labelled:.1f} %"
        said = f"{self.accuracy.successes} of {self.labelled} runs did their job: {share}"
        return f"{self.project}: {said} [{100 * low:.1f}, {100 * high:.1f}]"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the command line's `--json`."""
        plain = asdict(self)
        for name, value in plain.items():
            if isinstance(value, dict) and "interval" in value:
                value["interval"] = list(value["interval"])
            elif isinstance(value, tuple):
                plain[name] = list(value)
        return {"schema_version": plain.pop("schema_version"), **plain}


def langsmith_report(
    project: str | None = None,
    *,
    client: Client | None = None,
    since: str | float | dt.datetime | None = None,
    until: str | float | dt.datetime | None = None,
    key: str = "outcome",
    min_coverage: float = 0.8,
) -> ProjectReport:
    """Read how often the traced runs of a project did their job.

    Args:
        project: Its name. Default: where this environment's traces go (LANGSMITH_PROJECT).
        client: Asked instead of one made from the environment, with its own timeouts and
            retries.
        since: Unix seconds, a datetime, an ISO date (UTC where it has no zone) or an age like
            "7d", "12h". Default: the project's beginning.
        until: Like `since`; excluded. Default: now.
        key: Feedback with scores 0 and 1 on root runs; `KEY.first_try` is read beside it.
        min_coverage: The share of labelled runs, in [0, 1], below which there is no accuracy.

    Raises:
        LangSmithReadError: No such project, no key, or no answer.
        PolicyError: A time that cannot be read, or a share that is none.
    """
    if not 0 <= min_coverage <= 1:
        raise PolicyError(f"min_coverage={min_coverage}; it lies between 0 and 1")
    window = _iso(cli.when(since, "since")), _iso(cli.when(until, "until"))
    named, chosen = project or default_project(), ""
    if not project:
        chosen = "from LANGSMITH_PROJECT" if named else "LANGSMITH_PROJECT is not set"
    name = named or "default"  # where langsmith puts traces that name no project
    with asking(client) as asked:
        found = read_project(asked, name, chosen)
        # Never without a start: the server may have a default of its own, such as one day. And a
        # project begins when its first run arrives, which itself began earlier.
        start = window[0] or _utc(found.start_time - dt.timedelta(days=1))
        about: dict[str, Any] = {"project_ids": [found.id], "start_time": start}
        if window[1]:  # not `end_time`, which is about when runs ended, and leaves out the others
            about["filter"] = f'lt(start_time, "{window[1]}")'
        roots = _mapping(asked.get_run_stats(**about, is_root=True))
        below = _mapping(asked.get_run_stats(**about, is_root=False))
        figures = _figures(roots, below, key, min_coverage)
    return ProjectReport(project=name, key=key, since=window[0], until=window[1], **figures)


@dataclass(frozen=True)
class _Scores:
    """The statistics of one feedback key."""

    n: int
    mean: float | None
    values: Mapping[str, int]
    failed: int

    @classmethod
    def of(cls, stats: Mapping[str, Any], key: str) -> _Scores:
        found = _mapping(_mapping(stats.get("feedback_stats")).get(key))
        values = _mapping(found.get("values"))
        return cls(found.get("n") or 0, found.get("avg"), values, found.get("errors") or 0)

    @property
    def total(self) -> float | None:
        """The sum of the scores."""
        # an evaluator's error counts in n and not in the mean: failed, not left out
        return None if self.mean is None else (self.n - self.failed) * self.mean

    @property
    def ones(self) -> int | None:
        """How many scores are 1; None: there are none, or they are not 0 and 1."""
        total = self.total
        return None if total is None or not 0 <= total <= self.n else round(total)

    @property
    def classed(self) -> bool:
        """Whether every one has a class of `OUTCOMES` beside its score."""
        return sum(self.values.values()) == self.n and set(self.values) <= set(CLASSES)

    @property
    def successes(self) -> int | None:
        """By class where every run has one, else by score."""
        if self.classed:
            return sum(n for name, n in self.values.items() if name.startswith("success."))
        return self.ones


def _figures(
    roots: Mapping[str, Any], below: Mapping[str, Any], key: str, min_coverage: float
) -> dict[str, Any]:
    """The figures of a report, from the statistics of root runs and of those below them."""
    runs, outcome = roots.get("run_count") or 0, _Scores.of(roots, key)
    first, cost = _Scores.of(roots, f"{key}.first_try"), _Scores.of(roots, "cost_usd")
    withheld = _withheld(runs, outcome, key, min_coverage)
    nodes, wins = _without_error(below), outcome.successes
    figures: dict[str, Any] = {
        "runs": runs,
        "labelled": outcome.n,
        "coverage": Rate.of(min(outcome.n, runs), runs),
        "min_coverage": min_coverage,
        "withheld": withheld,
        "successes": wins,
        "counted_from": "values" if outcome.classed else "scores",
        "outcomes": dict.fromkeys(CLASSES, 0) | dict(outcome.values),
        "unclassed": max(0, outcome.n - sum(outcome.values.values())),
        "mean_attempts": _Scores.of(roots, "attempts").mean,
        "cost": cost.total,
        "cost_unknown": max(0, runs - cost.n),
        "root_success": _without_error(roots),
        "node_success": nodes,
        "warnings": tuple(_warnings(outcome, first)),
    }
    if withheld or wins is None:
        none = ("accuracy", "first_try", "cost_per_success", "gap")
        return figures | dict.fromkeys(none)
    accuracy = Rate.of(wins, outcome.n)
    return figures | {
        "accuracy": accuracy,
        "first_try": None if first.ones is None else Rate.of(first.ones, first.n),
        "cost_per_success": cost.total / wins if wins and cost.total is not None else None,
        "gap": None if nodes.value is None else nodes.value - wins / outcome.n,
    }


def _withheld(runs: int, outcome: _Scores, key: str, min_coverage: float) -> str | None:
    """Why there can be no accuracy, in words; None: there can."""
    if not runs:
        return "there is no traced run"
    if not outcome.n:
        return (
            f"none of {runs:,} runs has feedback {key!r}; their pipeline was not attached, or had "
            "no goal, or its feedback has not arrived yet"
        )
    if outcome.n > runs:
        return f"{outcome.n:,} outcomes for {runs:,} runs: some run has two"
    if outcome.successes is None:
        return f"feedback {key!r} has neither scores of 0 and 1 nor classes of outcomes"
    if outcome.n / runs < min_coverage:
        missing = runs - outcome.n
        have = "has" if missing == 1 else "have"
        return (
            f"{missing:,} of {runs:,} runs {have} no outcome: {100 * outcome.n / runs:.1f} % are "
            f"labelled, and below {100 * min_coverage:g} % the others could turn the result"
        )
    return None


def _warnings(outcome: _Scores, first: _Scores) -> Iterator[str]:
    if outcome.classed and outcome.ones not in (None, outcome.successes):
        yield (
            f"the classes say {outcome.successes:,} successes, the scores {outcome.ones:,}: "
            "something else writes this feedback too"
        )
    if outcome.failed:
        yield f"errors of an evaluator, counted as failed outcomes: {outcome.failed:,}"
    if first.n != outcome.n and first.n:
        yield f"the first try is known of {first.n:,} runs, the outcome of {outcome.n:,}"


def _without_error(stats: Mapping[str, Any]) -> Rate:
    """Runs that did not end in an error; the server gives the share of the others."""
    count = stats.get("run_count") or 0
    return Rate.of(count - round(count * (stats.get("error_rate") or 0.0)), count)


def _mapping(value: Any) -> Mapping[str, Any]:
    """A JSON object as it came; null counts as empty."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"an object was expected, not {type(value).__name__}")
    return value


def _iso(moment: float | None) -> str | None:
    return None if moment is None else _utc(dt.datetime.fromtimestamp(moment, dt.timezone.utc))


def _utc(moment: dt.datetime) -> str:
    return moment.astimezone(dt.timezone.utc).isoformat()
