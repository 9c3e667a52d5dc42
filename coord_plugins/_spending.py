"""What a run spends: model calls, their price, and the budget that they count against."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from ._budget import Usage
from ._clock import Clock
from ._mode import Mode
from ._policy import Policy
from ._step import running_step
from ._tally import StepTally
from .errors import BudgetExceededError, UnpricedModelError, UsageUnavailableError

if TYPE_CHECKING:
    from ._coord import Coord

CHILD = "(child runs)"
"""The step under which a run counts what its nested runs spent."""
OUTSIDE = "(outside steps)"
"""The step under which a run counts model calls that no step made."""


class Spending:
    """The part of `Run` that counts money."""

    coord: Coord
    policy: Policy
    mode: Mode
    parent: Any
    spent: Usage
    tallies: dict[str, StepTally]
    started: int
    over_budget: bool
    clock: Clock
    origin: float
    elapsed_before: float
    _lock: threading.Lock

    @property
    def elapsed(self) -> float:
        """Seconds of running time, pauses excluded."""
        return self.elapsed_before + self.clock.monotonic() - self.origin

    def add_usage(
        self,
        *,
        model: str | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cost_usd: float | None = None,
    ) -> None:
        """Count one model call of this run, under the step that is running now.

        Adapters call this for every call they see; call it yourself for a client that no
        adapter sees.

        Args:
            model: The model's name, for the price table.
            input_tokens: None: unknown, which is counted and not taken as 0.
            output_tokens: As `input_tokens`.
            cost_usd: US dollars; None: priced by the price table.

        Raises:
            UsageUnavailableError: A budget of the run needs a number that is not known.
        """
        known = input_tokens is not None and output_tokens is not None
        if cost_usd is None and known:
            price = self.coord.prices.cost
            cost_usd = price(model, input_tokens or 0, output_tokens or 0)
        usage = Usage(
            input_tokens=input_tokens or 0,
            output_tokens=output_tokens or 0,
            cost_usd=cost_usd or 0.0,
            calls=1,
            unknown_tokens=0 if known else 1,
            unknown_cost=0 if cost_usd is not None else 1,
        )
        self._spend(usage)
        self._check_measurable(model, known, cost_usd)

    def _spend(self, usage: Usage) -> None:
        step = running_step()
        with self._lock:
            self.spent.add(usage)
        if step is not None and step.run is self:
            step.spend(usage)
        else:
            self.spend_on(OUTSIDE, "cost_first", usage)
        outer = self.parent
        while outer is not None:  # every run around this one pays, not only the next
            with outer._lock:
                outer.spent.add(usage)
            outer.spend_on(CHILD, "cost_first", usage)
            outer = outer.parent

    def spend_on(self, name: str, bucket: str, usage: Usage) -> None:
        """Count money directly in a tally."""
        self.tallies.setdefault(name, StepTally())._spend(bucket, usage)

    def _check_measurable(self, model: str | None, known: bool, cost: float | None) -> None:
        budget = self.policy.budget
        if budget is None or self.mode != "enforce":
            return
        if budget.max_tokens is not None and not known:
            raise UsageUnavailableError(
                f"the budget has max_tokens, but the reply of {model or 'a model'} carries no "
                "token counts; use a model that reports usage, or drop max_tokens"
            )
        if budget.max_cost_usd is not None and cost is None:
            if not known:
                raise UsageUnavailableError(
                    f"the budget has max_cost_usd, but the reply of {model or 'a model'} carries "
                    "no token counts"
                )
            raise UnpricedModelError(
                f"the budget has max_cost_usd, but the model {model!r} has no price; give "
                f"prices={{{model!r}: (usd_per_million_input, usd_per_million_output)}}"
            )

    def check_budget(self, *, under_way: bool = False) -> BudgetExceededError | None:
        """The budget's limit that is reached, if one is; what is under way is not stopped.

        Args:
            under_way: Asked for a model call inside an execution, which `max_attempts` has let
                begin and so does not stop.
        """
        budget = self.policy.budget
        if budget is None or self.over_budget or self.mode != "enforce":
            return None
        return budget.exceeded(
            cost_usd=self.spent.cost_usd,
            tokens=self.spent.input_tokens + self.spent.output_tokens,
            elapsed=self.elapsed,
            attempts=0 if under_way else self.started,
        )
