"""What a comparison says, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

SCHEMA_VERSION = 1
"""Of `Comparison.to_dict` and the command line's `--json`."""

Interval: TypeAlias = tuple[float, float]
Conclusion = Literal["better", "worse", "no_effect", "too_few"]
"""What the intervals allow to say of B; "worse" is harm, "too_few" is never "no effect"."""
CostConclusion = Literal["cheaper", "dearer", "undecided", "unknown"]
"""What B's runs cost beside A's; "unknown": no cost was recorded."""
Pairing = Literal["pairs", "tasks", "unpaired"]
"""One run of each side per pair; several runs of a task, by task means; or no pairs at all."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """The share of runs with some outcome, on one side."""

    runs: int
    """Runs with it."""
    n: int
    """Of how many."""
    value: float
    """The share; where tasks weigh alike, the mean of the tasks' shares."""
    interval: Interval
    """Wilson's, with the effective number of runs where tasks have several."""


@dataclass(frozen=True, kw_only=True)
class Amount:
    """An amount in US dollars, for example per run."""

    value: float | None
    """None: it cannot be computed, for example per success without any."""
    interval: Interval | None
    """None: unbounded, or too few runs to say."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """B minus A in the share of one outcome."""

    value: float
    """From -1 to 1."""
    interval: Interval
    """Newcombe's; of task means, Student's t."""
    only_b: int | None
    """Pairs in which only B's run has this outcome; of successes these are gained."""
    only_a: int | None
    """Pairs in which only A's run has it; of successes these are harmed. None: no pairs."""
    p_value: float | None = None
    """Exact McNemar, two-sided; None where a task has several runs, and without pairs."""
    mid_p: float | None = None
    """McNemar's mid-p, likewise."""
    log_evidence: float | None = None
    """ln E of the sign e-process over discordant pairs, likewise: it may be looked at while
    runs come in, and above ln(20) = 3.0 it refutes "no difference" at 5 %."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two sides."""

    name: str
    """As it was selected."""
    started: int
    """Runs that match: compared + left_out + self_reported + unlabelled + in_flight."""
    compared: int
    """Runs that the figures are about."""
    left_out: int
    """Labelled runs without a partner on the other side; see `Comparison.left_out`."""
    self_reported: int
    """Runs whose label comes from the agent itself; not compared, unless asked for."""
    self_reported_success: int
    """How many of these claim success."""
    unlabelled: int
    """Finished runs without a label; not compared."""
    in_flight: int
    """Runs that have not finished; not compared."""
    tasks: int
    """Tasks of the compared runs; 0: they name none."""
    success: Share
    silent_failure: Share
    escalated: Share
    error: Share
    cost: float
    """US dollars of the compared runs."""
    cost_unknown: int
    """Model calls without a price: the costs are lower bounds."""
    cost_per_run: Amount
    cost_per_success: Amount
    """All cost, failures included, over successes: a ratio of sums with Fieller's interval."""
    worth_per_run: Amount | None
    """At the given prices, model cost deducted; None: no prices."""
    pipelines: Mapping[str, int]
    """Runs per pipeline, and likewise below; more than one is said in `warnings`."""
    policy_ids: Mapping[str, int]
    modes: Mapping[str, int]
    goal_ids: Mapping[str, int]
    """"" stands for runs that do not say."""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Labelled runs that have no partner on the other side."""

    a_runs: int
    a_success: int
    b_runs: int
    b_success: int
    difference: float | None
    """B minus A in the share of successes; None: one side has none left out."""
    interval: Interval | None
    """Newcombe's for independent shares."""


@dataclass(frozen=True, kw_only=True)
class NetBenefit:
    """What B earns more than A, per run, at the given prices."""

    prices: Mapping[str, float]
    """Of a success, an escalation, a silent failure and an error; US dollars."""
    value: float
    """US dollars per run, B minus A, model cost deducted."""
    interval: Interval | None
    """Student's t; None: too few runs."""
    margin: float
    """Differences smaller than this count as no effect: the success margin at its price."""
    flips_at: Amount
    """The value of a success at which A and B are worth the same, other prices as given."""
    conclusion: Conclusion
    """At these prices."""
    more: int | None
    """With "too_few": about how many more runs of each side would decide it."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """B minus A: does it do its job more often, and at what price?"""

    a: Side
    b: Side
    pairing: Pairing
    """How runs were matched."""
    paired_by: str | None
    """"task", or "task and trial"; None: unpaired."""
    pairs: int | None
    """Pairs of runs; None where runs are not matched one to one."""
    tasks: int | None
    """Tasks on both sides; None: unpaired."""
    success: Difference
    silent_failure: Difference
    escalated: Difference
    error: Difference
    cost_per_run: Amount
    """B minus A, US dollars per run."""
    cost_per_extra_success: Amount
    """Difference in cost over difference in success (ICER), with Fieller's interval. Where B
    succeeds less and costs less, it is what a lost success saves. Without an interval it is
    unbounded: the difference in success may be 0."""
    net_benefit: NetBenefit | None
    """None: no prices were given."""
    conclusion: Conclusion
    """Of success rates."""
    cost_conclusion: CostConclusion
    more: int | None
    """With "too_few": about how many more runs of each side would decide it."""
    margin: float
    """Differences smaller than this count as no effect."""
    confidence: float
    """Level of every interval."""
    left_out: LeftOut | None
    """Runs without a partner, and how they did; None: there are none, or no pairs."""
    answer: str
    """The comparison in two or three sentences."""
    warnings: tuple[str, ...] = ()
    """What a reader must know before quoting these numbers."""
    filters: Mapping[str, Any] = field(default_factory=dict)
    """The shared filters in force."""
    schema_version: int = SCHEMA_VERSION
    """Of `to_dict`."""

    def __str__(self) -> str:
        """The answer; `coord compare` shows more."""
        return self.answer

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the command line's `--json`."""
        plain = _plain(asdict(self))
        return {"schema_version": plain.pop("schema_version"), **plain}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
