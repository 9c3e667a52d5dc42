"""A decorated call outside of a run: judged, but not recorded, and cheap while it succeeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ._config import current_mode
from ._coord import Coord
from ._edge import ValidationEdge
from ._policy import PLAIN, make_policy
from ._retry import Retry
from ._run import Run
from ._step import Step
from ._validators import Validator


@dataclass(frozen=True)
class Spec:
    """What the decorators on one function add up to."""

    fn: Callable[..., Any]
    name: str
    edge: ValidationEdge | None = None
    retry: Retry | None = None
    otherwise: Callable[..., Any] | None = None


class Outside:
    """What a decorated function uses when no run is under way.

    Attributes:
        chain: The validators that a call may ask without the full loop; None: it needs the loop.
        timed: Whether a deadline runs from the call's beginning.
    """

    def __init__(self, spec: Spec) -> None:
        self.chain = _quick_chain(spec.edge, spec.retry)
        self.timed = spec.retry is not None and spec.retry.max_elapsed is not None
        self._spec = spec
        self._coord: Coord | None = None

    def enter(
        self, run: Run | None, args: tuple[Any, ...], kwargs: dict[str, Any], began: float | None
    ) -> Step:
        """The step of one call: in the run under way, else in one that nobody hears of.

        Args:
            run: The run under way.
            args: The call's own.
            kwargs: The call's own.
            began: When the call began, on the clock; None: now.
        """
        spec = self._spec
        step = (run or self._run()).enter(
            spec.name, input=args[0] if args else kwargs, edge=spec.edge, retry=spec.retry
        )
        if began is not None:
            step.entered = began
        if run is None:
            step.execution = 1  # for who asks before the loop begins
        return step

    def _run(self) -> Run:
        if self._coord is None:
            policy = make_policy(pipeline=self._spec.name)
            self._coord = Coord(policy, PLAIN, recorded=False)
        return Run(self._coord, mode=current_mode())


def _quick_chain(edge: ValidationEdge | None, retry: Retry | None) -> tuple[Validator, ...] | None:
    if retry is not None and (retry.breaker is not None or retry.throttle is not None):
        return None
    if edge is None:
        return ()
    # A selection of the user's own may fail or count its calls: it is made once, by the loop.
    if edge.mode is not None or not (edge.of is None or isinstance(edge.of, str)):
        return None
    plain = all(v.is_plain and v.mode is None for v in edge.validators)
    return edge.validators if plain else None
