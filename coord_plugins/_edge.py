"""`ValidationEdge`: which step is judged, by whom, and where a rejection goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from ._mode import Mode, check_mode
from ._validators import Validator, as_validator
from .errors import PolicyError

START: Final = "__start__"
"""The pipeline's entry, as a target of a loop-back; equal to LangGraph's START by value."""
END: Final = "__end__"
"""The pipeline's final answer, where a host can judge it; equal to LangGraph's END by value."""
HUMAN: Final = "__human__"
"""`otherwise=HUMAN`: a person decides about the last candidate."""
STOP: Final = "__stop__"
"""`otherwise=STOP`: the run ends normally, without the rejected output."""

Stream = Literal["hold", "live"]
FeedbackRoute = "str | Callable[[Any, str], Any]"


def step_name(step: Any, what: str) -> str:
    """The name of a step that is given by its name or as the host's own object.

    Raises:
        PolicyError: It is neither; the message begins with `what`.
    """
    name = step if isinstance(step, str) else getattr(step, "name", None)
    if isinstance(name, str) and name:
        return name
    if step is not name and hasattr(step, "name"):
        raise PolicyError(f"{what} is a {type(step).__name__} without a name; give it one")
    raise PolicyError(f"{what} is a name, not {step!r}")


@dataclass(frozen=True, init=False)
class ValidationEdge:
    """Judge each candidate of one step; pass it on, or loop back with the reason."""

    step: str
    """The step that is judged."""
    validators: tuple[Validator, ...]
    """They judge every candidate, in this order."""
    of: str | Callable[[Any], Any] | None
    """What they see: a key or attribute of the output (the whole output where it has none),
    or a callable; None: the whole output."""
    back_to: tuple[str, ...]
    """The ladder: the target of the first rejection, of the second, ...; the last repeats."""
    max_attempts: int
    """Judged candidates until the edge is exhausted, the first included."""
    otherwise: str | None
    """A step that stands in, HUMAN, STOP, or None: `AttemptsExhaustedError`."""
    feedback_to: Any
    """Where feedback goes when the step declares no `feedback` parameter: a state key or
    `callable(input, feedback) -> input`; None: the host's default route."""
    stream: Stream
    """"hold": no token of a rejected candidate reaches a user; "live": tokens pass."""
    mode: Mode | None
    """Weaker than the run's mode for this edge alone."""

    def __init__(
        self,
        step: Any,
        *validators: Validator | Callable[..., Any],
        of: str | Callable[[Any], Any] | None = None,
        back_to: Any = (),
        max_attempts: int | None = None,
        otherwise: Any = None,
        feedback_to: Any = None,
        stream: Stream = "hold",
        mode: Mode | None = None,
    ) -> None:
        """Make an edge.

        Args:
            step: The step's name on the host, or the host's own object that carries it in its
                `name` (a CrewAI task, an AutoGen agent); so for every step below.
            *validators: `check(...)`, `schema(...)`, `judge(...)` or bare callables.
            of: What the validators see.
            back_to: One target or a ladder (a list or tuple) of targets; default: the step itself.
            max_attempts: Default: the number of targets plus one.
            otherwise: What follows when the attempts are spent.
            feedback_to: The feedback's route.
            stream: "hold" or "live".
            mode: "observe" or "off" weaken this edge alone.

        Raises:
            PolicyError: No validator, a number out of range, or an unreachable rung.
        """
        step = step_name(step, "ValidationEdge: the step")
        where = f"edge {step!r}"
        if not validators:
            raise PolicyError(f"{where}: give it at least one validator")
        chain = tuple(as_validator(v) for v in validators)
        names = [v.name for v in chain]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise PolicyError(f"{where}: two validators are named {twice[0]!r}; give one a name=")
        single = isinstance(back_to, str) or hasattr(back_to, "name")
        targets = (back_to,) if single else tuple(back_to)
        ladder = tuple(step_name(t, f"{where}: a target of back_to") for t in targets) or (step,)
        if otherwise is not None:
            otherwise = step_name(otherwise, f"{where}: otherwise")
        if max_attempts is None:
            max_attempts = len(ladder) + 1
        if not isinstance(max_attempts, int) or max_attempts < 1:
            raise PolicyError(
                f"{where}: max_attempts={max_attempts!r}; it counts the first candidate, so it is "
                "at least 1"
            )
        if targets and max_attempts < len(ladder) + 1:
            raise PolicyError(
                f"{where}: rung {ladder[max_attempts - 1]!r} is unreachable: {len(ladder)} targets "
                f"need max_attempts of at least {len(ladder) + 1}, not {max_attempts}"
            )
        if otherwise in (step, START, END):
            raise PolicyError(f"{where}: otherwise={otherwise!r} cannot stand in for the step")
        if stream not in get_args(Stream):
            raise PolicyError(f"{where}: stream={stream!r}; it is 'hold' or 'live'")
        check_mode(mode, where)
        values = (step, chain, of, ladder, max_attempts, otherwise, feedback_to, stream, mode)
        for name, value in zip(self.__dataclass_fields__, values, strict=True):
            object.__setattr__(self, name, value)

    def renamed(self, name_of: Callable[[str], str]) -> ValidationEdge:
        """The same edge with each step's name as `name_of` says (a host's other names)."""
        new = object.__new__(ValidationEdge)
        new.__dict__.update(self.__dict__)
        otherwise = None if self.otherwise is None else name_of(self.otherwise)
        named = {"step": name_of(self.step), "back_to": tuple(map(name_of, self.back_to))}
        new.__dict__.update(named, otherwise=otherwise)
        return new

    def target(self, rejects: int) -> str:
        """Where the n-th rejection (from 1) goes."""
        return self.back_to[min(rejects, len(self.back_to)) - 1]

    def select(self, output: Any) -> Any:
        """What the validators see of a step's output."""
        of = self.of
        if of is None:
            return output
        if not isinstance(of, str):
            return of(output)
        if isinstance(output, Mapping):
            return output.get(of, output)
        return getattr(output, of, output)

    def put(self, output: Any, selected: Any) -> Any:
        """The output with `selected` in the place that `select` read; the inverse of it."""
        of = self.of
        if of is None:
            return selected
        if not isinstance(of, str):
            return output  # a free selection has no way back
        if isinstance(output, Mapping):
            return {**output, of: selected} if of in output else selected
        if not hasattr(output, of):
            return selected
        if hasattr(output, "model_copy"):
            return output.model_copy(update={of: selected})
        if hasattr(output, "__dataclass_fields__"):
            import dataclasses

            return dataclasses.replace(cast(Any, output), **{of: selected})
        setattr(output, of, selected)
        return output
