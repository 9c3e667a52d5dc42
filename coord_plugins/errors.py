"""Every error of the library, one tree.

CoordError
├── PolicyError (ValueError)            a policy that cannot hold: step, rung, number, signature
│   ├── UnknownStepError                a step name that the pipeline does not have
│   ├── AlreadyAttachedError            a host that already carries another policy
│   └── AsyncValidatorError             an async validator where only synchronous code runs
├── UnsupportedHostError                the host's private shape changed, or it cannot do this
├── StoreError                          a named store that cannot be opened, or refuses a write
├── InvalidOutputError (ValueError)     raised by a step: the model's reply has not the asked form
├── ValidatorError                      a validator raised, timed out or returned nonsense
├── AttemptsExhaustedError              an edge's attempts are spent and it has no `otherwise`
├── CircuitOpenError                    a breaker refuses the call
└── BudgetError
    ├── BudgetExceededError             a run's budget is spent
    └── UsageUnavailableError           a budget needs a number that the model's reply did not carry
        └── UnpricedModelError          a cost budget meets a model without a price
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._verdict import Verdict

__all__ = [
    "AlreadyAttachedError",
    "AsyncValidatorError",
    "AttemptsExhaustedError",
    "BudgetError",
    "BudgetExceededError",
    "CircuitOpenError",
    "CoordError",
    "CoordWarning",
    "InvalidOutputError",
    "PolicyError",
    "StoreError",
    "UnknownStepError",
    "UnpricedModelError",
    "UnsupportedHostError",
    "UsageUnavailableError",
    "ValidatorError",
]


class CoordWarning(UserWarning):
    """Something that attaching noticed and a user should know; it can be filtered."""


class CoordError(Exception):
    """Base class of every error that the library raises by itself."""


class PolicyError(CoordError, ValueError):
    """A policy that cannot hold; the message names the thing and the mend."""


class UnknownStepError(PolicyError):
    """A step name that the pipeline does not have."""

    def __init__(self, name: str, known: Iterable[str], where: str = "") -> None:
        steps = sorted(known)
        near = get_close_matches(name, steps, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the steps are {', '.join(steps)}"
        super().__init__(f"{where + ': ' if where else ''}there is no step {name!r}; {hint}")
        self.name = name


class AlreadyAttachedError(PolicyError):
    """The host already carries another policy; `.coord.detach()` gives the bare host back."""


class AsyncValidatorError(PolicyError):
    """An async validator where only synchronous code runs."""


class UnsupportedHostError(CoordError, RuntimeError):
    """The host's private shape changed, or the host cannot do what the policy asks."""


class StoreError(CoordError, RuntimeError):
    """A named store that cannot be opened, or that refuses a write."""


class InvalidOutputError(CoordError, ValueError):
    """For you to raise in a step: the model's reply could not be read.

    With an edge on the step this is one rejected candidate, and the message is the feedback;
    without one it is fatal. Parser and schema errors of json, pydantic and LangChain count the
    same without this class.
    """


class ValidatorError(CoordError, RuntimeError):
    """A validator raised, timed out or returned nonsense: this is not a rejection."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"validator {name!r} failed: {reason}")
        self.name = name
        self.reason = reason


class AttemptsExhaustedError(CoordError, RuntimeError):
    """An edge's attempts are spent and it has no `otherwise`.

    Attributes:
        step: The step whose output was rejected.
        attempts: Judged candidates, the first included.
        verdicts: The failing verdicts of the last candidate.
    """

    def __init__(self, step: str, attempts: int, verdicts: Sequence[Verdict]) -> None:
        said = "; ".join(f"{v.name}: {v.explanation or 'rejected'}" for v in verdicts)
        super().__init__(
            f"step {step!r}: {attempts} of {attempts} attempts rejected ({said}); "
            f"give the edge an `otherwise` (a step, HUMAN or STOP) to go on without it"
        )
        self.step = step
        self.attempts = attempts
        self.verdicts = tuple(verdicts)


class CircuitOpenError(CoordError, RuntimeError):
    """A breaker is open for this target and refuses the call."""

    def __init__(self, target: str, seconds: float) -> None:
        super().__init__(f"the circuit of {target!r} is open for another {seconds:.1f} s")
        self.target = target


class BudgetError(CoordError, RuntimeError):
    """Base class of budget errors."""


class BudgetExceededError(BudgetError):
    """A run's budget is spent."""

    def __init__(self, limit: str, spent: float, allowed: float) -> None:
        super().__init__(f"the run's budget {limit}={allowed:g} is spent (used {spent:g})")
        self.limit = limit


class UsageUnavailableError(BudgetError):
    """A budget needs a number that the model's reply did not carry."""


class UnpricedModelError(UsageUnavailableError):
    """A cost budget meets a model without a price."""
