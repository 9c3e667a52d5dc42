"""`Budget` of a whole run, and `Usage`: what was spent."""

from __future__ import annotations

from dataclasses import dataclass, fields

from .errors import BudgetExceededError, PolicyError


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Limits of one run.

    Checked before each execution and model call; the call in flight may overshoot.
    """

    max_cost_usd: float | None = None
    """US dollars, all model calls of the run included; None: no limit."""
    max_tokens: int | None = None
    """Input plus output tokens; None: no limit."""
    max_elapsed: float | None = None
    """Seconds of running time, pauses excluded; None: no limit."""
    max_attempts: int | None = None
    """Executions of all steps together; None: no limit."""
    otherwise: str | None = None
    """A step (or STOP) that takes over when the budget is spent; None: the run ends with
    `BudgetExceededError`."""

    def __post_init__(self) -> None:
        limits = [f.name for f in fields(self) if f.name != "otherwise"]
        given = {n: getattr(self, n) for n in limits if getattr(self, n) is not None}
        if not given:
            raise PolicyError(f"Budget: give at least one of {', '.join(limits)}")
        for name, value in given.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
                raise PolicyError(f"Budget: {name}={value!r}; it must be a number greater than 0")

    def exceeded(
        self, *, cost_usd: float, tokens: int, elapsed: float, attempts: int
    ) -> BudgetExceededError | None:
        """The first limit that is reached, as the error that ends the run, or None.

        A limit is reached when it is used up: nothing further may start.
        """
        for name, spent in (
            ("max_cost_usd", cost_usd),
            ("max_tokens", tokens),
            ("max_elapsed", elapsed),
            ("max_attempts", attempts),
        ):
            allowed = getattr(self, name)
            if allowed is not None and spent >= allowed:
                return BudgetExceededError(name, spent, allowed)
        return None


@dataclass(slots=True)
class Usage:
    """Tokens and money, added up. Unknown is counted, never taken as 0."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    calls: int = 0
    """Model calls seen."""
    unknown_tokens: int = 0
    """Model calls whose reply carried no token counts."""
    unknown_cost: int = 0
    """Model calls that could not be priced: `cost_usd` is then a lower bound."""

    def add(self, other: Usage) -> None:
        """Add another usage to this one."""
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cost_usd += other.cost_usd
        self.calls += other.calls
        self.unknown_tokens += other.unknown_tokens
        self.unknown_cost += other.unknown_cost
