"""The measures that a report is made of, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..stats import wilson

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A share with its Wilson interval at 95 %."""

    successes: int
    """How many."""
    n: int
    """Of how many."""
    value: float | None
    """successes / n; None: n is 0."""
    interval: Interval
    """Lower and upper end; (0, 1) when n is 0."""
    clusters: int | None = None
    """How many tasks the runs belong to, where some have several: runs of one task resemble each
    other, and the interval knows it. None: each run counts as one."""

    @classmethod
    def of(cls, successes: int, n: int) -> Rate:
        """The share of `successes` in `n`."""
        value = successes / n if n else None
        return cls(successes=successes, n=n, value=value, interval=wilson(successes, n))


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What the finished runs cost, in US dollars."""

    total: float
    """first + retry + validation + fallback."""
    first: float
    """The first completed execution of each step."""
    retry: float
    """Executions after a rejection or an error."""
    validation: float
    """Validators that ask a model."""
    fallback: float
    """Fallbacks that stood in."""
    per_success: float | None
    """Total over successes, what the failures cost included; None: no success."""
    per_success_interval: Interval | None
    """Fieller's interval of that ratio at 95 %; None: no success, or it has no upper bound."""
    lower_bound: bool
    """Whether some model calls had no price, so that these are lower bounds."""
    unknown_calls: int
    """Model calls without a price."""
    in_flight: float
    """What runs in flight have cost so far; in no other figure here."""


@dataclass(frozen=True, kw_only=True)
class Trials:
    """What several runs of the same tasks say, labelled runs alone."""

    tasks: int
    """Tasks with a labelled run; a run without a task is one of its own."""
    runs: int
    """Labelled runs."""
    fewest: int
    """Runs of the task that has the fewest."""
    most: int
    """Runs of the task that has the most."""
    standard_error: float
    """Of the success rate, clustered by task; 0 where all tasks are alike, which is no certainty:
    quote the interval of `success_rate`, which has a width then too."""
    solved: Rate
    """Tasks that succeeded in at least one run."""
    always: Rate
    """Tasks that succeeded in every run."""
    pass_at_k: Mapping[int, float]
    """The chance that at least one of k fresh runs of a task succeeds, for k up to `fewest`."""
    pass_hat_k: Mapping[int, float]
    """The chance that all of k fresh runs of a task succeed (pass^k)."""
    pass_at_k_interval: Mapping[int, Interval]
    """95 %, over tasks."""
    pass_hat_k_interval: Mapping[int, Interval]
    """95 %, over tasks."""
    cost_per_solved_task: float | None
    """Cost of all runs over the tasks that succeeded at least once, in US dollars."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """From the naive step product to the real success rate, term by term.

    real = naive + dependence - lost_anyway / n + won_anyway / n, with n the labelled runs.
    """

    naive: float
    """The product of the steps' first-try rates."""
    first_tries: Rate
    """Labelled runs in which every step's first try was right (without labels: did not raise)."""
    dependence: float
    """`first_tries` minus `naive`: steps fail together, or not every run reaches every step."""
    lost_anyway: int
    """Of those runs, the ones without success: needless escalations, and faults that no step's
    label or error showed."""
    won_anyway: int
    """Other runs that succeeded: what retries and loop-backs won back."""
    real: float
    """The success rate."""


@dataclass(frozen=True, kw_only=True)
class StepLoss:
    """One step's part in the loss that the steps' first-try rates imply.

    Source of the three: docs/numbers.md, "Where the losses are".
    """

    step: str
    """The step's name."""
    first_failing: float
    """Runs that fail here first: p_1 ... p_(k-1) (1 - p_k); adds up to the loss."""
    log_share: float
    """loss ln p_k / ln (p_1 ... p_n): blame that no order of steps biases; adds up too."""
    fix_one: float
    """What the product gains when this step alone never fails; does not add up."""


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """Whether a repeat succeeds as often as a first try, given right input; by label."""

    first: float
    """Success of first tries, of the steps that were repeated, in proportion to their repeats."""
    repeat: Rate
    """Repeats of work that was rejected and labelled wrong, by their labels."""
    ratio: float
    """repeat / first (r2/r1); 1: repeats are as good as independent tries."""
    interval: Interval
    """95 %: MOVER-R on Wilson limits."""


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """Runs that the pipeline itself spoke of in one way."""

    name: str
    """goal_passed, goal_failed, no_goal, or not_delivered."""
    runs: int
    """Finished runs."""
    labelled: int
    """Of them, labelled later, as a sample."""
    passed: int
    """Of those, labelled as having done their job."""


@dataclass(frozen=True, kw_only=True)
class TrueRate:
    """The success rate of all finished runs, estimated from a labelled sample.

    Per stratum the sample's share, weighted by the stratum's runs. Runs that were not delivered
    are known to have failed. A stratum without a sample is taken at the goal's word. It holds
    when the sample was drawn at random within each stratum.
    """

    value: float
    """The estimate."""
    interval: Interval
    """95 %: `coord_plugins.stats.stratified_rate`; where tasks have several runs, its distances
    times the root of the success rate's design effect."""
    strata: tuple[Stratum, ...]
    """What it is made of."""


@dataclass(frozen=True, kw_only=True)
class Worth:
    """What the pipeline earns or loses, in the unit of costs (US dollars), labelled runs alone."""

    per_run: float
    """Successes minus failures at their prices, minus the cost of the model calls."""
    interval: Interval
    """95 %: profile likelihood of the outcomes' shares; never without a width."""
    by_class: Mapping[str, float]
    """Per run: success, silent_failure, escalated, error, and calls (the model calls)."""
    dearest_failure: str | None
    """Which class of failure costs most; None: none costs anything."""
    runs_per_month: float | None
    """The volume given."""
    per_month: float | None
    """per_run times that volume."""
    per_month_interval: Interval | None
